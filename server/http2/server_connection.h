// One client's connection from accept to close: waits for its first bytes, then lets the protocol
// they show take over. Owned by the Http2Server, on its lane.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/http2/protocol_handler.h"
#include "server/http2/server_context.h"
#include "server/net/connection.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class Http2Server;

class ServerConnection : private ConnectionHandler {
 public:
  ServerConnection(Http2Server* server, const ServerContext* context, ScopedFd socket);
  ~ServerConnection() override;

  // The server stops.
  void Drain();

 private:
  void OnBytes(std::string_view bytes) override;
  void OnDrained() override;
  void OnClosed(const absl::Status& why) override;

  void Start(std::unique_ptr<ProtocolHandler> protocol);
  void Close();

  Http2Server* const server_;
  const ServerContext* const context_;
  Connection connection_;
  std::string first_bytes_;
  TimerId first_byte_timer_ = 0;
  std::unique_ptr<ProtocolHandler> protocol_;  // nullptr until the first bytes have decided
};

}  // namespace conclave::server
