// Checks a request before it enters the log, so that a malformed one costs nothing (reference:
// behaviour sections 3.2-3.6). Called by server/api on an I/O lane. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// Errors are of the errors table, in the reference's order of checks.
absl::Status Validate(const etcdserverpb::RangeRequest& request);
absl::Status Validate(const etcdserverpb::PutRequest& request);
absl::Status Validate(const etcdserverpb::DeleteRangeRequest& request);
// Both branches, recursively: operation counts, each operation, duplicate keys.
absl::Status Validate(const etcdserverpb::TxnRequest& request, size_t max_ops);

// True if no operation of either branch can write: it needs no log entry.
bool IsReadOnly(const etcdserverpb::TxnRequest& request);
// Of a read-only one: true if every range in it is serializable (also if there is none).
bool IsSerializable(const etcdserverpb::TxnRequest& request);

// What it may take up, for the quota (reference: behaviour section 10.3): of a transaction, the
// branch that takes more. 0 if nothing, however its compares go.
uint64_t SpaceFor(const etcdserverpb::PutRequest& request);
uint64_t SpaceFor(const etcdserverpb::TxnRequest& request);
inline constexpr uint64_t kSpaceForLease = 64;

}  // namespace conclave::kv
