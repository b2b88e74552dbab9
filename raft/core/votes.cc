#include "raft/core/votes.h"

#include "raft/base/check.h"
#include "raft/core/follower.h"

namespace conclave::raft {
namespace {

// One vote per term (thesis 3.4), and none once the term has its leader.
bool MayVoteFor(const CoreState& state, NodeId candidate) {
  CHECK(candidate != kNoNode);
  if (state.vote == kNoNode) return state.LeaderId() == kNoNode;
  return state.vote == candidate;
}

void AnswerPreVote(CoreState& state, NodeId from, Term term, bool up_to_date) {
  CHECK(term >= state.term);
  const bool granted = up_to_date && (term > state.term || MayVoteFor(state, from));
  state.Send(from, VoteResponse{.pre_vote = true, .granted = granted});
  // A grant carries the term it is for. A refusal carries our own, so that a candidate that is
  // behind catches up.
  if (granted) state.messages.back().term = term;
}

void AnswerVote(CoreState& state, NodeId from, bool up_to_date) {
  const bool granted = up_to_date && MayVoteFor(state, from);
  if (granted) {
    state.hard_state_dirty |= state.vote != from;
    state.vote = from;
    ResetElectionTimer(state);
  }
  CHECK(!granted || state.vote == from);
  state.SendAfterDurable(from, VoteResponse{.pre_vote = false, .granted = granted});
}

}  // namespace

void OnVoteRequest(CoreState& state, NodeId from, Term term, const VoteRequest& request) {
  CHECK(request.pre_vote || term == state.term);
  const bool up_to_date = state.log.NoMoreUpToDateThan(request.last_index, request.last_term);
  if (request.pre_vote) return AnswerPreVote(state, from, term, up_to_date);
  AnswerVote(state, from, up_to_date);
}

}  // namespace conclave::raft
