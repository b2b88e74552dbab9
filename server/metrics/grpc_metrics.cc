#include "server/metrics/grpc_metrics.h"

#include <string>

#include "raft/base/check.h"

namespace conclave::server {
namespace {

// By number (wire reference section 1).
constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

std::string_view TypeName(MethodKind kind) {
  switch (kind) {
    case MethodKind::kUnary:
      return "unary";
    case MethodKind::kServerStream:
      return "server_stream";
    case MethodKind::kBidirectional:
      return "bidi_stream";
  }
  CheckFailed(__FILE__, __LINE__, "MethodKind");
}

// "/etcdserverpb.KV/Put" has service etcdserverpb.KV and method Put.
MetricLabels LabelsOf(const Method& method) {
  const size_t slash = method.path.rfind('/');
  return {{"grpc_type", std::string(TypeName(method.kind))},
          {"grpc_service", method.path.substr(1, slash - 1)},
          {"grpc_method", method.path.substr(slash + 1)}};
}

}  // namespace

std::string_view GrpcCodeName(absl::StatusCode code) {
  const auto number = static_cast<size_t>(code);
  return number < kCodeNames.size() ? kCodeNames[number] : "Unknown";
}

GrpcMetrics::GrpcMetrics(MetricRegistry& registry, const std::vector<const Method*>& methods,
                         bool histograms)
    : bytes_received_(registry.AddCounter("etcd_network_client_grpc_received_bytes_total",
                                          "Bytes of messages received from gRPC clients.")),
      bytes_sent_(registry.AddCounter("etcd_network_client_grpc_sent_bytes_total",
                                      "Bytes of messages sent to gRPC clients.")) {
  for (const Method* method : methods) {
    const MetricLabels labels = LabelsOf(*method);
    OfMethod& of = methods_[method];
    of.started = registry.AddCounter("grpc_server_started_total", "RPCs that began.", labels);
    of.received =
        registry.AddCounter("grpc_server_msg_received_total", "Messages received in RPCs.", labels);
    of.sent = registry.AddCounter("grpc_server_msg_sent_total", "Messages sent in RPCs.", labels);
    for (size_t code = 0; code < kCodes; ++code) {
      MetricLabels with_code = labels;
      with_code.emplace_back("grpc_code", kCodeNames[code]);
      of.handled[code] = registry.AddCounter(
          "grpc_server_handled_total", "RPCs that ended, by their status.", std::move(with_code));
    }
    if (!histograms) continue;
    of.seconds = registry.AddHistogram(
        "grpc_server_handling_seconds", "Time from an RPC's begin to its end.",
        {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, labels);
  }
}

GrpcMetrics::OfMethod& GrpcMetrics::Of(const Method& method) {
  const auto it = methods_.find(&method);
  CHECK_MSG(it != methods_.end(), method.path);
  return it->second;
}

void GrpcMetrics::OnStarted(const Method& method) { Of(method).started->Add(); }

void GrpcMetrics::OnMessageReceived(const Method& method, size_t bytes) {
  Of(method).received->Add();
  bytes_received_->Add(static_cast<double>(bytes));
}

void GrpcMetrics::OnMessageSent(const Method& method, size_t bytes) {
  Of(method).sent->Add();
  bytes_sent_->Add(static_cast<double>(bytes));
}

void GrpcMetrics::OnHandled(const Method& method, absl::StatusCode code, Duration elapsed) {
  OfMethod& of = Of(method);
  const auto number = static_cast<size_t>(code);
  of.handled[number < kCodes ? number : static_cast<size_t>(absl::StatusCode::kUnknown)]->Add();
  if (of.seconds != nullptr) of.seconds->Observe(ToSeconds(elapsed));
}

}  // namespace conclave::server
