// Entries that this member has acknowledged, or may have, and that damage to its disk has taken:
// "unknown", not "absent" (design section 3). Whoever counted on them is still counting, so until a
// leader has filled them up this member neither campaigns nor votes: its log looks shorter than
// what it has promised (compare the recovery of Viewstamped Replication). Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// True while lost entries are not all filled up.
bool IsIncomplete(const CoreState& state);

// `durable` or the commit index advanced: they may be filled up now.
void MaybeComplete(CoreState& state);

// Follower: the leader counts on `commit`, which is beyond the end of this member's log. Tells it
// what is really there.
void TellLoss(CoreState& state, NodeId leader, LogIndex commit, uint64_t round);

}  // namespace conclave::raft
