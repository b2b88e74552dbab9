#include "raft/core/transfer.h"

#include <tuple>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/candidate.h"

namespace conclave::raft {
namespace {

// Prefers who has answered lately, then who has lost no entries (it may have to refuse), then who
// has most; the lowest id among equals.
NodeId BestSuccessor(const CoreState& state, const Leader& leader) {
  NodeId best = kNoNode;
  std::tuple<bool, bool, LogIndex> best_rank;
  for (const auto& [id, peer] : leader.peers) {
    CHECK(id != state.config.id);
    if (!state.configuration().IsVoter(id)) continue;
    const bool alive = state.now - peer.heard < state.config.election_timeout;
    const std::tuple rank(alive, !peer.lost_entries, peer.progress.match());
    if (best != kNoNode && rank <= best_rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

}  // namespace

void OnTransferRequested(CoreState& state, NodeId target) {
  Leader* leader = state.leader();
  if (leader == nullptr) return;
  if (target == kNoNode) target = BestSuccessor(state, *leader);
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
  const NodeId best = BestSuccessor(state, leader);
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
