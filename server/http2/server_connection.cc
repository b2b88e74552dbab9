#include "server/http2/server_connection.h"

#include <utility>

#include "server/http2/http1.h"
#include "server/http2/protocol_sniffer.h"
#include "server/http2/server.h"
#include "server/http2/session.h"

namespace conclave::server {

namespace {

ConnectionOptions OptionsOf(const ServerContext& context) {
  ConnectionOptions options;
  // HTTP/2 heeds Writable(); an HTTP/1 response is written whole, and one may be as large as all of
  // a connection's may.
  options.output_bytes_max = context.http2.connection_output_bytes_max;
  options.read_portion = context.read_portion;
  return options;
}

}  // namespace

ServerConnection::ServerConnection(Http2Server* server, const ServerContext* context,
                                   ScopedFd socket)
    : server_(server),
      context_(context),
      connection_(context->loop, std::move(socket), this, OptionsOf(*context)) {
  const Instant limit = context_->loop->Now() + context_->http2.first_byte_timeout;
  first_byte_timer_ = context_->loop->RunAt(limit, [this] {
    first_byte_timer_ = 0;
    Close();
  });
}

ServerConnection::~ServerConnection() {
  if (first_byte_timer_ != 0) context_->loop->CancelTimer(first_byte_timer_);
  if (context_->observer != nullptr) {
    context_->observer->OnConnectionClosed(connection_.bytes_received(), connection_.bytes_sent());
  }
}

void ServerConnection::Drain() {
  if (protocol_ != nullptr) return protocol_->Drain();
  Close();
}

void ServerConnection::OnBytes(std::string_view bytes) {
  if (protocol_ != nullptr) return protocol_->OnBytes(bytes);
  first_bytes_.append(bytes);
  switch (SniffProtocol(first_bytes_)) {
    case Protocol::kUndecided:
      return;
    case Protocol::kHttp2:
      if (context_->methods == nullptr) return Close();
      return Start(std::make_unique<Session>(context_, &connection_));
    case Protocol::kHttp1:
      return Start(std::make_unique<Http1Session>(context_, &connection_));
    case Protocol::kUnknown:
      return Close();
  }
}

void ServerConnection::OnDrained() {
  if (protocol_ != nullptr) protocol_->OnDrained();
}

void ServerConnection::OnClosed(const absl::Status&) { server_->Remove(this); }

void ServerConnection::Start(std::unique_ptr<ProtocolHandler> protocol) {
  context_->loop->CancelTimer(std::exchange(first_byte_timer_, 0));
  protocol_ = std::move(protocol);
  protocol_->OnBytes(std::exchange(first_bytes_, {}));
}

void ServerConnection::Close() { connection_.CloseAfterFlush(context_->http2.close_flush_limit); }

}  // namespace conclave::server
