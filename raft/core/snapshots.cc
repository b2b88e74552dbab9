#include "raft/core/snapshots.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/follower.h"
#include "raft/core/lost_entries.h"

namespace conclave::raft {
namespace {

// The log goes on after `start`. What is being written of the old one counts for nothing any more.
void StartLogAnew(CoreState& state, const LogStart& start) {
  CHECK(start.index > state.commit && start.term <= state.term);
  state.log = MemoryLog(start.index, start.term, {});
  state.configurations = Configurations(start.index, start.configuration);
  for (WriteUnderWay& write : state.writes) {
    write.first = start.index.Next();
    write.last = start.index;
  }
  state.unwritten = start.index.Next();
  state.durable = std::min(state.durable, start.index);
  state.commit = start.index;
  state.handed_to_apply = start.index;
}

}  // namespace

void OfferSnapshot(CoreState& state, NodeId id, Peer& peer) {
  CHECK(state.leader() != nullptr);
  CHECK(peer.progress.state() == Progress::State::kSnapshot);
  CHECK(peer.progress.match() < state.log.start());
  if (!peer.progress.TakeOffer()) return;
  SIM_REACHED("raft.snapshot.offered");
  state.Send(id, SnapshotOffer{.index = state.log.start()});
}

void OnSnapshotOffer(CoreState& state, NodeId from, const SnapshotOffer& offer) {
  HearLeader(state, from);
  CHECK(state.follower() != nullptr);
  if (state.installing.has_value()) return;
  if (offer.index <= state.commit) {
    // What is committed matches, so the leader can go on from there: with the log, or with an offer
    // of something later if it has let go of that as well.
    SIM_REACHED("raft.snapshot.offer_not_needed");
    AppendResponse response;
    response.accepted = true;
    response.index = state.commit;
    return state.SendAfterDurable(from, response);
  }
  state.snapshot_wanted = SnapshotWanted{from, offer.index};
}

void OnSnapshotFetched(CoreState& state, const LogStart& start) {
  CHECK(!start.configuration.voters.empty());
  // A leader or a candidate has no use for it; whoever leads next will offer it again if need be.
  if (state.follower() == nullptr || start.index <= state.commit || state.installing.has_value()) {
    SIM_REACHED("raft.snapshot.came_too_late");
    return;
  }
  if (state.log.TermAt(start.index) == start.term && !SEEDED_BUG(kMatchingLogDropped)) {
    // The log has caught up meanwhile. What a snapshot holds is committed; and what follows in the
    // log may have been acknowledged, so it must not be dropped (thesis 5).
    SIM_REACHED("raft.snapshot.log_has_it");
    state.commit = start.index;
    return MaybeComplete(state);
  }
  SIM_REACHED("raft.snapshot.installed");
  // It may come from a leader of a term that this member has not heard of yet.
  if (start.term > state.term) BecomeFollower(state, start.term, kNoNode);
  StartLogAnew(state, start);
  CHECK(state.log.last_index() == start.index);
  state.installing = start;
  state.install_snapshot = start;
  state.snapshot_wanted.reset();  // whatever was offered meanwhile is offered again if need be
}

void OnInstalled(CoreState& state) {
  CHECK(state.installing.has_value());
  CHECK(!state.install_snapshot.has_value());  // rule R2: it was handed out before
  const LogStart start = *std::exchange(state.installing, std::nullopt);
  CHECK(state.log.start() == start.index && state.applied <= start.index);
  state.applied = start.index;
  // The state machine holds it all durably, whatever becomes of the log's reset.
  state.durable = std::max(state.durable, start.index);
  CHECK(state.durable < state.unwritten);
  state.log_reset = start;
  MaybeComplete(state);
}

}  // namespace conclave::raft
