// The follower: takes entries and heartbeats from the leader of its term, and notices when that
// leader falls silent (thesis 3.4, 3.5). Granting votes is in votes.h. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// Enters `term` (or stays in it) without a leader, or with one. What belonged to another role or
// leader ends: its reads fail.
void BecomeFollower(CoreState& state, Term term, NodeId leader);

// A random time in [T, 2T) from now (thesis 3.4).
void ResetElectionTimer(CoreState& state);

// The leader of this term spoke.
void HearLeader(CoreState& state, NodeId leader);

void OnAppendRequest(CoreState& state, NodeId from, const AppendRequest& request);
void OnHeartbeat(CoreState& state, NodeId from, const Heartbeat& heartbeat);

// True if this member has heard from a leader so recently that nobody should be asking for votes
// (thesis 6.2, 4.2.3). A leader whose connection was lost does not count: everybody saw it break,
// so everybody may agree on a successor at once.
bool HearsLeader(const CoreState& state);

// The connection to `peer` was lost. If it leads, this member need not wait out the silence: it
// asks for pre-votes soon, at a random moment so that the others' requests do not collide with its
// own.
void OnLeaderUnreachable(CoreState& state, NodeId peer);

// The follower's and the candidate's timer: reads without an answer, and the election timeout.
void OnFollowerWoke(CoreState& state);
Instant FollowerDeadline(const CoreState& state);

}  // namespace conclave::raft
