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

// Follower: a heartbeat says how far the leader counts on this member. What is left of the log may
// be an older beginning that the lost records had replaced, so that is no proof of anything: only
// an AppendRequest, which names the entry before, shows what matches. Tells the leader what is
// there.
void TellLoss(CoreState& state, NodeId leader, const Heartbeat& heartbeat);

}  // namespace conclave::raft
