// The Maintenance service (reference: behaviour section 10).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "kvstore/errors.h"
#include "server/api/service.h"

namespace conclave::server {

namespace {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::DefragmentRequest;
using etcdserverpb::DefragmentResponse;
using etcdserverpb::HashKVRequest;
using etcdserverpb::HashKVResponse;
using etcdserverpb::HashRequest;
using etcdserverpb::HashResponse;
using etcdserverpb::MoveLeaderRequest;
using etcdserverpb::MoveLeaderResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;

void FillHeader(const ApiContext& context, etcdserverpb::ResponseHeader* header) {
  context.node->FillHeader(header);
  header->set_revision(context.node->store().revision());
}

// One line as Protobuf's text form prints an alarm.
std::string AlarmText(const AlarmMember& alarm) {
  return "memberID:" + std::to_string(alarm.memberid()) +
         " alarm:" + etcdserverpb::AlarmType_Name(alarm.alarm()) + " ";
}

void Status(const ApiContext& context, const CallRef& call, StatusRequest&, std::string_view) {
  const raft::CoreStatus raft = context.node->Status();
  kv::Store& store = context.node->store();
  StatusResponse response;
  FillHeader(context, response.mutable_header());
  response.set_version(context.options->reported_version);
  response.set_storageversion(WithoutPatch(context.options->reported_version));
  const uint64_t size = store.SizeBytes();
  response.set_dbsize(static_cast<int64_t>(size));
  // Tools show the difference as what a defragmentation would give back.
  response.set_dbsizeinuse(static_cast<int64_t>(std::min(size, store.KeptBytes())));
  response.set_dbsizequota(context.options->quota_bytes);
  response.set_leader(context.node->leader().value());
  response.set_raftindex(raft.commit.value());
  response.set_raftappliedindex(raft.applied.value());
  response.set_raftterm(raft.term.value());
  response.set_islearner(context.node->IsLearner());
  response.mutable_downgradeinfo();
  if (context.node->leader() == raft::kNoNode) {
    response.add_errors(std::string(kv::ErrNoLeader().message()));
  }
  for (const AlarmMember& alarm : store.Alarms()) response.add_errors(AlarmText(alarm));
  call->Reply(response);
}

void ListAlarms(const ApiContext& context, const CallRef& call, const AlarmRequest& request) {
  AlarmResponse response;
  FillHeader(context, response.mutable_header());
  for (const AlarmMember& alarm : context.node->store().Alarms()) {
    if (request.alarm() == etcdserverpb::NONE || request.alarm() == alarm.alarm()) {
      *response.add_alarms() = alarm;
    }
  }
  call->Reply(response);
}

void Alarm(const ApiContext& context, const CallRef& call, AlarmRequest& request,
           std::string_view bytes) {
  switch (request.action()) {
    case AlarmRequest::GET:
      return ListAlarms(context, call, request);
    case AlarmRequest::ACTIVATE:
    case AlarmRequest::DEACTIVATE:
      return ProposeAndReply<AlarmResponse>(context, call, kv::CommandKind::kAlarm, bytes);
    default:
      return call->Finish(absl::InvalidArgumentError("etcdserver: unknown alarm action"));
  }
}

// Space comes back by itself (design section 5), so there is nothing to wait for.
void Defragment(const ApiContext&, const CallRef& call, DefragmentRequest&, std::string_view) {
  call->Reply(DefragmentResponse());
}

// As of now, and answered later: a store of some size takes a while to read.
template <typename Response>
void SumUp(const ApiContext& context, const CallRef& call, kv::HashWork work,
           void (*fill)(const kv::HashResult& sum, Response& response)) {
  Response response;
  FillHeader(context, response.mutable_header());
  auto sum = std::make_shared<kv::HashResult>();
  context.node->ReadBehind([work = std::move(work), sum]() mutable { *sum = work(); },
                           [call, response, sum, fill](const absl::Status& status) mutable {
                             if (!status.ok()) return call->Finish(status);
                             fill(*sum, response);
                             call->Reply(response);
                           });
}

void Hash(const ApiContext& context, const CallRef& call, HashRequest&, std::string_view) {
  SumUp<HashResponse>(
      context, call, context.node->store().PrepareHash(),
      [](const kv::HashResult& sum, HashResponse& response) { response.set_hash(sum.hash); });
}

void HashKv(const ApiContext& context, const CallRef& call, HashKVRequest& request,
            std::string_view) {
  absl::StatusOr<kv::HashWork> work = context.node->store().PrepareHashKv(request.revision());
  if (!work.ok()) return call->Finish(work.status());
  SumUp<HashKVResponse>(context, call, *std::move(work),
                        [](const kv::HashResult& sum, HashKVResponse& response) {
                          response.set_hash(sum.hash);
                          response.set_compact_revision(sum.compact_revision);
                          response.set_hash_revision(sum.hash_revision);
                        });
}

void MoveLeader(const ApiContext& context, const CallRef& call, MoveLeaderRequest& request,
                std::string_view) {
  context.node->MoveLeader(raft::NodeId(request.targetid()), [call](const absl::Status& status) {
    if (!status.ok()) return call->Finish(status);
    call->Reply(MoveLeaderResponse());
  });
}

}  // namespace

void AddMaintenanceService(DispatchTable& table, const ApiContext& context) {
  const std::string service = "/etcdserverpb.Maintenance/";
  AddUnary<StatusRequest>(table, service + "Status", context, Status);
  AddUnary<AlarmRequest>(table, service + "Alarm", context, Alarm);
  AddUnary<DefragmentRequest>(table, service + "Defragment", context, Defragment);
  AddUnary<HashRequest>(table, service + "Hash", context, Hash);
  AddUnary<HashKVRequest>(table, service + "HashKV", context, HashKv);
  AddUnary<MoveLeaderRequest>(table, service + "MoveLeader", context, MoveLeader);
}

}  // namespace conclave::server
