// Compaction of revisions (reference: behaviour section 3.7). The command only records the
// revision, and reads below it fail at once on every member; the dead versions are removed
// afterwards, in small steps, by each member for itself, and a restart goes on where it was. Work
// is proportional to the history compacted, whatever the number of keys. Called by Store; apply
// lane.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "kvstore/mvcc/key_space.h"

namespace conclave::kv {

// Reads back what the engine knows of compaction. DataLoss if it is damaged.
absl::Status LoadCompaction(KeySpace* keys);

// The command. Errors: compacted, future revision.
absl::Status Compact(KeySpace* keys, int64_t revision);

// Puts what Compact has changed of this member's own progress into the drain's batch: apart from
// the command's effects, which are the same on every member.
void SaveProgress(KeySpace* keys);

// Looks at up to `events_max` more events of the history to be compacted and removes what is dead
// because of them; true if there is more to do. Between drains only.
bool CompactStep(KeySpace* keys, size_t events_max);

}  // namespace conclave::kv
