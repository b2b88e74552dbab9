// What every connection of a server shares: the loop it lives on, what it serves and within which
// limits. Filled by main before the server starts and never changed after; on that loop's lane.
#pragma once

#include <vector>

#include "server/http2/http_route.h"
#include "server/http2/options.h"
#include "server/net/connection.h"
#include "server/net/event_loop.h"
#include "server/rpc/dispatch.h"
#include "server/rpc/rpc_observer.h"

namespace conclave::server {

// Nothing but the values is owned.
struct ServerContext {
  EventLoop* loop = nullptr;
  const DispatchTable* methods = nullptr;  // nullptr: no gRPC here (an address for metrics only)
  std::vector<HttpRoute> routes;
  Http2Options http2;
  HttpOptions http;
  RpcObserver* observer = nullptr;            // may be nullptr
  const ReadPortion* read_portion = nullptr;  // ConnectionOptions::read_portion
};

}  // namespace conclave::server
