// How each kind of command changes the store: the part of mvcc_store.h that Apply dispatches to.

#include <google/protobuf/io/coded_stream.h>

#include <utility>

#include "kvstore/engine/cached_only.h"
#include "kvstore/errors.h"
#include "kvstore/mvcc/compaction.h"
#include "kvstore/mvcc/txn.h"
#include "kvstore/mvcc/write_txn.h"
#include "kvstore/mvcc_store.h"
#include "kvstore/validate.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

using etcdserverpb::Member;
using etcdserverpb::MemberPromoteRequest;
using etcdserverpb::MemberRemoveRequest;
using etcdserverpb::MemberUpdateRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

// Deeper than any transaction that passes validation on the way in.
constexpr int kMessageDepthMax = 1000;

// Fatal if the bytes are no such message: they were parsed once before they entered the log.
template <typename Message>
void Parse(std::string_view bytes, Message& message) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(kMessageDepthMax);
  if (!message.ParseFromCodedStream(&in)) {
    Fatal("a log entry holds no " + message.GetTypeName());
  }
}

template <typename Message>
Message Parse(std::string_view bytes) {
  Message message;
  Parse(bytes, message);
  return message;
}

// Where to write a response of type R, or null if nobody wants one.
template <typename R>
R* Wanted(bool want_response, ApplyResult& result) {
  return want_response ? &result.response.emplace<R>() : nullptr;
}

}  // namespace

ApplyResult MvccStore::ApplyCommand(const Command& command, bool want_response) {
  switch (command.header.kind) {
    case CommandKind::kPut:
      return ApplyPut(command.request, want_response);
    case CommandKind::kDeleteRange:
      return ApplyDeleteRange(command.request, want_response);
    case CommandKind::kTxn:
      return ApplyTransaction(command.request, want_response);
    case CommandKind::kCompact:
      return ApplyCompact(command.request);
    case CommandKind::kLeaseGrant:
      return ApplyLeaseGrant(command.request);
    case CommandKind::kLeaseRevoke:
      return ApplyLeaseRevoke(command.request);
    case CommandKind::kLeaseCheckpoint:
      return ApplyLeaseCheckpoint(command.request);
    case CommandKind::kMemberAttributes:
      return ApplyMemberAttributes(command.request);
    case CommandKind::kAlarm:
      return ApplyAlarm(command.request, AlarmCause::kRequest);
    case CommandKind::kQuotaAlarm:
      return ApplyAlarm(command.request, AlarmCause::kQuota);
    case CommandKind::kDivergenceAlarm:
      return ApplyAlarm(command.request, AlarmCause::kDivergence);
    case CommandKind::kMemberAdd:
      return ApplyMemberAdd(command.request);
    case CommandKind::kMemberRemove:
      return ApplyMemberRemove(command.request);
    case CommandKind::kMemberPromote:
      return ApplyMemberPromote(command.request);
    case CommandKind::kMemberUpdate:
      return ApplyMemberUpdate(command.request);
  }
  Fatal("a log entry holds an unknown kind of command");
}

bool MvccStore::IsCold(const CachedOnly& cached_only) {
  cold_ = cached_only.missed() && !SEEDED_BUG(kColdPutApplied);
  if (cold_) SIM_REACHED("kv.apply.cold");
  return cold_;
}

ApplyResult MvccStore::ApplyPut(std::string_view request, bool want_response) {
  Parse(request, put_);
  if (SEEDED_BUG(kPutSpoiled) && want_response && position_.index % 16 == 0) put_.set_value("");
  ApplyResult result;
  if (alarms_.IsOn(etcdserverpb::NOSPACE) && !SEEDED_BUG(kPutWithoutSpace)) {
    result.status = ErrNoSpace();
    return result;
  }
  std::optional<std::string_view> stored;
  {
    const CachedOnly cached_only(!may_wait_);
    result.status = CheckPut(*keys_, lessor_, put_);
    if (result.status.ok()) stored = keys_->latest.Get(put_.key());
    if (IsCold(cached_only)) return result;
  }
  if (!result.status.ok()) return result;
  WriteTxn write(keys_.get(), &lessor_);
  write.Put(put_, stored, Wanted<etcdserverpb::PutResponse>(want_response, result));
  write.Finish();
  return result;
}

