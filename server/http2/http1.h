// Plain HTTP/1.1 and 1.0 on a connection of the client port: metrics, health, version, the JSON
// gateway. Requests are served one after the other, so pipelined ones are answered in order; their
// handlers may answer later. Owned by a ServerConnection, on its lane.
#pragma once

#include <memory>
#include <string_view>

#include "server/http2/http1_parser.h"
#include "server/http2/http_router.h"
#include "server/http2/protocol_handler.h"
#include "server/http2/server_context.h"
#include "server/net/connection.h"

namespace conclave::server {

class Http1Session : public ProtocolHandler {
 public:
  // Both must outlive the session.
  Http1Session(const ServerContext* context, Connection* connection);
  ~Http1Session() override;

  void OnBytes(std::string_view bytes) override;
  void OnDrained() override { ServeRequests(); }
  void Drain() override;

 private:
  // One request and its answer. Outlives the session when a handler keeps its respond function.
  struct Exchange {
    Http1Session* session = nullptr;  // nullptr once answered, or once the session is gone
    bool head = false;                // HEAD: answer without the body
    bool keep_alive = true;
    std::vector<std::pair<std::string, std::string>> common_headers;
  };

  // Serves what has come completely, until a handler keeps us waiting.
  void ServeRequests();
  void Serve(const HttpRequest& request);
  void Answer(const Exchange& exchange, const HttpResponse& response);
  void Refuse(int code, std::string_view text);
  void Close();

  // Each stage of a request has its own patience.
  void UpdateTimer(bool progress);
  Duration Patience() const;

  const ServerContext* const context_;
  Connection* const connection_;
  const HttpRouter router_;
  Http1Parser parser_;
  std::shared_ptr<Exchange> exchange_;  // the request being served
  bool serving_ = false;                // in ServeRequests: an answer need not call it
  bool draining_ = false;
  bool closed_ = false;
  TimerId timer_ = 0;
  Http1Parser::Stage timed_stage_ = Http1Parser::Stage::kIdle;
};

}  // namespace conclave::server
