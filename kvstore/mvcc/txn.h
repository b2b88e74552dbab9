// Transactions: which branches are taken, whether they can be carried out, and carrying them out as
// one revision (reference: behaviour section 3.6). Called by Store; apply lane.
#pragma once

#include "absl/status/status.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// True if carrying it out may read the past: the drain must then be written first.
bool ReadsPast(const etcdserverpb::TxnRequest& request);

// Carries out a validated transaction; `response` may be null. An error leaves no trace. Errors, of
// the taken branches: future revision, compacted, lease not found, key not found.
absl::Status ApplyTxn(KeySpace* keys, Lessor* lessor, const etcdserverpb::TxnRequest& request,
                      etcdserverpb::TxnResponse* response);

// One that writes nothing (IsReadOnly of validate.h). Errors: future revision, compacted.
absl::Status ReadTxn(const KeySpace& keys, const etcdserverpb::TxnRequest& request,
                     etcdserverpb::TxnResponse* response);

}  // namespace conclave::kv
