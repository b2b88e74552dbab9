#include "kvstore/store_oracle.h"

#include <algorithm>

#include "kvstore/errors.h"

namespace conclave::kv {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

bool InRange(const std::string& key, const std::string& begin, const std::string& end) {
  if (end.empty()) return key == begin;
  if (end == std::string(1, '\0')) return key >= begin;
  return begin <= key && key < end;
}

std::vector<KeyValue> Select(const StoreOracle::State& state, const std::string& begin,
                             const std::string& end) {
  std::vector<KeyValue> selected;
  for (const auto& [key, kv] : state) {
    if (InRange(key, begin, end)) selected.push_back(kv);
  }
  return selected;
}

bool Before(RangeRequest::SortTarget target, const KeyValue& a, const KeyValue& b) {
  if (target == RangeRequest::VERSION) return a.version() < b.version();
  if (target == RangeRequest::CREATE) return a.create_revision() < b.create_revision();
  if (target == RangeRequest::MOD) return a.mod_revision() < b.mod_revision();
  if (target == RangeRequest::VALUE) return a.value() < b.value();
  return a.key() < b.key();
}

bool Filtered(const RangeRequest& request, const KeyValue& kv) {
  if (request.min_mod_revision() != 0 && kv.mod_revision() < request.min_mod_revision())
    return true;
  if (request.max_mod_revision() != 0 && kv.mod_revision() > request.max_mod_revision())
    return true;
  if (request.min_create_revision() != 0 && kv.create_revision() < request.min_create_revision()) {
    return true;
  }
  return request.max_create_revision() != 0 && kv.create_revision() > request.max_create_revision();
}

template <typename T>
bool Stands(const T& stored, Compare::CompareResult result, const T& given) {
  if (result == Compare::EQUAL) return stored == given;
  if (result == Compare::NOT_EQUAL) return stored != given;
  if (result == Compare::GREATER) return stored > given;
  return stored < given;
}

bool HoldsFor(const KeyValue& kv, const Compare& compare) {
  switch (compare.target()) {
    case Compare::VERSION:
      return Stands<int64_t>(kv.version(), compare.result(), compare.version());
    case Compare::CREATE:
      return Stands<int64_t>(kv.create_revision(), compare.result(), compare.create_revision());
    case Compare::MOD:
      return Stands<int64_t>(kv.mod_revision(), compare.result(), compare.mod_revision());
    case Compare::LEASE:
      return Stands<int64_t>(kv.lease(), compare.result(), compare.lease());
    default:
      return Stands<std::string>(kv.value(), compare.result(), compare.value());
  }
}

template <typename R>
ApplyResult Done(R response) {
  return {absl::OkStatus(), Response(std::in_place_type<R>, std::move(response))};
}

// For responses that say little more than the revision.
template <typename R>
R ResponseAt(int64_t revision) {
  R response;
  response.mutable_header()->set_revision(revision);
  return response;
}

ApplyResult Failed(absl::Status status) { return {std::move(status), Response()}; }

}  // namespace

void StoreOracle::End(Change change) {
  if (change.changes.empty()) return;
  states_.push_back(std::move(change.state));
  changes_[revision()] = std::move(change.changes);
}

absl::Status StoreOracle::CheckPut(const PutRequest& request) const {
  if (request.lease() != 0 && !leases_.contains(request.lease())) return ErrLeaseNotFound();
  const bool needs_key = request.ignore_value() || request.ignore_lease();
  if (needs_key && !states_.back().contains(request.key())) return ErrKeyNotFound();
  return absl::OkStatus();
}

void StoreOracle::PutIn(Change& change, const PutRequest& request, PutResponse* response) const {
  const int64_t revision_of_change = revision() + 1;
  response->mutable_header()->set_revision(revision_of_change);
  KeyValue& kv = change.state[request.key()];
  if (kv.version() > 0 && request.prev_kv()) *response->mutable_prev_kv() = kv;
  if (kv.version() == 0) kv.set_create_revision(revision_of_change);
  kv.set_key(request.key());
  kv.set_mod_revision(revision_of_change);
  kv.set_version(kv.version() + 1);
  if (!request.ignore_value()) kv.set_value(request.value());
  if (!request.ignore_lease()) kv.set_lease(request.lease());
  change.changes.emplace_back(request.key(), false);
}

void StoreOracle::DeleteIn(Change& change, const DeleteRangeRequest& request,
                           DeleteRangeResponse* response) const {
  for (const KeyValue& kv : Select(change.state, request.key(), request.range_end())) {
    response->set_deleted(response->deleted() + 1);
    if (request.prev_kv()) *response->add_prev_kvs() = kv;
    change.state.erase(kv.key());
    change.changes.emplace_back(kv.key(), true);
  }
  response->mutable_header()->set_revision(CurrentIn(change));
}

ApplyResult StoreOracle::Put(const PutRequest& request) {
  if (absl::Status status = CheckPut(request); !status.ok()) return Failed(status);
  PutResponse response;
  Change change = Begin();
  PutIn(change, request, &response);
  End(std::move(change));
  return Done(std::move(response));
}

ApplyResult StoreOracle::DeleteRange(const DeleteRangeRequest& request) {
  DeleteRangeResponse response;
  Change change = Begin();
  DeleteIn(change, request, &response);
  End(std::move(change));
  return Done(std::move(response));
}

bool StoreOracle::Holds(const Compare& compare) const {
  const auto selected = Select(states_.back(), compare.key(), compare.range_end());
  if (selected.empty()) {
    return compare.target() != Compare::VALUE && HoldsFor(KeyValue(), compare);
  }
  return std::all_of(selected.begin(), selected.end(),
                     [&](const KeyValue& kv) { return HoldsFor(kv, compare); });
}

