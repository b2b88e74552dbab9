#include "raft/core/lost_entries.h"

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {

bool IsIncomplete(const CoreState& state) {
  return state.lost_through > LogIndex(0) && !SEEDED_BUG(kLostEntriesForgotten);
}

// Every entry that this member ever acknowledged is at or before lost_through, and of a term not
// after lost_in_term. Whatever a leader of that term or a later one wrote up to lost_through is
// what was committed there, if anything was (leader completeness). Or a leader of a later term has
// committed an entry of its own: then all that was committed before is at or before that one. A
// leader of the same term proves less, since its words may be older than the acknowledgements.
void MaybeComplete(CoreState& state) {
  CHECK(state.lost_in_term <= state.term);
  if (state.lost_through == LogIndex(0)) return;
  const bool filled = state.durable >= state.lost_through;
  const bool overtaken = state.term > state.lost_in_term && state.durable >= state.commit &&
                         state.log.TermAt(state.commit) == state.term;
  if (!filled && !overtaken) return;
  SIM_REACHED("raft.lost.filled_up");
  state.lost_through = LogIndex(0);
  state.log_completed = true;
}

void TellLoss(CoreState& state, NodeId leader, const Heartbeat& heartbeat) {
  CHECK(state.follower() != nullptr);
  CHECK(IsIncomplete(state));
  if (heartbeat.commit <= state.commit) return;
  SIM_REACHED("raft.lost.leader_told");
  AppendResponse response;
  response.index = heartbeat.commit;
  response.hint_index = state.log.last_index();
  response.hint_term = state.log.last_term();
  response.incomplete = true;
  response.round = heartbeat.round;
  state.Send(leader, response);
}

}  // namespace conclave::raft
