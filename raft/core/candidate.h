// Elections: first a pre-vote that changes nothing (thesis 9.6), then the real one (3.4). Only
// voters campaign (4.2.2). Answering other members' requests is in votes.h. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// False for who has no vote, has lost entries, takes a snapshot in, or has a disk that stalls.
bool CanLead(const CoreState& state);

// The election timeout has passed: asks whether an election could be won, or holds it at once if no
// other voter is needed. A member that cannot win stays in its term, so that it disturbs nobody
// when it comes back.
void StartPreVote(CoreState& state);

// Enters the next term and asks for votes. With `transfer`, members that hear the old leader vote
// all the same (3.10).
void StartElection(CoreState& state, bool transfer);

// `term` is the response's: our own, or for a granted pre-vote the one it was asked for.
void OnVoteResponse(CoreState& state, NodeId from, Term term, const VoteResponse& response);

// `write` and all before it are durable. A candidate's vote for itself counts from then on.
void CountOwnVote(CoreState& state, WriteId write);

}  // namespace conclave::raft
