// Granting votes and pre-votes: what every member does when another one asks, whatever its role and
// whoever is in the configuration (thesis 3.4, 3.6.1, 4.2.2, 9.6). Asking for them is in
// candidate.h. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// `term` is the request's: our own, or for a pre-vote the one that its sender would campaign in.
// The answer to a real vote leaves once the vote is durable; that to a pre-vote changes nothing
// here and leaves at once.
void OnVoteRequest(CoreState& state, NodeId from, Term term, const VoteRequest& request);

}  // namespace conclave::raft
