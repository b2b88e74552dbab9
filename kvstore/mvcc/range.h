// Range reads with all their options (reference: behaviour section 3.2), of the latest state or of
// the past. Called by Store and, inside transactions, by txn.h; apply lane.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// Whether a Range may read `revision`. Errors: future revision, compacted.
absl::Status CheckReadable(const KeySpace& keys, int64_t revision);

// Fills in all but the header's other fields. `current` is the revision that the reader sees as the
// newest: one ahead of keys.revision inside a transaction that has changed something. The request
// has been validated and its revision is readable.
void ReadRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request, int64_t current,
               etcdserverpb::RangeResponse& response);

}  // namespace conclave::kv
