// The leader: how its term begins, its heartbeats, and how it notices that nobody follows it
// (thesis 3.4, 6.2). Sending and counting entries is in replication.h, proposals in proposals.h,
// reads in reads.h, its successor in transfer.h. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// The election is won: begins the term with a no-op, so that what earlier terms left can be
// committed (thesis 3.6.2).
void BecomeLeader(CoreState& state);

// When this leader will have been without a quorum for an election timeout (thesis 6.2); kNever if
// it is one by itself.
Instant QuorumDeadline(const CoreState& state);

// The leader's timers: heartbeats, check-quorum, the end of a transfer's patience.
void OnLeaderWoke(CoreState& state);
Instant LeaderDeadline(const CoreState& state);

// Anything from `from` in this term shows that it is alive and follows.
void HearPeer(CoreState& state, NodeId from);

}  // namespace conclave::raft