ApplyResult MvccStore::ApplyDeleteRange(std::string_view request, bool want_response) {
  Parse(request, delete_range_);
  ApplyResult result;
  if (SEEDED_BUG(kDeleteNeedsSpace) && alarms_.IsOn(etcdserverpb::NOSPACE)) {
    result.status = ErrNoSpace();
    return result;
  }
  if (!may_wait_ && delete_range_.range_end().empty()) {
    const CachedOnly cached_only;
    keys_->latest.LookUp(delete_range_.key());
    if (IsCold(cached_only)) return result;
  }
  WriteTxn write(keys_.get(), &lessor_);
  write.DeleteRange(delete_range_,
                    Wanted<etcdserverpb::DeleteRangeResponse>(want_response, result));
  write.Finish();
  return result;
}

ApplyResult MvccStore::ApplyTransaction(std::string_view request, bool want_response) {
  const auto txn = Parse<TxnRequest>(request);
  ApplyResult result;
  if (alarms_.IsOn(etcdserverpb::NOSPACE) && SpaceFor(txn) != 0) {
    result.status = ErrNoSpace();
    return result;
  }
  if (ReadsPast(txn)) {
    SIM_REACHED("kv.txn.reads_past");
    WriteOut();
  }
  PreparedTxn prepared(&txn);
  {
    const CachedOnly cached_only(!may_wait_);
    result.status = prepared.Prepare(*keys_, lessor_);
    if (IsCold(cached_only)) return result;
  }
  if (!result.status.ok()) return result;
  prepared.Apply(keys_.get(), &lessor_, Wanted<etcdserverpb::TxnResponse>(want_response, result));
  return result;
}

// ---- What commands look up. ----

std::vector<ColdRead> MvccStore::ColdReadsOf(const std::vector<std::string_view>& keys) const {
  std::vector<ColdRead> reads;
  for (const std::string_view key : keys) {
    const CachedOnly cached_only;
    keys_->latest.LookUp(key);
    if (!cached_only.missed()) continue;
    reads.push_back([engine = engine_, latest_key = LatestKey(key)] { engine->Get(latest_key); });
  }
  return reads;
}

std::vector<ColdRead> MvccStore::ColdReads(std::string_view command) const {
  const absl::StatusOr<Command> decoded = DecodeCommand(command);
  if (!decoded.ok()) return {};
  switch (decoded->header.kind) {
    case CommandKind::kPut:
      return ColdReadsOf({Parse<etcdserverpb::PutRequest>(decoded->request).key()});
    case CommandKind::kDeleteRange: {
      const auto request = Parse<etcdserverpb::DeleteRangeRequest>(decoded->request);
      if (request.range_end().empty()) return ColdReadsOf({request.key()});
      return {};
    }
    case CommandKind::kTxn:
      return ColdReads(Parse<TxnRequest>(decoded->request));
    default:
      return {};
  }
}

std::optional<std::vector<ColdRead>> MvccStore::ColdReads(
    const etcdserverpb::RangeRequest& request) const {
  const bool present = request.revision() <= 0 || request.revision() == keys_->revision;
  if (!present || !request.range_end().empty()) return std::nullopt;
  return ColdReadsOf({request.key()});
}

std::vector<ColdRead> MvccStore::ColdReads(const TxnRequest& request) const {
  return ColdReadsOf(KeysLookedUp(request));
}

ApplyResult MvccStore::ApplyCompact(std::string_view request) {
  ApplyResult result;
  result.status = Compact(keys_.get(), Parse<etcdserverpb::CompactionRequest>(request).revision());
  if (!result.status.ok()) return result;
  compacted_ = true;
  result.response.emplace<etcdserverpb::CompactionResponse>().mutable_header()->set_revision(
      keys_->revision);
  return result;
}

ApplyResult MvccStore::ApplyLeaseGrant(std::string_view request) {
  const auto grant = Parse<etcdserverpb::LeaseGrantRequest>(request);
  ApplyResult result;
  result.status =
      alarms_.IsOn(etcdserverpb::NOSPACE)
          ? ErrNoSpace()
          : lessor_.Grant(grant.id(), grant.ttl(), position_.index + 1, keys_->drain.batch());
  if (!result.status.ok()) return result;
  auto& response = result.response.emplace<etcdserverpb::LeaseGrantResponse>();
  response.mutable_header()->set_revision(keys_->revision);
  response.set_id(grant.id());
  response.set_ttl(*lessor_.GrantedTtl(grant.id()));
  return result;
}

