// The Store on the versioned keys of kvstore/mvcc: takes commands apart, hands each to the part it
// concerns, and ends every drain with one engine batch that also says how far the log has been
// applied. Made by Store::Open; apply lane.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kvstore/alarms.h"
#include "kvstore/command.h"
#include "kvstore/engine/cached_only.h"
#include "kvstore/members.h"
#include "kvstore/mvcc/hash.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/result_table.h"
#include "kvstore/store.h"

namespace conclave::kv {

class MvccStore final : public Store {
 public:
  MvccStore(Engine* engine, const StoreOptions& options);

  // Reads everything back from the engine, or sets up an empty one. DataLoss if the content is not
  // a store's.
  absl::Status Load(const std::vector<etcdserverpb::Member>& members);

  int64_t revision() const override { return keys_->revision; }
  int64_t compact_revision() const override { return keys_->compact_revision; }
  std::vector<SharedRevisionEvents> ReadEvents(int64_t from, size_t revisions_max,
                                               size_t bytes_max) const override;
  std::optional<Record> RecordAt(std::string_view key, Revision revision) const override;

  ApplyResult Apply(uint64_t index, uint64_t term, std::string_view command,
                    bool want_response) override;
  std::optional<ApplyResult> ApplyIfCached(uint64_t index, uint64_t term, std::string_view command,
                                           bool want_response) override;
  std::vector<ColdRead> ColdReads(std::string_view command) const override;
  std::optional<std::vector<ColdRead>> ColdReads(
      const etcdserverpb::RangeRequest& request) const override;
  std::vector<ColdRead> ColdReads(const etcdserverpb::TxnRequest& request) const override;
  void ApplyNothing(uint64_t index, uint64_t term) override;
  ApplyResult ApplyConfiguration(uint64_t index, uint64_t term, std::string_view configuration,
                                 std::string_view context, bool want_response) override;
  void Commit() override;
  bool HasRoom() const override { return engine_->HasRoom(); }
  void AwaitRoom(absl::AnyInvocable<void()> then) override { engine_->AwaitRoom(std::move(then)); }
  uint64_t applied_index() const override { return position_.index; }
  LogPosition position() const override { return position_; }
  uint64_t chain() const override { return chain_; }
  uint64_t installed_index() const override { return installed_index_; }
  absl::Status Adopt(Engine* engine) override;

  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) const override;
  absl::StatusOr<bool> RangeIfShort(const etcdserverpb::RangeRequest& request,
                                    etcdserverpb::RangeResponse* response) const override;
  absl::StatusOr<std::unique_ptr<RangeView>> ViewRange(
      const etcdserverpb::RangeRequest& request, const RangeProgress& progress) const override;
  absl::StatusOr<RangeWork> PrepareRange(const etcdserverpb::RangeRequest& request) const override;
  absl::Status ReadOnlyTxn(const etcdserverpb::TxnRequest& request,
                           etcdserverpb::TxnResponse* response) const override;
  absl::StatusOr<HashWork> PrepareHashKv(int64_t revision) const override;
  HashWork PrepareHash() const override;
  std::vector<etcdserverpb::Member> Members() const override { return members_.List(); }
  bool IsRemoved(uint64_t member) const override { return members_.IsRemoved(member); }
  absl::Status CheckMemberChange(CommandKind kind, std::string_view request) const override;
  std::vector<etcdserverpb::AlarmMember> Alarms() const override { return alarms_.List(); }
  bool IsAlarmOn(etcdserverpb::AlarmType type) const override { return alarms_.IsOn(type); }
  bool IsQuotaAlarmOn(uint64_t member) const override { return alarms_.IsOnForQuota(member); }
  bool IsDivergenceAlarmOn(uint64_t member) const override {
    return alarms_.IsOnForDivergence(member);
  }
  bool IsCorrupt() const override { return alarms_.IsCorrupt(); }
  uint64_t SizeBytes() const override { return engine_->SizeBytes(); }
  uint64_t KeptBytes() const override { return keys_->kept_bytes; }

  Lessor& lessor() override { return lessor_; }
  WatchHub& watches() override { return *watches_; }

  bool CompactStep() override;
  int64_t compacted_physically() const override { return keys_->compaction.finished; }

 private:
  // What is there to be summed up, in a view of the engine.
  HashedState StateIn(const EngineReader& view) const;
  // Of an engine that holds a store.
  absl::Status LoadAll();
  absl::Status LoadState();
  void SetUp(const std::vector<etcdserverpb::Member>& members);

  // Begins and ends an entry.
  void BeginEntry(uint64_t index);
  void EndEntry(uint64_t index, uint64_t term, const absl::Status& outcome);
  // Makes the engine hold all commands applied so far, in the middle of a drain or at its end.
  void WriteOut();
  void BalanceCounts();

  // Whether the command that is being applied has to wait, and so may not go on.
  bool IsCold(const CachedOnly& cached_only);
  std::vector<ColdRead> ColdReadsOf(const std::vector<std::string_view>& keys) const;

  ApplyResult ApplyEncoded(uint64_t index, std::string_view command, bool want_response);
  // A command with an identity: carried out unless its id has a result.
  ApplyResult ApplyOnce(uint64_t index, const Command& command, bool want_response);
  // One command each. The response is left empty unless `want_response`.
  ApplyResult ApplyCommand(const Command& command, bool want_response);
  ApplyResult ApplyPut(std::string_view request, bool want_response);
  ApplyResult ApplyDeleteRange(std::string_view request, bool want_response);
  ApplyResult ApplyTransaction(std::string_view request, bool want_response);
  ApplyResult ApplyCompact(std::string_view request);
  ApplyResult ApplyLeaseGrant(std::string_view request);
  ApplyResult ApplyLeaseRevoke(std::string_view request);
  ApplyResult ApplyLeaseCheckpoint(std::string_view request);
  ApplyResult ApplyMemberAttributes(std::string_view request);
  ApplyResult ApplyAlarm(std::string_view request, AlarmCause cause);
  template <typename R>
  ApplyResult MembershipResult(absl::Status status) const;
  ApplyResult ApplyMemberAdd(std::string_view request);
  ApplyResult ApplyMemberRemove(std::string_view request);
  ApplyResult ApplyMemberPromote(std::string_view request);
  ApplyResult ApplyMemberUpdate(std::string_view request);

  const StoreOptions options_;
  Engine* engine_;
  std::unique_ptr<KeySpace> keys_;  // of engine_
  Lessor lessor_;
  class Members members_;
  class Alarms alarms_;
  ResultTable results_;
  LogPosition position_;
  uint64_t chain_ = 0;
  size_t entry_begin_ = 0;  // in the drain's batch, of the entry that is being applied
  uint64_t installed_index_ = 0;
  uint64_t written_index_ = 0;  // the engine's position
  bool compacted_ = false;      // in this drain
  std::unique_ptr<WatchHub> watches_;

  bool may_wait_ = true;  // for the disk, in the command that is being applied
  bool cold_ = false;     // it would have to

  // Parsed into again and again, for their buffers.
  etcdserverpb::PutRequest put_;
  etcdserverpb::DeleteRangeRequest delete_range_;
};

}  // namespace conclave::kv
