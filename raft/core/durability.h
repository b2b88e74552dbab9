// Which entries are on this member's stable storage, by write number (design section 3). Writes
// complete in order; what a completed write makes durable ends below the first index of any later
// write still under way, since that write replaces the entries from there on (docs/raft-core.md has
// an example). Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// Appends an entry to the log, to be written with the next AppendTask. A configuration is in force
// from here on.
void AppendEntry(CoreState& state, Entry entry);

// Removes the entries from `index` on, which conflict with the leader's (thesis 3.5). What was
// durable there is no longer ours. Requires index > commit.
void TruncateLog(CoreState& state, LogIndex index);

// Everything not yet handed out as one task, or nothing if there is nothing to write and nothing to
// wait for. What was to be said after it then leaves at once.
std::optional<AppendTask> TakeAppendTask(CoreState& state);

// A write has been handed out and none has completed for an election timeout. A member whose disk
// stalls cannot vote, acknowledge or lead.
bool DiskStalls(const CoreState& state);
// When that will be so unless a write completes; kNever if none is under way.
Instant StallDeadline(const CoreState& state);

// Rule R1: `write` and all before it are on stable storage. True if `durable` advanced.
bool OnAppended(CoreState& state, WriteId write);

}  // namespace conclave::raft
