// The series grpc_server_*, as go-grpc-prometheus names them, and the bytes of clients' messages.
// Told by the transport of every RPC (server/rpc/rpc_observer.h), on the registry's lane. Every
// method has all its series at 0 from the start, so that rates are right from the first call on.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/metrics/registry.h"
#include "server/rpc/rpc_observer.h"

namespace conclave::server {

// gRPC's name of a status code: "OK", "InvalidArgument".
std::string_view GrpcCodeName(absl::StatusCode code);

class GrpcMetrics : public RpcObserver {
 public:
  // `methods` are those of the dispatch table, which must not change any more. `histograms` adds
  // grpc_server_handling_seconds
  // (--metrics=extensive).
  GrpcMetrics(MetricRegistry& registry, const std::vector<const Method*>& methods, bool histograms);

  void OnStarted(const Method& method) override;
  void OnMessageReceived(const Method& method, size_t bytes) override;
  void OnMessageSent(const Method& method, size_t bytes) override;
  void OnHandled(const Method& method, absl::StatusCode code, Duration elapsed) override;

 private:
  static constexpr size_t kCodes = 17;

  struct OfMethod {
    Counter* started = nullptr;
    Counter* received = nullptr;
    Counter* sent = nullptr;
    std::array<Counter*, kCodes> handled{};
    Histogram* seconds = nullptr;  // nullptr without histograms
  };

  // The method's counters; it must be one of the dispatch table.
  OfMethod& Of(const Method& method);

  absl::flat_hash_map<const Method*, OfMethod> methods_;
  Counter* const bytes_received_;
  Counter* const bytes_sent_;
};

}  // namespace conclave::server
