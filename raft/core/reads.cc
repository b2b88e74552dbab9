#include "raft/core/reads.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/leader.h"
#include "raft/core/quorum.h"

namespace conclave::raft {
namespace {

void FailRead(CoreState& state, ReadId read) {
  state.reads_failed.push_back({read, RejectReason::kNoLeader});
}

void AnswerRead(CoreState& state, const WaitingRead& read, LogIndex index) {
  CHECK(read.from != kNoNode);
  CHECK(index <= state.commit);
  if (read.from == state.config.id) {
    state.reads_ready.push_back({read.read, index});
  } else {
    state.Send(read.from, ReadIndexResponse{.read = read.read, .ok = true, .index = index});
  }
}

void RefuseRead(CoreState& state, const WaitingRead& read) {
  CHECK(read.from != kNoNode);
  if (read.from == state.config.id) {
    FailRead(state, read.read);
  } else {
    state.Send(read.from, ReadIndexResponse{.read = read.read, .ok = false, .index = {}});
  }
}

// A round answers only reads that came before it began.
void AddRead(ReadRounds& rounds, const WaitingRead& read) {
  CHECK(rounds.under_way || rounds.reads.empty());
  if (rounds.under_way) SIM_REACHED("raft.read.waits_for_next_round");
  const bool joins = SEEDED_BUG(kReadJoinsRoundUnderWay) && rounds.under_way;
  (joins ? rounds.reads : rounds.waiting).push_back(read);
}

// The round holds if a quorum has echoed it, this member counting for itself.
void FinishRound(CoreState& state, Leader& leader) {
  ReadRounds& rounds = leader.rounds;
  CHECK(rounds.under_way);
  const uint64_t echoed = MajorityValue(state.configuration(), [&](NodeId voter) {
    return voter == state.config.id ? rounds.round : leader.At(voter).round_echoed;
  });
  const bool heard_lately = SEEDED_BUG(kLeaseReadUnbounded) && state.now < QuorumDeadline(state);
  if (echoed < rounds.round && !SEEDED_BUG(kReadWithoutRound) && !heard_lately) return;
  rounds.under_way = false;
  for (const WaitingRead& read : std::exchange(rounds.reads, {})) {
    AnswerRead(state, read, rounds.index);
  }
}

}  // namespace

void OnReadRequested(CoreState& state, ReadId read) {
  if (Leader* leader = state.leader()) return AddRead(leader->rounds, {read, state.config.id});
  const NodeId leader_id = state.LeaderId();
  if (leader_id == kNoNode) return FailRead(state, read);
  CHECK(state.follower() != nullptr);  // no other role knows a leader but itself
  std::deque<ForwardedRead>& reads = state.follower()->reads;
  CHECK_MSG(reads.empty() || reads.back().read < read, "a read id was used twice");
  reads.push_back({read, state.now});
  state.Send(leader_id, ReadIndexRequest{.read = read});
}

void OnReadIndexRequest(CoreState& state, NodeId from, Term term, const ReadIndexRequest& request) {
  CHECK(term <= state.term);
  CHECK(from != state.config.id);
  const WaitingRead read{request.read, from};
  Leader* leader = state.leader();
  if (leader == nullptr || term != state.term) {
    SIM_REACHED("raft.read.refused_not_leader");
    return RefuseRead(state, read);
  }
  AddRead(leader->rounds, read);
}

void OnReadIndexResponse(CoreState& state, const ReadIndexResponse& response) {
  Follower* follower = state.follower();
  if (follower == nullptr) return;
  const auto asked = std::find_if(follower->reads.begin(), follower->reads.end(),
                                  [&](const ForwardedRead& r) { return r.read == response.read; });
  if (asked == follower->reads.end()) {  // given up, or answered twice
    SIM_REACHED("raft.read.late_answer");
    return;
  }
  follower->reads.erase(asked);
  if (!response.ok) return FailRead(state, response.read);
  state.reads_ready.push_back({response.read, response.index});
}

void StartRound(CoreState& state, Leader& leader) {
  ReadRounds& rounds = leader.rounds;
  // Before the term's first commit the leader may not know the last entries that others committed
  // (thesis 6.4).
  if (rounds.under_way || rounds.waiting.empty()) return;
  if (state.commit < leader.term_start && !SEEDED_BUG(kReadBeforeOwnTermCommit)) {
    SIM_REACHED("raft.read.waits_for_own_term");
    return;
  }
  CHECK(rounds.reads.empty());
  ++rounds.round;
  CHECK(!rounds.under_way);
  rounds.under_way = true;
  rounds.index = state.commit;
  rounds.reads.swap(rounds.waiting);
  FinishRound(state, leader);  // at once if this member is a quorum by itself
}

void OnRoundEcho(CoreState& state, Leader& leader, Peer& peer, uint64_t round) {
  CHECK_MSG(round <= leader.rounds.round, "an echo of a round that never began");
  if (round < peer.round_echoed) SIM_REACHED("raft.read.late_echo");
  peer.round_echoed =
      std::max(peer.round_echoed, SEEDED_BUG(kStaleEchoCounted) ? peer.round_sent : round);
  if (leader.rounds.under_way) FinishRound(state, leader);
}

void RecountRound(CoreState& state, Leader& leader) {
  CHECK(state.leader() == &leader);
  if (leader.rounds.under_way) FinishRound(state, leader);
}

void FailReads(CoreState& state) {
  if (Follower* follower = state.follower()) {
    if (!follower->reads.empty()) SIM_REACHED("raft.read.failed_with_leader");
    for (const ForwardedRead& read : std::exchange(follower->reads, {})) FailRead(state, read.read);
  }
  Leader* leader = state.leader();
  if (leader == nullptr) return;
  if (leader->rounds.under_way) SIM_REACHED("raft.read.failed_on_step_down");
  for (const WaitingRead& read : std::exchange(leader->rounds.reads, {})) RefuseRead(state, read);
  for (const WaitingRead& read : std::exchange(leader->rounds.waiting, {})) RefuseRead(state, read);
  leader->rounds.under_way = false;
  CHECK(leader->rounds.reads.empty() && leader->rounds.waiting.empty());
}

void ExpireReads(CoreState& state) {
  Follower* follower = state.follower();
  while (follower != nullptr && !follower->reads.empty() && state.now >= ReadsDeadline(state)) {
    SIM_REACHED("raft.read.forwarded_timed_out");
    FailRead(state, follower->reads.front().read);
    follower->reads.pop_front();
  }
}

Instant ReadsDeadline(const CoreState& state) {
  const Follower* follower = state.follower();
  if (follower == nullptr || follower->reads.empty()) return kNever;
  CHECK(follower->reads.front().asked <= state.now);
  return follower->reads.front().asked + state.config.election_timeout;
}

}  // namespace conclave::raft