bool StoreOracle::Succeeds(const TxnRequest& request) const {
  return std::all_of(request.compare().begin(), request.compare().end(),
                     [this](const Compare& compare) { return Holds(compare); });
}

absl::Status StoreOracle::CheckTxn(const TxnRequest& request) const {
  for (const RequestOp& op : Succeeds(request) ? request.success() : request.failure()) {
    absl::Status status;
    if (op.has_request_put()) status = CheckPut(op.request_put());
    if (op.has_request_txn()) status = CheckTxn(op.request_txn());
    if (op.has_request_range() && op.request_range().revision() != 0) {
      if (op.request_range().revision() > revision()) return ErrFutureRevision();
      if (op.request_range().revision() < compact_revision_) return ErrCompacted();
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void StoreOracle::TxnIn(Change& change, const TxnRequest& request, TxnResponse* response) const {
  // The compares of nested transactions look at the state before the whole one, too.
  const bool succeeded = Succeeds(request);
  response->set_succeeded(succeeded);
  for (const RequestOp& op : succeeded ? request.success() : request.failure()) {
    etcdserverpb::ResponseOp* out = response->add_responses();
    if (op.has_request_put()) PutIn(change, op.request_put(), out->mutable_response_put());
    if (op.has_request_delete_range()) {
      DeleteIn(change, op.request_delete_range(), out->mutable_response_delete_range());
    }
    if (op.has_request_txn()) {
      out->mutable_response_txn()->mutable_header();
      TxnIn(change, op.request_txn(), out->mutable_response_txn());
    }
    if (op.has_request_range()) {
      const RangeRequest& range = op.request_range();
      out->mutable_response_range()->mutable_header()->set_revision(CurrentIn(change));
      RangeOf(range.revision() > 0 ? states_[static_cast<size_t>(range.revision())] : change.state,
              range, out->mutable_response_range());
    }
  }
}

ApplyResult StoreOracle::Txn(const TxnRequest& request) {
  if (absl::Status status = CheckTxn(request); !status.ok()) return Failed(status);
  TxnResponse response;
  Change change = Begin();
  TxnIn(change, request, &response);
  End(std::move(change));
  response.mutable_header()->set_revision(revision());
  return Done(std::move(response));
}

ApplyResult StoreOracle::Compact(const etcdserverpb::CompactionRequest& request) {
  if (request.revision() <= compact_revision_) return Failed(ErrCompacted());
  if (request.revision() > revision()) return Failed(ErrFutureRevision());
  compact_revision_ = request.revision();
  return Done(ResponseAt<etcdserverpb::CompactionResponse>(revision()));
}

ApplyResult StoreOracle::LeaseGrant(const etcdserverpb::LeaseGrantRequest& request) {
  if (!leases_.insert(request.id()).second) return Failed(ErrLeaseExists());
  auto response = ResponseAt<etcdserverpb::LeaseGrantResponse>(revision());
  response.set_id(request.id());
  response.set_ttl(request.ttl());
  return Done(std::move(response));
}

std::vector<std::string> StoreOracle::KeysOf(int64_t lease) const {
  std::vector<std::string> keys;
  for (const auto& [key, kv] : states_.back()) {
    if (kv.lease() == lease) keys.push_back(key);
  }
  return keys;
}

ApplyResult StoreOracle::LeaseRevoke(const etcdserverpb::LeaseRevokeRequest& request) {
  if (leases_.erase(request.id()) == 0) return Failed(ErrLeaseNotFound());
  Change change = Begin();
  for (const std::string& key : KeysOf(request.id())) {
    change.state.erase(key);
    change.changes.emplace_back(key, true);
  }
  End(std::move(change));
  return Done(ResponseAt<etcdserverpb::LeaseRevokeResponse>(revision()));
}

absl::Status StoreOracle::Range(const RangeRequest& request, RangeResponse* response) const {
  const int64_t at = request.revision() > 0 ? request.revision() : revision();
  if (at > revision()) return ErrFutureRevision();
  if (at < compact_revision_) return ErrCompacted();
  response->mutable_header()->set_revision(revision());
  RangeOf(states_[static_cast<size_t>(at)], request, response);
  return absl::OkStatus();
}

void StoreOracle::RangeOf(const State& state, const RangeRequest& request,
                          RangeResponse* response) {
  std::vector<KeyValue> kvs = Select(state, request.key(), request.range_end());
  response->set_count(static_cast<int64_t>(kvs.size()));
  if (request.count_only()) return;
  const size_t before_filters = kvs.size();
  std::erase_if(kvs, [&](const KeyValue& kv) { return Filtered(request, kv); });
  const bool any_filter = request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
                          request.min_create_revision() != 0 || request.max_create_revision() != 0;
  const size_t limit = request.limit() > 0 ? static_cast<size_t>(request.limit()) : before_filters;
  // The quirk: without an order, only the first keys are looked at.
  if (request.sort_order() == RangeRequest::NONE && !any_filter && kvs.size() > limit + 1) {
    kvs.resize(limit + 1);
  }
  const RangeRequest::SortTarget target = request.sort_target();
  const bool descending = request.sort_order() == RangeRequest::DESCEND;
  std::stable_sort(kvs.begin(), kvs.end(), [&](const KeyValue& a, const KeyValue& b) {
    return descending ? Before(target, b, a) : Before(target, a, b);
  });
  if (kvs.size() > limit) {
    kvs.resize(limit);
    response->set_more(true);
  }
  for (KeyValue& kv : kvs) {
    if (request.keys_only()) kv.clear_value();
    *response->add_kvs() = kv;
  }
}

}  // namespace conclave::kv
