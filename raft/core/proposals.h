// Proposals: appended by the leader, passed on by a follower that knows one, refused by everybody
// else. Whatever is not refused either gets into the log in exactly the term in which it was
// stepped, or never does (docs/decisions/0003). Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// This member's own clients'.
void OnProposed(CoreState& state, std::vector<Proposal> proposals);
// Another member's. `term` is its request's; only the leader of that very term takes them.
void OnProposeRequest(CoreState& state, NodeId from, Term term, const ProposeRequest& request);
// Counts in any term: what was refused once was never appended.
void OnProposeResponse(CoreState& state, const ProposeResponse& response);

// Appends an entry of this leader's term.
void AppendAsLeader(CoreState& state, Leader& leader, EntryKind kind, Bytes payload);

}  // namespace conclave::raft
