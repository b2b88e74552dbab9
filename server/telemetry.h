// What the server tells of itself in numbers: the registry behind /metrics, filled by the front
// end, the log and the peer network as things happen and by one reading of the node per scrape.
// Made by Server; on the raft lane.
#pragma once

#include <functional>

#include "server/api/range_budget.h"
#include "server/api/service.h"
#include "server/config/config.h"
#include "server/http2/http_route.h"
#include "server/metrics/grpc_metrics.h"
#include "server/metrics/registry.h"
#include "server/metrics/server_metrics.h"
#include "server/peer/peer_network.h"
#include "server/storage.h"

namespace conclave::server {

class Telemetry {
 public:
  // Nothing is owned; `methods` must be complete. Becomes the log's sync observer.
  Telemetry(const ServerConfig& config, const DispatchTable& methods, Node* node,
            PeerNetwork* peers, Storage* storage, const RangeBudget* range_budget);
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

  RpcObserver* rpc_observer() { return &grpc_; }
  void OnPeerRoundTrip(raft::NodeId peer, Duration elapsed) {
    server_.OnPeerRoundTrip(peer, elapsed);
  }

  void OnHealthCheck(bool healthy) { server_.OnHealthCheck(healthy); }

  HttpRoute MetricsRoute();

 private:
  ServerReading Read() const;

  Node* const node_;
  PeerNetwork* const peers_;
  Storage* const storage_;
  const RangeBudget* const range_budget_;
  const int64_t quota_bytes_;
  MetricRegistry registry_;
  GrpcMetrics grpc_;
  ServerMetrics server_;
};

}  // namespace conclave::server
