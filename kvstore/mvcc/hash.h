// Sums over the replicated state, by which members find out that one of them differs (reference:
// behaviour section 10.1). Equal on members with the same history, whatever each has removed
// physically. They read all they sum, so a store of some size is summed up in the background. Pure
// functions, any lane.
#pragma once

#include <cstdint>

#include "kvstore/engine/engine.h"

namespace conclave::kv {

// A state between two drains, and what the reader alone does not say of it.
struct HashedState {
  const EngineReader* engine = nullptr;
  int64_t compact_revision = -1;
  bool removal_finished = true;  // nothing is left that compaction has yet to remove
};

// Of the history up to `revision` that compaction has left, in the order of revisions. `revision`
// must be readable.
uint32_t HashHistory(const HashedState& state, int64_t revision);

// Of everything replicated: history up to `revision`, the newest, latest records, leases, members,
// alarms, results of requests.
uint32_t HashAll(const HashedState& state, int64_t revision);

}  // namespace conclave::kv