ApplyResult MvccStore::ApplyLeaseRevoke(std::string_view request) {
  const int64_t id = Parse<etcdserverpb::LeaseRevokeRequest>(request).id();
  ApplyResult result;
  if (!lessor_.Exists(id)) {
    SIM_REACHED("lease.revoked_twice");
    result.status = ErrLeaseNotFound();
    return result;
  }
  if (!keys_->drain.empty()) SIM_REACHED("lease.revoked_amid_drain");
  if (!SEEDED_BUG(kRevokeMissesDrain)) {
    WriteOut();  // the lessor reads the attached keys from the engine
  }
  WriteTxn write(keys_.get(), &lessor_);
  for (const std::string& key : lessor_.Keys(id)) write.DeleteKey(key);
  write.Finish();
  result.status = lessor_.Revoke(id, keys_->drain.batch());
  result.response.emplace<etcdserverpb::LeaseRevokeResponse>().mutable_header()->set_revision(
      keys_->revision);
  return result;
}

// Also without space: it makes nothing grow, and a renewal may wait for it.
ApplyResult MvccStore::ApplyLeaseCheckpoint(std::string_view request) {
  const auto checkpoint = Parse<etcdserverpb::LeaseCheckpointRequest>(request);
  LeaseCheckpoints checkpoints{.leases = {}, .newest_grant = checkpoint.newest_grant()};
  for (const etcdserverpb::LeaseCheckpoint& lease : checkpoint.checkpoints()) {
    checkpoints.leases.push_back({lease.id(), lease.remaining_ttl()});
  }
  lessor_.Checkpoint(checkpoints, keys_->drain.batch());
  return {};
}

ApplyResult MvccStore::ApplyMemberAttributes(std::string_view request) {
  ApplyResult result;
  result.status = members_.SetAttributes(Parse<Member>(request), keys_->drain.batch());
  return result;
}

ApplyResult MvccStore::ApplyAlarm(std::string_view request, AlarmCause cause) {
  ApplyResult result;
  auto& response = result.response.emplace<etcdserverpb::AlarmResponse>();
  alarms_.Apply(Parse<etcdserverpb::AlarmRequest>(request), cause, keys_->drain.batch(), &response);
  response.mutable_header()->set_revision(keys_->revision);
  return result;
}

// ---- Membership. Every answer lists the members as they are then. ----

template <typename R>
ApplyResult MvccStore::MembershipResult(absl::Status status) const {
  ApplyResult result;
  result.status = std::move(status);
  if (!result.status.ok()) return result;
  R& response = result.response.emplace<R>();
  response.mutable_header()->set_revision(keys_->revision);
  for (Member& member : members_.List()) *response.add_members() = std::move(member);
  return result;
}

ApplyResult MvccStore::ApplyMemberAdd(std::string_view request) {
  const auto member = Parse<Member>(request);
  ApplyResult result =
      MembershipResult<etcdserverpb::MemberAddResponse>(members_.Add(member, keys_->drain.batch()));
  if (auto* response = std::get_if<etcdserverpb::MemberAddResponse>(&result.response)) {
    *response->mutable_member() = *members_.Find(member.id());
  }
  return result;
}

ApplyResult MvccStore::ApplyMemberRemove(std::string_view request) {
  const uint64_t id = Parse<MemberRemoveRequest>(request).id();
  return MembershipResult<etcdserverpb::MemberRemoveResponse>(
      members_.Remove(id, keys_->drain.batch()));
}

ApplyResult MvccStore::ApplyMemberPromote(std::string_view request) {
  const uint64_t id = Parse<MemberPromoteRequest>(request).id();
  return MembershipResult<etcdserverpb::MemberPromoteResponse>(
      members_.Promote(id, keys_->drain.batch()));
}

ApplyResult MvccStore::ApplyMemberUpdate(std::string_view request) {
  return MembershipResult<etcdserverpb::MemberUpdateResponse>(
      members_.Update(Parse<MemberUpdateRequest>(request), keys_->drain.batch()));
}

absl::Status MvccStore::CheckMemberChange(CommandKind kind, std::string_view request) const {
  switch (kind) {
    case CommandKind::kMemberAdd:
      return members_.CheckAdd(Parse<Member>(request));
    case CommandKind::kMemberRemove:
      return members_.CheckRemove(Parse<MemberRemoveRequest>(request).id());
    case CommandKind::kMemberPromote:
      return members_.CheckPromote(Parse<MemberPromoteRequest>(request).id());
    case CommandKind::kMemberUpdate:
      return members_.CheckUpdate(Parse<MemberUpdateRequest>(request));
    default:
      CHECK_MSG(false, "a check of what changes no membership");
  }
}

}  // namespace conclave::kv
