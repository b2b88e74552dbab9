// What speaks one protocol on a connection once the sniffer has chosen it: HTTP/2 (session.h) or
// HTTP/1 (http1.h). Owned by a ServerConnection, on its lane. It ends the connection by
// Connection::CloseAfterFlush, and is destroyed when that is done.
#pragma once

#include <string_view>

namespace conclave::server {

class ProtocolHandler {
 public:
  virtual ~ProtocolHandler() = default;
  // Input in order, from the connection's first byte on; valid during the call only.
  virtual void OnBytes(std::string_view bytes) = 0;
  // The connection's output has room again.
  virtual void OnDrained() = 0;
  // The server stops: finish what is open, take nothing new, then close the connection.
  virtual void Drain() = 0;
};

}  // namespace conclave::server
