#include "server/http2/http1.h"

#include <string>
#include <utility>

#include "fmt/format.h"

namespace conclave::server {

namespace {

// Requests that arrive while another is served wait here up to this many bytes, the rest in the
// kernel.
constexpr size_t kPipelineBytesMax = 64 << 10;

}  // namespace

Http1Session::Http1Session(const ServerContext* context, Connection* connection)
    : context_(context),
      connection_(connection),
      router_(&context->routes, &context->http),
      parser_(context->http) {}

Http1Session::~Http1Session() {
  if (timer_ != 0) context_->loop->CancelTimer(timer_);
  if (exchange_ != nullptr) exchange_->session = nullptr;
}

void Http1Session::OnBytes(std::string_view bytes) {
  if (closed_) return;
  parser_.Add(bytes);
  if (exchange_ != nullptr && parser_.buffered_bytes() > kPipelineBytesMax) {
    connection_->PauseReading();
  }
  ServeRequests();
  UpdateTimer(true);
}

void Http1Session::ServeRequests() {
  if (std::exchange(serving_, true)) return;
  while (!closed_ && exchange_ == nullptr && connection_->Writable()) {
    HttpRequest request;
    const Http1Parser::Result result = parser_.Next(&request);
    if (result == Http1Parser::Result::kRequest) {
      Serve(request);
    } else if (result == Http1Parser::Result::kError) {
      Refuse(parser_.error_code(), parser_.error_text());
    } else {
      if (parser_.TakeExpectContinue()) connection_->Write("HTTP/1.1 100 Continue\r\n\r\n");
      break;
    }
  }
  serving_ = false;
}

void Http1Session::Serve(const HttpRequest& request) {
  exchange_ = std::make_shared<Exchange>();
  exchange_->session = this;
  exchange_->head = request.method == "HEAD";
  exchange_->keep_alive = parser_.keep_alive();
  exchange_->common_headers = router_.CommonHeaders(request);
  router_.Dispatch(request, [exchange = exchange_](HttpResponse response) {
    Http1Session* const session = std::exchange(exchange->session, nullptr);
    if (session != nullptr) session->Answer(*exchange, response);
  });
}

void Http1Session::Answer(const Exchange& exchange, const HttpResponse& response) {
  const bool close = !exchange.keep_alive || draining_;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.code, HttpReason(response.code));
  const auto add = [&head](std::string_view name, std::string_view value) {
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  };
  if (!response.content_type.empty()) add("Content-Type", response.content_type);
  for (const auto& [name, value] : exchange.common_headers) add(name, value);
  for (const auto& [name, value] : response.headers) add(name, value);
  if (close) add("Connection", "close");
  if (response.code != 204) add("Content-Length", std::to_string(response.body.size()));
  head += "\r\n";
  connection_->Write(head);
  if (!exchange.head && response.code != 204) connection_->Write(response.body);
  exchange_.reset();
  if (close) return Close();
  connection_->ResumeReading();
  ServeRequests();
  UpdateTimer(true);
}

void Http1Session::Refuse(int code, std::string_view text) {
  Exchange exchange;
  exchange.keep_alive = false;
  Answer(exchange,
         {.code = code, .body = fmt::format("{} {}: {}\n", code, HttpReason(code), text)});
}

void Http1Session::Drain() {
  draining_ = true;
  if (exchange_ == nullptr) Close();
}

void Http1Session::Close() {
  closed_ = true;
  if (timer_ != 0) context_->loop->CancelTimer(std::exchange(timer_, 0));
  connection_->CloseAfterFlush(context_->http2.close_flush_limit);
}

void Http1Session::UpdateTimer(bool progress) {
  if (closed_) return;
  const Http1Parser::Stage stage = parser_.stage();
  // The head as a whole has a limit, so that a byte now and then does not extend it; a body only
  // has to keep moving.
  const bool restart = stage != timed_stage_ || (progress && stage != Http1Parser::Stage::kHead);
  if (exchange_ == nullptr && timer_ != 0 && !restart) return;
  if (timer_ != 0) context_->loop->CancelTimer(std::exchange(timer_, 0));
  timed_stage_ = stage;
  if (exchange_ != nullptr) return;  // it is the handler that takes its time
  timer_ = context_->loop->RunAt(context_->loop->Now() + Patience(), [this] {
    timer_ = 0;
    if (timed_stage_ == Http1Parser::Stage::kIdle) return Close();
    Refuse(408, "the request did not arrive in time");
  });
}

Duration Http1Session::Patience() const {
  switch (timed_stage_) {
    case Http1Parser::Stage::kIdle:
      return context_->http2.idle_timeout_http1;
    case Http1Parser::Stage::kHead:
      return context_->http2.handshake_timeout;
    case Http1Parser::Stage::kBody:
      return context_->http2.partial_frame_timeout;
  }
  return {};
}

}  // namespace conclave::server
