// The changes of one command: all get the same main revision and positions inside it, or there is
// no new revision at all (reference: behaviour sections 2, 3.4, 3.5). Whoever makes one checks
// first that nothing can fail on the way. Made by Store and by txn.h for one command; apply lane.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// What a Put needs beyond its own validity. Errors: lease not found, key not found; the lease is
// looked at first.
absl::Status CheckPut(const KeySpace& keys, const Lessor& lessor,
                      const etcdserverpb::PutRequest& request);
// The same for a put of a transaction, where the key is looked at first, as in etcd.
absl::Status CheckPutInTxn(const KeySpace& keys, const Lessor& lessor,
                           const etcdserverpb::PutRequest& request);

class WriteTxn {
 public:
  WriteTxn(KeySpace* keys, Lessor* lessor);

  // The revision that a read inside the command sees as the newest.
  int64_t revision() const { return changes_ == 0 ? keys_->revision : events_.revision; }

  // `stored` is Latest::Get of the key; `response` may be null. Requires CheckPut to have passed.
  void Put(const etcdserverpb::PutRequest& request, std::optional<std::string_view> stored,
           etcdserverpb::PutResponse* response);
  void DeleteRange(const etcdserverpb::DeleteRangeRequest& request,
                   etcdserverpb::DeleteRangeResponse* response);
  // A key that exists.
  void DeleteKey(std::string_view key);

  // Makes the changes the newest revision, if there are any. Call once, at the end.
  void Finish();

 private:
  Revision NextRevision() const { return {events_.revision, changes_}; }
  void DeleteRecord(std::string_view key, Revision previous, uint64_t value_bytes, int64_t lease);
  void AddReplaced(std::string_view value);
  // Writes the event and the pointer to it.
  void AddEvent(const EventView& event);

  KeySpace* const keys_;
  Lessor* const lessor_;
  int64_t changes_ = 0;
  RevisionEvents events_;  // of all changes, or of none if nobody wants them
};

}  // namespace conclave::kv
