// Transactions: which branches are taken, whether they can be carried out, and carrying them out as
// one revision (reference: behaviour section 3.6). Called by Store; apply lane.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// True if carrying it out may read the past: the drain must then be written first.
bool ReadsPast(const etcdserverpb::TxnRequest& request);

// A validated transaction, to be carried out on a state that does not change between the two steps.
class PreparedTxn {
 public:
  // `request` must outlive it.
  explicit PreparedTxn(const etcdserverpb::TxnRequest* request) : request_(request) {}
  // Decides which branches are taken and looks up what Apply will, as far as that is single keys.
  // Errors, of the taken branches: future revision, compacted, lease not found, key not found.
  absl::Status Prepare(const KeySpace& keys, const Lessor& lessor);
  // After a Prepare that was OK. `response` may be null.
  void Apply(KeySpace* keys, Lessor* lessor, etcdserverpb::TxnResponse* response) const;

 private:
  const etcdserverpb::TxnRequest* const request_;
  std::vector<bool> path_;
};

// The single keys of which it may look up the present record: compares and both branches. They
// point into the request.
std::vector<std::string_view> KeysLookedUp(const etcdserverpb::TxnRequest& request);

// One that writes nothing (IsReadOnly of validate.h). Errors: future revision, compacted.
absl::Status ReadTxn(const KeySpace& keys, const etcdserverpb::TxnRequest& request,
                     etcdserverpb::TxnResponse* response);

}  // namespace conclave::kv
