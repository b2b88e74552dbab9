// The client port: accepts connections, tells gRPC from plain HTTP by their first bytes, and serves
// both from the dispatch table and the HTTP routes. There is one per I/O lane; everything of it
// happens on that loop's lane. A slow, silent, flooding or vanished client costs bounded memory and
// delays nobody else (options.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "raft/base/executor.h"
#include "server/http2/server_context.h"
#include "server/net/address.h"
#include "server/net/listener.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class ServerConnection;

class Http2Server {
 public:
  // What the context points to must outlive the server.
  explicit Http2Server(ServerContext context);
  // Closes everything at once; open calls see OnClosed.
  ~Http2Server();
  Http2Server(const Http2Server&) = delete;
  Http2Server& operator=(const Http2Server&) = delete;

  // Serves `address` as well. Unavailable if it cannot be listened on.
  absl::Status Listen(const SocketAddress& address);
  // What is listened on, with the ports the kernel chose, in the order of Listen.
  std::vector<SocketAddress> addresses() const;

  // Serves a connection that was accepted elsewhere: by the lane that listens, or by a test.
  void Serve(ScopedFd socket);
  // What is accepted from now on is served there instead: by other lanes.
  void ServeElsewhere(std::function<void(ScopedFd)> serve) { serve_ = std::move(serve); }

  // Stops listening, tells every client to go (GOAWAY; `Connection: close`), lets open calls end
  // until `deadline` and then closes the rest. `done` runs when no connection is left. At most
  // once.
  void Shutdown(Instant deadline, Task done);

  size_t connection_count() const { return connections_.size(); }

 private:
  friend class ServerConnection;

  void Remove(ServerConnection* connection);  // it is over; destroyed here
  void CloseAll();
  void FinishShutdown();

  const ServerContext context_;
  std::function<void(ScopedFd)> serve_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections_;
  bool shutting_down_ = false;
  TimerId shutdown_timer_ = 0;
  Task shutdown_done_;
};

}  // namespace conclave::server
