// The Cluster service: the member list and its changes (reference: behaviour section 9.2).
#include <utility>

#include "server/api/member_keeper.h"
#include "server/api/service.h"

namespace conclave::server {

namespace {

using etcdserverpb::MemberAddRequest;
using etcdserverpb::MemberAddResponse;
using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using etcdserverpb::MemberPromoteRequest;
using etcdserverpb::MemberPromoteResponse;
using etcdserverpb::MemberRemoveRequest;
using etcdserverpb::MemberRemoveResponse;
using etcdserverpb::MemberUpdateRequest;
using etcdserverpb::MemberUpdateResponse;

void ReplyMembers(const ApiContext& context, const CallRef& call) {
  MemberListResponse response;
  context.node->FillHeader(response.mutable_header());
  for (etcdserverpb::Member& member : context.node->store().Members()) {
    *response.add_members() = std::move(member);
  }
  call->Reply(response);
}

void MemberList(const ApiContext& context, const CallRef& call, MemberListRequest& request,
                std::string_view) {
  if (!request.linearizable()) return ReplyMembers(context, call);
  context.node->Read([context, call](const absl::Status& status) {
    if (!status.ok()) return call->Finish(status);
    ReplyMembers(context, call);
  });
}

// Hands over the one change that `request` is, and answers with its response, of type R.
template <typename R>
void Change(const ApiContext& context, const CallRef& call, std::string_view bytes,
            const peerpb::MemberChangeRequest& change) {
  if (absl::Status status = CheckSize(context, bytes); !status.ok()) return call->Finish(status);
  Node* node = context.node;
  context.member_keeper->Change(change, [node, call](absl::StatusOr<kv::Response> result) {
    if (!result.ok()) return call->Finish(result.status());
    R& response = std::get<R>(*result);
    response.clear_header();  // as etcd, without a revision
    node->FillHeader(response.mutable_header());
    call->Reply(response);
  });
}

void MemberAdd(const ApiContext& context, const CallRef& call, MemberAddRequest& request,
               std::string_view bytes) {
  peerpb::MemberChangeRequest change;
  *change.mutable_add() = std::move(request);
  Change<MemberAddResponse>(context, call, bytes, change);
}

void MemberRemove(const ApiContext& context, const CallRef& call, MemberRemoveRequest& request,
                  std::string_view bytes) {
  peerpb::MemberChangeRequest change;
  *change.mutable_remove() = std::move(request);
  Change<MemberRemoveResponse>(context, call, bytes, change);
}

void MemberUpdate(const ApiContext& context, const CallRef& call, MemberUpdateRequest& request,
                  std::string_view bytes) {
  peerpb::MemberChangeRequest change;
  *change.mutable_update() = std::move(request);
  Change<MemberUpdateResponse>(context, call, bytes, change);
}

void MemberPromote(const ApiContext& context, const CallRef& call, MemberPromoteRequest& request,
                   std::string_view bytes) {
  peerpb::MemberChangeRequest change;
  *change.mutable_promote() = std::move(request);
  Change<MemberPromoteResponse>(context, call, bytes, change);
}

}  // namespace

void AddClusterService(DispatchTable& table, const ApiContext& context) {
  const std::string service = "/etcdserverpb.Cluster/";
  AddUnary<MemberAddRequest>(table, service + "MemberAdd", context, MemberAdd);
  AddUnary<MemberRemoveRequest>(table, service + "MemberRemove", context, MemberRemove);
  AddUnary<MemberUpdateRequest>(table, service + "MemberUpdate", context, MemberUpdate);
  AddUnary<MemberPromoteRequest>(table, service + "MemberPromote", context, MemberPromote);
  AddUnary<MemberListRequest>(table, service + "MemberList", context, MemberList);
}

}  // namespace conclave::server
