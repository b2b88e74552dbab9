#include "jepsen-style-tests/sim/observed_store.h"

#include <utility>

#include "kvstore/command.h"
#include "raft/base/check.h"

namespace conclave::sim {

namespace {

// The same put, of another value.
Bytes Spoiled(std::string_view command) {
  const absl::StatusOr<kv::Command> decoded = kv::DecodeCommand(command);
  CHECK(decoded.ok());
  etcdserverpb::PutRequest put;
  CHECK(put.ParseFromArray(decoded->request.data(), static_cast<int>(decoded->request.size())));
  put.set_value(put.value() + "!");
  return kv::EncodeCommand(decoded->header, put.SerializeAsString());
}

}  // namespace

ObservedStore::ObservedStore(raft::NodeId member, std::unique_ptr<kv::Store> store, bool lost,
                             RaftInvariants* invariants, StoreObserver* observer)
    : member_(member),
      store_(std::move(store)),
      lost_(lost),
      invariants_(invariants),
      observer_(observer) {}

bool ObservedStore::Spoils(std::string_view command) const {
  return spoil_next_put_ && kv::CommandKind(command.front()) == kv::CommandKind::kPut;
}

kv::ApplyResult ObservedStore::Apply(uint64_t index, uint64_t term, std::string_view command,
                                     bool want_response) {
  const bool spoil = Spoils(command);
  const Bytes spoiled = spoil ? Spoiled(command) : Bytes();
  kv::ApplyResult result =
      store_->Apply(index, term, spoil ? spoiled.view() : command, want_response);
  OnCommand(index, term, command, spoil, result);
  return result;
}

std::optional<kv::ApplyResult> ObservedStore::ApplyIfCached(uint64_t index, uint64_t term,
                                                            std::string_view command,
                                                            bool want_response) {
  const bool spoil = Spoils(command);
  const Bytes spoiled = spoil ? Spoiled(command) : Bytes();
  std::optional<kv::ApplyResult> result =
      store_->ApplyIfCached(index, term, spoil ? spoiled.view() : command, want_response);
  if (result) OnCommand(index, term, command, spoil, *result);
  return result;
}

void ObservedStore::OnCommand(uint64_t index, uint64_t term, std::string_view command, bool spoiled,
                              const kv::ApplyResult& result) {
  if (spoiled) spoil_next_put_ = false;
  wrong_ |= spoiled;
  Tell({.index = index, .term = term, .command = command}, result);
}

void ObservedStore::ApplyNothing(uint64_t index, uint64_t term) {
  store_->ApplyNothing(index, term);
  Tell({.index = index, .term = term}, {});
}

kv::ApplyResult ObservedStore::ApplyConfiguration(uint64_t index, uint64_t term,
                                                  std::string_view configuration,
                                                  std::string_view context, bool want_response) {
  kv::ApplyResult result =
      store_->ApplyConfiguration(index, term, configuration, context, want_response);
  Tell({.index = index, .term = term, .configuration = configuration, .command = context}, result);
  return result;
}

void ObservedStore::Commit() {
  store_->Commit();
  if (buffer_ != nullptr) buffer_->OnCommit();
}

bool ObservedStore::HasRoom() const {
  return store_->HasRoom() && (buffer_ == nullptr || buffer_->HasRoom());
}

void ObservedStore::AwaitRoom(absl::AnyInvocable<void()> then) {
  if (!store_->HasRoom() || buffer_ == nullptr) return store_->AwaitRoom(std::move(then));
  buffer_->AwaitRoom(std::move(then));
}

absl::Status ObservedStore::Adopt(kv::Engine* engine) {
  absl::Status status = store_->Adopt(engine);
  wrong_ = false;
  lost_ = false;
  if (status.ok()) invariants_->OnInstall(member_, store_->position(), store_->revision());
  return status;
}

void ObservedStore::Tell(const AppliedEntry& entry, const kv::ApplyResult& result) {
  const int64_t revision = store_->revision();
  // The rules of Raft know what is inside a kConfiguration entry themselves.
  const std::string_view command = entry.configuration ? std::string_view() : entry.command;
  invariants_->OnApply(member_, entry.index, command, revision);
  if (observer_ != nullptr) observer_->OnApplied(member_, entry, result, revision);
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

absl::StatusOr<kv::HashWork> ObservedStore::PrepareHashKv(int64_t revision) const {
  return store_->PrepareHashKv(revision);
}

}  // namespace conclave::sim
