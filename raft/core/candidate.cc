#include "raft/core/candidate.h"

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/durability.h"
#include "raft/core/follower.h"
#include "raft/core/leader.h"
#include "raft/core/lost_entries.h"
#include "raft/core/quorum.h"
#include "raft/core/reads.h"

namespace conclave::raft {
namespace {

// The requests carry the term campaigned in. They leave after everything so far is durable: a
// member that forgot its vote for itself in a crash could vote for another in the same term, or win
// the same term twice.
void AskForVotes(CoreState& state, const Candidate& candidate, Term term) {
  CHECK(term == state.term || candidate.pre_vote);
  const VoteRequest request{.pre_vote = candidate.pre_vote,
                            .transfer = candidate.transfer,
                            .last_index = state.log.last_index(),
                            .last_term = state.log.last_term()};
  for (NodeId member : state.configuration().Members()) {
    if (member == state.config.id || !state.configuration().IsVoter(member)) continue;
    if (SEEDED_BUG(kCampaignBeforeSync)) {
      state.Send(member, request);
      state.messages.back().term = term;
      continue;
    }
    state.SendAfterDurable(member, request);
    state.after_durable.back().term = term;
  }
}

Candidate& BecomeCandidate(CoreState& state, Candidate candidate) {
  CHECK(CanLead(state));
  CHECK(state.leader() == nullptr);
  FailReads(state);
  ResetElectionTimer(state);
  return state.role.emplace<Candidate>(std::move(candidate));
}

void CountVote(CoreState& state, NodeId voter, bool granted) {
  CHECK(state.candidate() != nullptr);
  CHECK(voter == state.config.id || state.configuration().IsVoter(voter));
  Candidate& candidate = *state.candidate();
  candidate.votes.emplace(voter, granted);
  const VoteResult result = TallyVotes(state.configuration(), [&](NodeId node) {
    const auto vote = candidate.votes.find(node);
    return vote == candidate.votes.end() ? std::nullopt : std::optional(vote->second);
  });
  switch (result) {
    case VoteResult::kPending:
      return;
    case VoteResult::kWon:
      if (!candidate.pre_vote) return BecomeLeader(state);
      if (CanLead(state)) return StartElection(state, /*transfer=*/false);
      return BecomeFollower(state, state.term, kNoNode);  // its disk has come to stall meanwhile
    case VoteResult::kLost:  // a new attempt comes with the election timer
      SIM_REACHED("raft.election.lost");
      return BecomeFollower(state, state.term, kNoNode);
  }
}

}  // namespace

bool CanLead(const CoreState& state) {
  return state.MayCampaign() && !IsIncomplete(state) && !state.installing.has_value() &&
         !DiskStalls(state);
}

void StartPreVote(CoreState& state) {
  CHECK(state.leader() == nullptr);
  if (state.candidate() != nullptr) SIM_REACHED("raft.election.tried_again");
  const Candidate& candidate =
      BecomeCandidate(state, {.pre_vote = true, .transfer = false, .own_vote = {}, .votes = {}});
  AskForVotes(state, candidate, state.term.Next());
  CountVote(state, state.config.id, true);
}

void StartElection(CoreState& state, bool transfer) {
  CHECK(state.leader() == nullptr);
  ++state.term;
  state.vote = state.config.id;
  state.hard_state_dirty = true;
  const Candidate& candidate = BecomeCandidate(
      state,
      {.pre_vote = false, .transfer = transfer, .own_vote = state.last_write.Next(), .votes = {}});
  CHECK(candidate.own_vote > state.last_write);  // it is yet to be written
  AskForVotes(state, candidate, state.term);
}

void OnVoteResponse(CoreState& state, NodeId from, Term term, const VoteResponse& response) {
  CHECK(from != state.config.id);
  CHECK(term == state.term || (response.pre_vote && response.granted));
  const Candidate* candidate = state.candidate();
  if (candidate == nullptr || candidate->pre_vote != response.pre_vote) {
    SIM_REACHED("raft.election.late_answer");
    return;
  }
  if (!state.configuration().IsVoter(from)) return;
  const bool for_next_term = response.pre_vote && response.granted;
  if (term != (for_next_term ? state.term.Next() : state.term)) return;
  CountVote(state, from, response.granted);
}

void CountOwnVote(CoreState& state, WriteId write) {
  CHECK(write <= state.last_write);
  const Candidate* candidate = state.candidate();
  if (candidate == nullptr || candidate->pre_vote || write < candidate->own_vote) return;
  CHECK(state.vote == state.config.id);
  CountVote(state, state.config.id, true);
}

}  // namespace conclave::raft
