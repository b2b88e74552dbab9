#include "kvstore/validate.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "kvstore/errors.h"

namespace conclave::kv {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

absl::Status ValidateOperations(const Operations& operations, size_t max_ops);

// Operation counts and single operations, of this transaction and those inside it.
absl::Status ValidateEach(const TxnRequest& request, size_t max_ops) {
  const auto ops = static_cast<size_t>(
      std::max({request.compare_size(), request.success_size(), request.failure_size()}));
  if (ops > max_ops) return ErrTooManyOps();
  for (const etcdserverpb::Compare& compare : request.compare()) {
    if (compare.key().empty()) return ErrEmptyKey();
  }
  absl::Status status = ValidateOperations(request.success(), max_ops - ops);
  if (status.ok()) status = ValidateOperations(request.failure(), max_ops - ops);
  return status;
}

// `nested_max` operations are left to transactions inside this one.
absl::Status ValidateOperations(const Operations& operations, size_t nested_max) {
  for (const RequestOp& op : operations) {
    absl::Status status;
    switch (op.request_case()) {
      case RequestOp::kRequestRange:
        status = Validate(op.request_range());
        break;
      case RequestOp::kRequestPut:
        status = Validate(op.request_put());
        break;
      case RequestOp::kRequestDeleteRange:
        status = Validate(op.request_delete_range());
        break;
      case RequestOp::kRequestTxn:
        status = ValidateEach(op.request_txn(), nested_max);
        break;
      case RequestOp::REQUEST_NOT_SET:
        status = ErrKeyNotFound();
        break;
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Which keys a branch writes, with everything nested in it. Points into the request.
struct Written {
  std::set<std::string_view> puts;
  std::vector<const DeleteRangeRequest*> deletes;

  // A range_end of one zero byte is compared like any other here and so holds no key, which lets a
  // put beside a delete of all keys from one on pass: a quirk that clients may rely on
  // (reference 3.6).
  bool Deletes(std::string_view key) const {
    return std::any_of(deletes.begin(), deletes.end(), [key](const DeleteRangeRequest* range) {
      if (range->range_end().empty()) return key == range->key();
      return range->key() <= key && key < range->range_end();
    });
  }
};

// Adds what one branch of a nested transaction writes to the branch around it. `exclusive` are the
// puts of its other branch, which may repeat here, since only one of the two is taken.
absl::Status AddNested(const Written& nested, const std::set<std::string_view>& exclusive,
                       Written& outer) {
  for (const std::string_view key : nested.puts) {
    if (outer.Deletes(key)) return ErrDuplicateKey();
    if (!outer.puts.insert(key).second && !exclusive.contains(key)) return ErrDuplicateKey();
  }
  return absl::OkStatus();
}

// Collects what the branch writes. Errors: duplicate key.
absl::Status CollectWritten(const Operations& operations, Written& written) {
  for (const RequestOp& op : operations) {
    if (op.has_request_delete_range()) written.deletes.push_back(&op.request_delete_range());
  }
  for (const RequestOp& op : operations) {
    if (!op.has_request_txn()) continue;
    Written success;
    Written failure;
    absl::Status status = CollectWritten(op.request_txn().success(), success);
    if (status.ok()) status = CollectWritten(op.request_txn().failure(), failure);
    if (status.ok()) status = AddNested(success, {}, written);
    if (status.ok()) status = AddNested(failure, success.puts, written);
    if (!status.ok()) return status;
    // Only now: what one branch deletes does not exclude what the other puts.
    for (const Written* branch : {&success, &failure}) {
      written.deletes.insert(written.deletes.end(), branch->deletes.begin(), branch->deletes.end());
    }
  }
  for (const RequestOp& op : operations) {
    if (!op.has_request_put()) continue;
    const std::string_view key = op.request_put().key();
    if (written.Deletes(key) || !written.puts.insert(key).second) return ErrDuplicateKey();
  }
  return absl::OkStatus();
}

template <typename Predicate>
bool AllOperations(const TxnRequest& request, Predicate predicate) {
  return std::all_of(request.success().begin(), request.success().end(), predicate) &&
         std::all_of(request.failure().begin(), request.failure().end(), predicate);
}

}  // namespace

absl::Status Validate(const RangeRequest& request) {
  if (request.key().empty()) return ErrEmptyKey();
  if (!RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return ErrInvalidSortOption();
  }
  return absl::OkStatus();
}

absl::Status Validate(const PutRequest& request) {
  if (request.key().empty()) return ErrEmptyKey();
  if (request.ignore_value() && !request.value().empty()) return ErrValueProvided();
  if (request.ignore_lease() && request.lease() != 0) return ErrLeaseProvided();
  return absl::OkStatus();
}

absl::Status Validate(const DeleteRangeRequest& request) {
  return request.key().empty() ? ErrEmptyKey() : absl::OkStatus();
}

absl::Status Validate(const TxnRequest& request, size_t max_ops) {
  absl::Status status = ValidateEach(request, max_ops);
  if (!status.ok()) return status;
  for (const Operations* branch : {&request.success(), &request.failure()}) {
    Written written;
    if (status = CollectWritten(*branch, written); !status.ok()) return status;
  }
  return absl::OkStatus();
}

bool IsReadOnly(const TxnRequest& request) {
  return AllOperations(request, [](const RequestOp& op) { return op.has_request_range(); });
}

bool IsSerializable(const TxnRequest& request) {
  return AllOperations(request, [](const RequestOp& op) {
    return op.has_request_range() && op.request_range().serializable();
  });
}

uint64_t SpaceFor(const PutRequest& request) {
  constexpr uint64_t kOverhead = 256;
  return kOverhead + request.key().size() + request.value().size();
}

uint64_t SpaceFor(const TxnRequest& request) {
  const auto sum = [](const Operations& branch) {
    uint64_t space = 0;
    for (const RequestOp& op : branch) {
      if (op.has_request_put()) space += SpaceFor(op.request_put());
      if (op.has_request_txn()) space += SpaceFor(op.request_txn());
    }
    return space;
  };
  return std::max(sum(request.success()), sum(request.failure()));
}

}  // namespace conclave::kv
