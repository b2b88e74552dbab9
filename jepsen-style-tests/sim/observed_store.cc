#include "jepsen-style-tests/sim/observed_store.h"

#include <utility>

namespace conclave::sim {

ObservedStore::ObservedStore(raft::NodeId member, std::unique_ptr<kv::Store> store,
                             RaftInvariants* invariants, StoreObserver* observer)
    : member_(member), store_(std::move(store)), invariants_(invariants), observer_(observer) {}

kv::ApplyResult ObservedStore::Apply(uint64_t index, std::string_view command, bool want_response) {
  kv::ApplyResult result = store_->Apply(index, command, want_response);
  Tell(index, command, result);
  return result;
}

void ObservedStore::ApplyNothing(uint64_t index) {
  store_->ApplyNothing(index);
  Tell(index, {}, {});
}

void ObservedStore::Tell(uint64_t index, std::string_view command, const kv::ApplyResult& result) {
  const int64_t revision = store_->revision();
  invariants_->OnApply(member_, index, command, revision);
  if (observer_ != nullptr) observer_->OnApplied(member_, index, command, result, revision);
}

std::vector<kv::SharedRevisionEvents> ObservedStore::ReadEvents(int64_t from, size_t revisions_max,
                                                                size_t bytes_max) const {
  return store_->ReadEvents(from, revisions_max, bytes_max);
}

std::optional<kv::Record> ObservedStore::RecordAt(std::string_view key,
                                                  kv::Revision revision) const {
  return store_->RecordAt(key, revision);
}

absl::Status ObservedStore::Range(const etcdserverpb::RangeRequest& request,
                                  etcdserverpb::RangeResponse* response) const {
  return store_->Range(request, response);
}

absl::Status ObservedStore::ReadOnlyTxn(const etcdserverpb::TxnRequest& request,
                                        etcdserverpb::TxnResponse* response) const {
  return store_->ReadOnlyTxn(request, response);
}

absl::StatusOr<kv::HashResult> ObservedStore::HashKv(int64_t revision) const {
  return store_->HashKv(revision);
}

}  // namespace conclave::sim
