#include "server/http2/server.h"

#include <utility>

#include "raft/base/check.h"
#include "server/http2/server_connection.h"

namespace conclave::server {

Http2Server::Http2Server(ServerContext context)
    : context_(std::move(context)), serve_([this](ScopedFd socket) { Serve(std::move(socket)); }) {
  CHECK(context_.loop != nullptr);
}

Http2Server::~Http2Server() {
  if (shutdown_timer_ != 0) context_.loop->CancelTimer(shutdown_timer_);
  CloseAll();
}

absl::Status Http2Server::Listen(const SocketAddress& address) {
  auto listener = Listener::Listen(context_.loop, address,
                                   [this](ScopedFd socket) { serve_(std::move(socket)); });
  if (!listener.ok()) return listener.status();
  listeners_.push_back(*std::move(listener));
  return absl::OkStatus();
}

std::vector<SocketAddress> Http2Server::addresses() const {
  std::vector<SocketAddress> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

void Http2Server::Serve(ScopedFd socket) {
  if (shutting_down_) return;
  auto connection = std::make_unique<ServerConnection>(this, &context_, std::move(socket));
  ServerConnection* const key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void Http2Server::Shutdown(Instant deadline, Task done) {
  CHECK(!std::exchange(shutting_down_, true));
  shutdown_done_ = std::move(done);
  listeners_.clear();
  for (const auto& [key, connection] : connections_) connection->Drain();
  shutdown_timer_ = context_.loop->RunAt(deadline, [this] {
    shutdown_timer_ = 0;
    CloseAll();
    FinishShutdown();
  });
  if (connections_.empty()) FinishShutdown();
}

void Http2Server::Remove(ServerConnection* connection) {
  // Out of the table first: closing it runs handlers, which may look at the server.
  const auto node = connections_.extract(connection);
  CHECK(!node.empty());
  if (shutting_down_ && connections_.empty()) FinishShutdown();
}

void Http2Server::CloseAll() {
  auto connections = std::move(connections_);
  connections_.clear();
}

void Http2Server::FinishShutdown() {
  if (shutdown_done_ == nullptr) return;
  if (shutdown_timer_ != 0) context_.loop->CancelTimer(std::exchange(shutdown_timer_, 0));
  // From the loop, so that `done` may destroy the server.
  context_.loop->Post(std::exchange(shutdown_done_, nullptr));
}

}  // namespace conclave::server
