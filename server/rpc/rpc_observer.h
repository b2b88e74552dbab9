// What the metrics want to know of every RPC. The transport calls it on the call's lane; where
// connections have lanes of their own, each has an observer that passes on what it is told
// (server/lanes/call_relay.h). Every function has an empty default.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "raft/base/time.h"
#include "server/rpc/dispatch.h"

namespace conclave::server {

class RpcObserver {
 public:
  virtual ~RpcObserver() = default;

  // The headers of a call to a known method are in.
  virtual void OnStarted(const Method&) {}
  // One message, of so many bytes without its frame.
  virtual void OnMessageReceived(const Method&, size_t /*bytes*/) {}
  virtual void OnMessageSent(const Method&, size_t /*bytes*/) {}
  // The call is over, once per OnStarted: with the status sent, or Cancelled if the client left
  // first. `elapsed` is since its headers.
  virtual void OnHandled(const Method&, absl::StatusCode, Duration /*elapsed*/) {}

  // Bytes of a connection's socket, all protocols, when it has closed.
  virtual void OnConnectionClosed(size_t /*bytes_received*/, size_t /*bytes_sent*/) {}
};

}  // namespace conclave::server
