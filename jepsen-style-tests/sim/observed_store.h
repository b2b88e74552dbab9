// A state machine that tells RaftInvariants, and one observer more, of everything that is applied
// to it, and is otherwise the store it holds. Stands between the stages and the real store of a
// simulated member, on its lane.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "jepsen-style-tests/sim/full_buffer.h"
#include "jepsen-style-tests/sim/raft_invariants.h"
#include "kvstore/store.h"

namespace conclave::sim {

// What a store was given of one entry.
struct AppliedEntry {
  uint64_t index = 0;
  uint64_t term = 0;
  // The encoded configuration of a change of membership; nothing for every other entry.
  std::optional<std::string_view> configuration = {};
  std::string_view command = {};  // empty for an entry without one
};

class StoreObserver {
 public:
  virtual ~StoreObserver() = default;
  // Right after the entry. `result` has a response only where somebody waits for it; `revision` is
  // the store's now.
  virtual void OnApplied(raft::NodeId member, const AppliedEntry& entry,
                         const kv::ApplyResult& result, int64_t revision) = 0;
};

class ObservedStore final : public kv::Store {
 public:
  // `invariants` has been told of the start of this run before the first call. `observer` may be
  // null. Both outlive this. `lost` as server::Recovered::state_lost.
  ObservedStore(raft::NodeId member, std::unique_ptr<kv::Store> store, bool lost,
                RaftInvariants* invariants, StoreObserver* observer);

  void SetBuffer(std::unique_ptr<FullBuffer> buffer) { buffer_ = std::move(buffer); }

  // The next put is applied here with another value: from then on this member's state is wrong,
  // until another one is adopted.
  void SpoilNextPut() { spoil_next_put_ = true; }
  bool spoils_next_put() const { return spoil_next_put_; }
  bool wrong() const { return wrong_; }
  // It holds no state, until one is adopted.
  bool lost() const { return lost_; }

  kv::ApplyResult Apply(uint64_t index, uint64_t term, std::string_view command,
                        bool want_response) override;
  std::optional<kv::ApplyResult> ApplyIfCached(uint64_t index, uint64_t term,
                                               std::string_view command,
                                               bool want_response) override;
  std::vector<kv::ColdRead> ColdReads(std::string_view command) const override {
    return store_->ColdReads(command);
  }
  std::optional<std::vector<kv::ColdRead>> ColdReads(
      const etcdserverpb::RangeRequest& request) const override {
    return store_->ColdReads(request);
  }
  std::vector<kv::ColdRead> ColdReads(const etcdserverpb::TxnRequest& request) const override {
    return store_->ColdReads(request);
  }
  void ApplyNothing(uint64_t index, uint64_t term) override;
  kv::ApplyResult ApplyConfiguration(uint64_t index, uint64_t term, std::string_view configuration,
                                     std::string_view context, bool want_response) override;
  void Commit() override;
  bool HasRoom() const override;
  void AwaitRoom(absl::AnyInvocable<void()> then) override;
  uint64_t applied_index() const override { return store_->applied_index(); }
  kv::LogPosition position() const override { return store_->position(); }
  uint64_t chain() const override { return store_->chain(); }
  uint64_t installed_index() const override { return store_->installed_index(); }
  absl::Status Adopt(kv::Engine* engine) override;

  int64_t revision() const override { return store_->revision(); }
  int64_t compact_revision() const override { return store_->compact_revision(); }
  std::vector<kv::SharedRevisionEvents> ReadEvents(int64_t from, size_t revisions_max,
                                                   size_t bytes_max) const override;
  std::optional<kv::Record> RecordAt(std::string_view key, kv::Revision revision) const override;

  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) const override;
  absl::StatusOr<bool> RangeIfShort(const etcdserverpb::RangeRequest& request,
                                    etcdserverpb::RangeResponse* response) const override {
    return store_->RangeIfShort(request, response);
  }
  absl::StatusOr<std::unique_ptr<kv::RangeView>> ViewRange(
      const etcdserverpb::RangeRequest& request, const kv::RangeProgress& progress) const override {
    return store_->ViewRange(request, progress);
  }
  absl::StatusOr<kv::RangeWork> PrepareRange(
      const etcdserverpb::RangeRequest& request) const override {
    return store_->PrepareRange(request);
  }
  absl::Status ReadOnlyTxn(const etcdserverpb::TxnRequest& request,
                           etcdserverpb::TxnResponse* response) const override;
  absl::StatusOr<kv::HashWork> PrepareHashKv(int64_t revision) const override;
  kv::HashWork PrepareHash() const override { return store_->PrepareHash(); }
  std::vector<etcdserverpb::Member> Members() const override { return store_->Members(); }
  bool IsRemoved(uint64_t member) const override { return store_->IsRemoved(member); }
  absl::Status CheckMemberChange(kv::CommandKind kind, std::string_view request) const override {
    return store_->CheckMemberChange(kind, request);
  }
  std::vector<etcdserverpb::AlarmMember> Alarms() const override { return store_->Alarms(); }
  bool IsQuotaAlarmOn(uint64_t member) const override { return store_->IsQuotaAlarmOn(member); }
  bool IsDivergenceAlarmOn(uint64_t member) const override {
    return store_->IsDivergenceAlarmOn(member);
  }
  bool IsCorrupt() const override { return store_->IsCorrupt(); }
  uint64_t KeptBytes() const override { return store_->KeptBytes(); }
  uint64_t SizeBytes() const override { return store_->SizeBytes(); }

  kv::Lessor& lessor() override { return store_->lessor(); }
  kv::WatchHub& watches() override { return store_->watches(); }

  bool CompactStep() override { return store_->CompactStep(); }
  int64_t compacted_physically() const override { return store_->compacted_physically(); }

 private:
  // Whether the command is applied with another value.
  bool Spoils(std::string_view command) const;
  void OnCommand(uint64_t index, uint64_t term, std::string_view command, bool spoiled,
                 const kv::ApplyResult& result);
  void Tell(const AppliedEntry& entry, const kv::ApplyResult& result);

  const raft::NodeId member_;
  const std::unique_ptr<kv::Store> store_;
  bool lost_;
  RaftInvariants* const invariants_;
  StoreObserver* const observer_;
  std::unique_ptr<FullBuffer> buffer_;  // null: never full
  bool spoil_next_put_ = false;
  bool wrong_ = false;
};

}  // namespace conclave::sim
