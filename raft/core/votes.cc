#include "raft/core/votes.h"

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/follower.h"
#include "raft/core/lost_entries.h"

namespace conclave::raft {
namespace {

// One vote per term (thesis 3.4), and none once the term has its leader.
bool MayVoteFor(const CoreState& state, NodeId candidate) {
  CHECK(candidate != kNoNode);
  if (state.term == Term(0)) return false;  // whoever campaigns has begun a term
  if (IsIncomplete(state)) {
    SIM_REACHED("raft.vote.refused_lost_entries");
    return false;
  }
  if (state.vote == kNoNode) return state.LeaderId() == kNoNode;
  if (state.vote != candidate) SIM_REACHED("raft.vote.refused_already_voted");
  return state.vote == candidate;
}

void AnswerPreVote(CoreState& state, NodeId from, Term term, bool up_to_date) {
  CHECK(term >= state.term);
  const bool free = term > state.term && !IsIncomplete(state);
  const bool granted = up_to_date && (free || MayVoteFor(state, from));
  state.Send(from, VoteResponse{.pre_vote = true, .granted = granted});
  // A grant carries the term it is for. A refusal carries our own, so that a candidate that is
  // behind catches up.
  if (granted) state.messages.back().term = term;
}

void AnswerVote(CoreState& state, NodeId from, bool up_to_date) {
  const bool granted = up_to_date && MayVoteFor(state, from);
  if (granted) {
    if (state.vote == from) SIM_REACHED("raft.vote.granted_again");
    state.hard_state_dirty |= state.vote != from;
    state.vote = from;
    ResetElectionTimer(state);
  }
  CHECK(!granted || state.vote == from);
  CHECK(!granted || state.leader() == nullptr);  // who leads has voted for itself
  if (SEEDED_BUG(kVoteBeforeSync)) {
    return state.Send(from, VoteResponse{.pre_vote = false, .granted = granted});
  }
  state.SendAfterDurable(from, VoteResponse{.pre_vote = false, .granted = granted});
}

}  // namespace

void OnVoteRequest(CoreState& state, NodeId from, Term term, const VoteRequest& request) {
  CHECK(request.pre_vote || term == state.term);
  CHECK(from != state.config.id);
  const bool up_to_date = SEEDED_BUG(kVoteForStaleLog) ||
                          state.log.NoMoreUpToDateThan(request.last_index, request.last_term);
  if (!up_to_date) {
    if (request.pre_vote) SIM_REACHED("raft.prevote.refused_stale_log");
    if (!request.pre_vote) SIM_REACHED("raft.vote.refused_stale_log");
  }
  if (request.pre_vote) return AnswerPreVote(state, from, term, up_to_date);
  AnswerVote(state, from, up_to_date);
}

}  // namespace conclave::raft
