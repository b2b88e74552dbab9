// grpc.health.v1.Health (reference: wire section 9): only the service "" is known, and it serves
// from the start.
#include <memory>

#include "kvstore/proto/health.pb.h"
#include "server/api/service.h"

namespace conclave::server {

namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

void Answer(const CallRef& call, const HealthCheckRequest& request, bool stay) {
  HealthCheckResponse response;
  if (!request.service().empty()) {
    if (!stay) return call->Finish(absl::NotFoundError("unknown service"));
    response.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
  } else {
    response.set_status(HealthCheckResponse::SERVING);
  }
  if (!stay) return call->Reply(response);
  call->Send(response);
}

}  // namespace

void AddHealthService(DispatchTable& table, const ApiContext& context) {
  AddUnary<HealthCheckRequest>(
      table, "/grpc.health.v1.Health/Check", context,
      [](const ApiContext&, const CallRef& call, HealthCheckRequest& request, std::string_view) {
        Answer(call, request, /*stay=*/false);
      });
  // The status never changes, so a watch gets one answer and stays open until the client leaves.
  table.Add({.path = "/grpc.health.v1.Health/Watch",
             .kind = MethodKind::kServerStream,
             .on_request =
                 [context](const CallRef& call, std::string_view bytes) {
                   HealthCheckRequest request;
                   if (!ParseRequest(call, bytes, request)) return;
                   if (CheckNoLearner(context, call)) Answer(call, request, /*stay=*/true);
                 },
             .on_start = nullptr});
}

}  // namespace conclave::server
