// Sums over the replicated state, by which members find out that one of them differs (reference:
// behaviour section 10.1). Equal on members with the same history, whatever each has removed
// physically. They read all they sum. Called by Store; apply lane.
#pragma once

#include <cstdint>

#include "kvstore/mvcc/key_space.h"

namespace conclave::kv {

// Of the history up to `revision` that compaction has left, in the order of revisions. `revision`
// must be readable.
uint32_t HashHistory(const KeySpace& keys, int64_t revision);

// Of everything replicated: history, latest records, leases, members, alarms. Between drains only.
uint32_t HashAll(const KeySpace& keys);

}  // namespace conclave::kv
