#include "raft/core/leader.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/durability.h"
#include "raft/core/follower.h"
#include "raft/core/proposals.h"
#include "raft/core/quorum.h"
#include "raft/core/transfer.h"

namespace conclave::raft {

Instant QuorumDeadline(const CoreState& state) {
  if (SEEDED_BUG(kNoCheckQuorum)) return kNever;
  const Leader& leader = *state.leader();
  const uint64_t contact = MajorityValue(state.configuration(), [&](NodeId voter) {
    const Instant heard = voter == state.config.id ? kNever : leader.At(voter).heard;
    CHECK(heard == kNever || heard <= state.now);
    return static_cast<uint64_t>(heard.time_since_epoch().count());
  });
  const Instant heard{Duration(static_cast<int64_t>(contact))};
  return heard == kNever ? kNever : heard + state.config.election_timeout;
}

void BecomeLeader(CoreState& state) {
  CHECK(state.candidate() != nullptr && !state.candidate()->pre_vote);
  CHECK(state.vote == state.config.id);
  const LogIndex last = state.log.last_index();
  Leader leader;
  for (NodeId member : state.configuration().Members()) {
    if (member == state.config.id) continue;
    leader.peers.emplace(member, Peer{.progress = Progress(last.Next()), .heard = state.now});
  }
  leader.uncommitted_bytes = state.log.BytesBetween(state.commit, last);
  leader.heartbeat_at = state.now + state.config.heartbeat_interval;
  leader.prefer_from = NextPreference(state);
  leader.term_start = last.Next();
  AppendAsLeader(state, leader, EntryKind::kNoop, {});
  CHECK(state.log.TermAt(leader.term_start) == state.term);
  state.role = std::move(leader);
  state.election_at = kNever;
}

namespace {

// A leader whose disk stalls holds everybody up without anybody's noticing: its heartbeats go out.
// It hands over, which needs no disk of its own, and failing that steps down. One that is alone has
// nobody to leave it to.
void LeaveForStalledDisk(CoreState& state, Leader& leader) {
  CHECK(DiskStalls(state));
  if (leader.must_go) return;
  if (leader.transferee == kNoNode) OnTransferRequested(state, kNoNode);
  if (leader.transferee == kNoNode) return;
  SIM_REACHED("raft.leader.left_for_stalled_disk");
  leader.must_go = true;
  CHECK(leader.transfer_deadline != kNever);
}

}  // namespace

void OnLeaderWoke(CoreState& state) {
  Leader* leader = state.leader();
  CHECK(leader != nullptr);
  // A leader that hears from no quorum steps down, so that its clients look elsewhere (thesis 6.2).
  if (state.now >= QuorumDeadline(state)) {
    SIM_REACHED("raft.leader.stepped_down_without_quorum");
    return BecomeFollower(state, state.term, kNoNode);
  }
  if (DiskStalls(state)) LeaveForStalledDisk(state, *leader);
  if (state.now >= leader->transfer_deadline) {
    SIM_REACHED("raft.transfer.timed_out");
    if (leader->must_go) return BecomeFollower(state, state.term, kNoNode);
    AbortTransfer(*leader);
  }
  CHECK(leader->heartbeat_at <= state.now + state.config.heartbeat_interval);
  if (state.now < leader->heartbeat_at) return;
  leader->heartbeat_at = state.now + state.config.heartbeat_interval;
  leader->heartbeat_due = true;
}

Instant LeaderDeadline(const CoreState& state) {
  const Leader* leader = state.leader();
  CHECK(leader != nullptr);
  if (leader->peers.empty()) return kNever;  // nobody to keep in touch with
  const Instant stall = leader->must_go ? kNever : StallDeadline(state);
  // Once it has come the heartbeats are soon enough to look again.
  return std::min({leader->heartbeat_at, leader->transfer_deadline, QuorumDeadline(state),
                   stall > state.now ? stall : kNever});
}

void HearPeer(CoreState& state, NodeId from) {
  CHECK(from != state.config.id);
  Leader* leader = state.leader();
  if (leader == nullptr) return;
  if (Peer* peer = leader->Find(from)) peer->heard = state.now;
}

}  // namespace conclave::raft
