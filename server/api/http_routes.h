// The plain HTTP endpoints of the client port that speak for the node: /health and /version
// (reference: wire section 8). The metrics endpoint is server/metrics' own. On the raft lane.
#pragma once

#include <functional>
#include <vector>

#include "server/api/service.h"
#include "server/http2/http_route.h"

namespace conclave::server {

// Told of every answer of /health.
using HealthObserver = std::function<void(bool healthy)>;

// The routes, for ServerContext. What `context` points to must outlive them.
std::vector<HttpRoute> HealthAndVersionRoutes(const ApiContext& context, HealthObserver observer);

}  // namespace conclave::server
