// The Cluster service: the member list (reference: behaviour section 9.2).
#include <utility>

#include "server/api/service.h"

namespace conclave::server {

namespace {

using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;

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

}  // namespace

void AddClusterService(DispatchTable& table, const ApiContext& context) {
  AddUnary<MemberListRequest>(table, "/etcdserverpb.Cluster/MemberList", context, MemberList);
}

}  // namespace conclave::server
