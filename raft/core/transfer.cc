#include "raft/core/transfer.h"

#include <tuple>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/candidate.h"

namespace conclave::raft {
namespace {

// How long a leader leads before it hands over only for the sake of priority, and between two
// tries: whoever goes down again and again must not take everybody's writes with it each time.
constexpr int kPreferAfterElectionTimeouts = 10;

// Prefers who has answered lately, then who has lost no entries (it may have to refuse), then who
// has everything up to `near`, then priority, then who has most; the lowest id among equals.
NodeId BestSuccessor(const CoreState& state, const Leader& leader, LogIndex near) {
  NodeId best = kNoNode;
  std::tuple<bool, bool, bool, uint32_t, LogIndex> best_rank;
  for (const auto& [id, peer] : leader.peers) {
    CHECK(id != state.config.id);
    if (!state.configuration().IsVoter(id)) continue;
    const bool alive = state.now - peer.heard < state.config.election_timeout;
    const LogIndex match = peer.progress.match();
    const std::tuple rank(alive, !peer.lost_entries, match >= near, peer.priority, match);
    if (best != kNoNode && rank <= best_rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

}  // namespace

Instant NextPreference(const CoreState& state) {
  CHECK(state.config.election_timeout > Duration(0));
  return state.now + kPreferAfterElectionTimeouts * state.config.election_timeout;
}

void HandOverToPreferred(CoreState& state, Leader& leader, NodeId id) {
  CHECK(state.leader() == &leader && id != state.config.id);
  const Peer& peer = leader.At(id);
  if (peer.priority <= state.config.leader_priority || state.now < leader.prefer_from) return;
  const bool caught_up = state.commit >= leader.term_start && peer.progress.match() >= state.commit;
  if (leader.transferee != kNoNode) return;
  if (!caught_up && !SEEDED_BUG(kPreferredLaggard)) {
    SIM_REACHED("raft.transfer.preferred_lags");
    return;
  }
  SIM_REACHED("raft.transfer.to_preferred");
  leader.prefer_from = NextPreference(state);
  OnTransferRequested(state, id);
  CHECK(leader.transferee == id || leader.transferee == kNoNode);
}

void OnTransferRequested(CoreState& state, NodeId target) {
  Leader* leader = state.leader();
  if (leader == nullptr) return;
  if (target == kNoNode) target = BestSuccessor(state, *leader, state.commit);
  if (!leader->peers.contains(target) || !state.configuration().IsVoter(target)) return;
  CHECK(target != state.config.id);
  leader->transferee = target;
  // Who must go is not kept by being asked to.
  if (!leader->must_go) leader->transfer_deadline = state.now + state.config.election_timeout;
  ContinueTransfer(state, *leader);
}

void ContinueTransfer(CoreState& state, const Leader& leader) {
  if (leader.transferee == kNoNode) return;
  CHECK(state.configuration().IsVoter(leader.transferee));
  CHECK(leader.transfer_deadline != kNever);
  const LogIndex match = leader.At(leader.transferee).progress.match();
  CHECK(match <= state.log.last_index());
  if (match < state.log.last_index() && !SEEDED_BUG(kTransferToLaggard)) {
    SIM_REACHED("raft.transfer.waits_for_catch_up");
    return;
  }
  state.Send(leader.transferee, TimeoutNow{});
}

void AbortTransfer(Leader& leader) {
  CHECK((leader.transferee == kNoNode) == (leader.transfer_deadline == kNever));
  leader.transferee = kNoNode;
  leader.transfer_deadline = kNever;
  leader.must_go = false;
}

void SendTimeoutNowToBest(CoreState& state, const Leader& leader) {
  const NodeId best = BestSuccessor(state, leader, state.log.last_index());
  CHECK(best != state.config.id);
  if (best == kNoNode || leader.At(best).progress.match() < state.log.last_index()) return;
  state.Send(best, TimeoutNow{});
}

void OnTimeoutNow(CoreState& state, NodeId from) {
  CHECK(from != state.config.id);
  if (from != state.LeaderId() || !CanLead(state)) return;
  SIM_REACHED("raft.transfer.campaigned");
  StartElection(state, /*transfer=*/true);
}

}  // namespace conclave::raft
