#include "kvstore/mvcc/txn.h"

#include <cstddef>
#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/mvcc/range.h"
#include "kvstore/mvcc/write_txn.h"
#include "raft/base/check.h"

namespace conclave::kv {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::ResponseOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

// The outcome of each compare list, for the transaction itself and then for those nested in taken
// branches, in the order in which they are met. Decided before anything is written: nested compares
// do not see the outer transaction's changes.
using Path = std::vector<bool>;

// Follows a path while its transaction is walked.
class PathReader {
 public:
  explicit PathReader(const Path& path) : path_(path) {}
  bool Next() {
    CHECK(at_ < path_.size());
    return path_[at_++];
  }

 private:
  const Path& path_;
  size_t at_ = 0;
};

const Operations& Branch(const TxnRequest& request, bool succeeded) {
  return succeeded ? request.success() : request.failure();
}

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

// How the record stands to the compare's value. A member of the union that does not fit the target
// reads as 0 or empty.
int Order(const RecordView& record, const Compare& compare) {
  switch (compare.target()) {
    case Compare::VERSION:
      return Order(record.version, compare.version());
    case Compare::CREATE:
      return Order(record.create_revision, compare.create_revision());
    case Compare::MOD:
      return Order(record.mod.main, compare.mod_revision());
    case Compare::VALUE:
      return Order(record.value, std::string_view(compare.value()));
    case Compare::LEASE:
      return Order(record.lease, compare.lease());
    default:
      return 0;
  }
}

bool Holds(const RecordView& record, const Compare& compare) {
  const int order = Order(record, compare);
  switch (compare.result()) {
    case Compare::EQUAL:
      return order == 0;
    case Compare::NOT_EQUAL:
      return order != 0;
    case Compare::GREATER:
      return order > 0;
    case Compare::LESS:
      return order < 0;
    default:
      return true;
  }
}

bool Holds(const KeySpace& keys, const Compare& compare) {
  bool any = false;
  bool all = true;
  keys.latest.Scan(KeySpan::Of(compare.key(), compare.range_end()),
                   [&](std::string_view, const RecordView& record) {
                     any = true;
                     all = Holds(record, compare);
                     return all;
                   });
  if (any) return all;
  // An absent key has no value to compare with, and zero for everything else.
  return compare.target() != Compare::VALUE && Holds(RecordView(), compare);
}

void FindPath(const KeySpace& keys, const TxnRequest& request, Path& path) {
  bool succeeded = true;
  for (const Compare& compare : request.compare()) succeeded = succeeded && Holds(keys, compare);
  path.push_back(succeeded);
  for (const RequestOp& op : Branch(request, succeeded)) {
    if (op.has_request_txn()) FindPath(keys, op.request_txn(), path);
  }
}

// Unlike the Range request, a transaction calls a negative revision compacted as well: a quirk
// (reference 3.2).
absl::Status CheckRange(const KeySpace& keys, const RangeRequest& request) {
  if (request.revision() == 0) return absl::OkStatus();
  if (request.revision() > keys.revision) return ErrFutureRevision();
  if (request.revision() < keys.compact_revision) return ErrCompacted();
  return absl::OkStatus();
}

template <typename Request>
void LookUpIfSingle(const KeySpace& keys, const Request& request) {
  if (request.range_end().empty()) keys.latest.LookUp(request.key());
}

// Whether all operations of the taken branches can be carried out on the state as it is before the
// transaction. Looks up their keys as well: what is not in memory is met here, where nothing has
// been changed yet.
absl::Status Check(const KeySpace& keys, const Lessor* lessor, const TxnRequest& request,
                   PathReader& path) {
  for (const RequestOp& op : Branch(request, path.Next())) {
    absl::Status status;
    switch (op.request_case()) {
      case RequestOp::kRequestRange:
        status = CheckRange(keys, op.request_range());
        LookUpIfSingle(keys, op.request_range());
        break;
      case RequestOp::kRequestPut:
        status = CheckPutInTxn(keys, *lessor, op.request_put());
        keys.latest.LookUp(op.request_put().key());
        break;
      case RequestOp::kRequestDeleteRange:
        LookUpIfSingle(keys, op.request_delete_range());
        break;
      case RequestOp::kRequestTxn:
        status = Check(keys, lessor, op.request_txn(), path);
        break;
      case RequestOp::REQUEST_NOT_SET:
        break;
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Carries out the taken branches. `write` is null for a transaction that only reads, `response` if
// nobody wants it.
void Execute(const KeySpace& keys, WriteTxn* write, const TxnRequest& request, PathReader& path,
             TxnResponse* response) {
  const bool succeeded = path.Next();
  if (response != nullptr) response->set_succeeded(succeeded);
  for (const RequestOp& op : Branch(request, succeeded)) {
    ResponseOp* out = response == nullptr ? nullptr : response->add_responses();
    switch (op.request_case()) {
      case RequestOp::kRequestRange:
        if (out == nullptr) break;
        ReadRange(keys, op.request_range(), write == nullptr ? keys.revision : write->revision(),
                  *out->mutable_response_range());
        break;
      case RequestOp::kRequestPut:
        write->Put(op.request_put(), keys.latest.Get(op.request_put().key()),
                   out == nullptr ? nullptr : out->mutable_response_put());
        break;
      case RequestOp::kRequestDeleteRange:
        write->DeleteRange(op.request_delete_range(),
                           out == nullptr ? nullptr : out->mutable_response_delete_range());
        break;
      case RequestOp::kRequestTxn: {
        TxnResponse* nested = out == nullptr ? nullptr : out->mutable_response_txn();
        if (nested != nullptr) nested->mutable_header();  // present but empty (reference: wire 5)
        Execute(keys, write, op.request_txn(), path, nested);
        break;
      }
      case RequestOp::REQUEST_NOT_SET:
        break;
    }
  }
}

template <typename Request>
void AddIfSingle(const Request& request, std::vector<std::string_view>& keys) {
  if (request.range_end().empty()) keys.push_back(request.key());
}

void AddKeysLookedUp(const TxnRequest& request, std::vector<std::string_view>& keys) {
  for (const Compare& compare : request.compare()) AddIfSingle(compare, keys);
  for (const Operations* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_range()) AddIfSingle(op.request_range(), keys);
      if (op.has_request_put()) keys.push_back(op.request_put().key());
      if (op.has_request_delete_range()) AddIfSingle(op.request_delete_range(), keys);
      if (op.has_request_txn()) AddKeysLookedUp(op.request_txn(), keys);
    }
  }
}

}  // namespace

bool ReadsPast(const TxnRequest& request) {
  for (const Operations* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_range() && op.request_range().revision() > 0) return true;
      if (op.has_request_txn() && ReadsPast(op.request_txn())) return true;
    }
  }
  return false;
}

absl::Status PreparedTxn::Prepare(const KeySpace& keys, const Lessor& lessor) {
  FindPath(keys, *request_, path_);
  PathReader checked(path_);
  return Check(keys, &lessor, *request_, checked);
}

void PreparedTxn::Apply(KeySpace* keys, Lessor* lessor, TxnResponse* response) const {
  WriteTxn write(keys, lessor);
  PathReader taken(path_);
  Execute(*keys, &write, *request_, taken, response);
  if (response != nullptr) response->mutable_header()->set_revision(write.revision());
  write.Finish();
}

std::vector<std::string_view> KeysLookedUp(const TxnRequest& request) {
  std::vector<std::string_view> keys;
  AddKeysLookedUp(request, keys);
  return keys;
}

absl::Status ReadTxn(const KeySpace& keys, const TxnRequest& request, TxnResponse* response) {
  Path path;
  FindPath(keys, request, path);
  PathReader checked(path);
  if (absl::Status status = Check(keys, nullptr, request, checked); !status.ok()) return status;

  response->mutable_header()->set_revision(keys.revision);
  PathReader taken(path);
  Execute(keys, nullptr, request, taken, response);
  return absl::OkStatus();
}

}  // namespace conclave::kv
