#include "kvstore/store_oracle.h"

#include <algorithm>

#include "kvstore/errors.h"
#include "kvstore/oracle_rules.h"
#include "kvstore/request_identity.h"

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

SelectedPairs Select(const StoreOracle::State& state, const std::string& begin,
                     const std::string& end) {
  SelectedPairs selected;
  for (const auto& [key, kv] : state) {
    if (InRange(key, begin, end)) selected.push_back(&kv);
  }
  return selected;
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

bool StoreOracle::Knows(const std::string& id) const {
  return std::any_of(results_.begin(), results_.end(),
                     [&](const Result& known) { return known.id == id; });
}

ApplyResult StoreOracle::Once(const std::string& id, const std::string& request,
                              const std::function<ApplyResult()>& run) {
  for (const Result& known : results_) {
    if (known.id != id) continue;
    return known.request == request ? known.result : Failed(ErrRequestIdReused());
  }
  results_.push_back({id, request, run()});
  if (results_.size() > results_max_) results_.erase(results_.begin());
  return results_.back().result;
}

absl::Status StoreOracle::CheckLease(const PutRequest& request) const {
  if (request.lease() != 0 && !leases_.contains(request.lease())) return ErrLeaseNotFound();
  return absl::OkStatus();
}

absl::Status StoreOracle::CheckKept(const PutRequest& request) const {
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
  for (const KeyValue* kv : Select(change.state, request.key(), request.range_end())) {
    response->set_deleted(response->deleted() + 1);
    if (request.prev_kv()) *response->add_prev_kvs() = *kv;
    change.changes.emplace_back(kv->key(), true);
    change.state.erase(change.changes.back().first);
  }
  response->mutable_header()->set_revision(CurrentIn(change));
}

ApplyResult StoreOracle::Put(const PutRequest& request) {
  if (absl::Status status = CheckLease(request); !status.ok()) return Failed(status);
  if (absl::Status status = CheckKept(request); !status.ok()) return Failed(status);
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

bool StoreOracle::Succeeds(const TxnRequest& request) const {
  return std::all_of(
      request.compare().begin(), request.compare().end(), [this](const Compare& compare) {
        return Holds(compare, Select(states_.back(), compare.key(), compare.range_end()));
      });
}

absl::Status StoreOracle::CheckTxn(const TxnRequest& request) const {
  for (const RequestOp& op : Succeeds(request) ? request.success() : request.failure()) {
    absl::Status status;
    if (op.has_request_put()) {
      status = CheckKept(op.request_put());
      if (status.ok()) status = CheckLease(op.request_put());
    }
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
      const State& read =
          range.revision() > 0 ? states_[static_cast<size_t>(range.revision())] : change.state;
      AnswerRange(Select(read, range.key(), range.range_end()), range,
                  out->mutable_response_range());
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
  AnswerRange(Select(states_[static_cast<size_t>(at)], request.key(), request.range_end()), request,
              response);
  return absl::OkStatus();
}

}  // namespace conclave::kv
