#include "server/http2/session.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "server/http2/protocol_sniffer.h"
#include "server/http2/session_callbacks.h"

namespace conclave::server {

namespace {

// Output buffers kept for the next calls, and the largest worth keeping.
constexpr size_t kSpareBuffers = 64;
constexpr size_t kSpareBufferBytesMax = 16 << 10;

// Marks the ping that follows the notice of a GOAWAY: its answer proves that the client has seen
// the notice.
constexpr std::string_view kDrainPing = "goodbye!";
// How long to wait for that answer.
constexpr Duration kDrainPingTimeout = Seconds(1);

}  // namespace

void Session::Nghttp2Deleter::operator()(nghttp2_session* session) const {
  nghttp2_session_del(session);
}

Session::Session(const ServerContext* context, Connection* connection)
    : TurnEndListener(context->loop),
      context_(context),
      connection_(connection),
      nghttp2_(SessionCallbacks::Create(this)),
      preface_left_(kHttp2Preface.size()),
      meter_(context->http2),
      ping_policy_(context->http2),
      liveness_(context->loop, context->http2,
                {.send_ping =
                     [this] {
                       nghttp2_submit_ping(nghttp2_.get(), NGHTTP2_FLAG_NONE, nullptr);
                       ArmTurnEnd();
                     },
                 .give_up = [this](std::string_view why) { Terminate(NGHTTP2_NO_ERROR, why); }}) {
  const Http2Options& options = context_->http2;
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options.header_list_bytes_max)},
  };
  if (options.concurrent_streams_max != UINT32_MAX) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.concurrent_streams_max});
  }
  CHECK(nghttp2_submit_settings(nghttp2_.get(), NGHTTP2_FLAG_NONE, settings.data(),
                                settings.size()) == 0);
  CHECK(nghttp2_session_set_local_window_size(
            nghttp2_.get(), NGHTTP2_FLAG_NONE, 0,
            static_cast<int32_t>(options.connection_window_bytes)) == 0);
  ArmTurnEnd();
}

Session::~Session() {
  if (goaway_timer_ != 0) context_->loop->CancelTimer(goaway_timer_);
  ended_ = true;
  CloseAllCalls();
}

// --- Input ---------------------------------------------------------------------------------------

void Session::OnBytes(std::string_view bytes) {
  if (ended_) return;
  const size_t preface = std::min(preface_left_, bytes.size());
  preface_left_ -= preface;
  if (!meter_.Feed(bytes.substr(preface), context_->loop->Now())) {
    return Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too many control frames");
  }
  liveness_.OnInput(meter_.settings_seen(), meter_.mid_frame());
  const ssize_t parsed = nghttp2_session_mem_recv(
      nghttp2_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (parsed < 0) {
    return Terminate(NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror(static_cast<int>(parsed)));
  }
  if (too_many_pings_) return Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
  // The connection's window is always granted again: only the streams' windows hold clients back,
  // so that one handler that pauses does not stop the others. What is held meanwhile is bounded by
  // CountInput.
  if (const size_t consumed = std::exchange(unconsumed_, 0); consumed > 0) {
    nghttp2_session_consume_connection(nghttp2_.get(), consumed);
  }
  ArmTurnEnd();
}

StreamCall* Session::OpenCall(int32_t stream_id) {
  std::string buffer;
  if (!spare_buffers_.empty()) {
    buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
  }
  auto call = std::make_shared<StreamCall>(this, stream_id, std::move(buffer));
  StreamCall* const opened = call.get();
  const bool added = calls_.emplace(stream_id, std::move(call)).second;
  CHECK(added);
  return opened;
}

void Session::StartCall(StreamCall* call, bool input_ended) {
  if (call->headers().list_bytes() > context_->http2.header_list_bytes_max) {
    nghttp2_submit_rst_stream(nghttp2_.get(), NGHTTP2_FLAG_NONE, call->stream_id(),
                              NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  if (output_bytes_ > static_cast<int64_t>(context_->http2.connection_output_bytes_max)) {
    call->Refuse(200,
                 absl::ResourceExhaustedError("too many unread response bytes on this connection"));
  } else {
    call->Start();
  }
  if (input_ended) call->EndInput();
}

void Session::OnPing() {
  if (!ping_policy_.OnPing(context_->loop->Now(), !calls_.empty())) too_many_pings_ = true;
}

void Session::OnPingAck(std::string_view opaque) {
  if (draining_ && opaque == kDrainPing) SendGoaway();
}

void Session::CloseCall(int32_t stream_id) {
  auto node = calls_.extract(stream_id);
  if (!node.empty()) node.mapped()->Close();
}

void Session::GrantStream(int32_t stream_id, size_t bytes) {
  nghttp2_session_consume_stream(nghttp2_.get(), stream_id, bytes);
  ArmTurnEnd();
}

bool Session::CountInput(size_t before, size_t after) {
  input_bytes_ += after - before;
  return after <= before || input_bytes_ <= context_->http2.connection_input_bytes_max;
}

// --- Output --------------------------------------------------------------------------------------

void Session::MarkDirty(StreamCall* call) {
  if (std::exchange(call->response.dirty, true)) return;
  dirty_.push_back(call->stream_id());
  ArmTurnEnd();
}

void Session::ResetCall(int32_t stream_id) {
  nghttp2_submit_rst_stream(nghttp2_.get(), NGHTTP2_FLAG_NONE, stream_id,
                            NGHTTP2_ENHANCE_YOUR_CALM);
  // It was not the stream's window that held the response back.
  stuck_ |= !connection_->Writable() &&
            nghttp2_session_get_stream_remote_window_size(nghttp2_.get(), stream_id) > 0;
  ArmTurnEnd();
}

void Session::OnTurnEnd() { Pump(); }

void Session::OnDrained() { Pump(); }

void Session::Pump() {
  if (stuck_) Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "the client does not read");
  if (ended_) return;
  do {
    SubmitDirty();
    FillConnection();
    TellWritable();
  } while (!ended_ && connection_->Writable() && !dirty_.empty());
  if (ended_) return;
  // Nothing left to say or to hear: drained, told to go away, or ended by nghttp2 for a protocol
  // error.
  if (nghttp2_session_want_read(nghttp2_.get()) == 0 &&
      nghttp2_session_want_write(nghttp2_.get()) == 0) {
    CloseConnection();
  }
}

void Session::FillConnection() {
  while (connection_->Writable()) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(nghttp2_.get(), &bytes);
    CHECK_MSG(size >= 0, nghttp2_strerror(static_cast<int>(size)));  // only for lack of memory
    if (size == 0) return;
    connection_->Write({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
  }
}

void Session::SubmitDirty() {
  looking_at_.swap(dirty_);
  for (const int32_t stream_id : looking_at_) {
    if (StreamCall* const call = SessionCallbacks::CallOf(nghttp2_.get(), stream_id)) {
      call->response.dirty = false;
      SubmitResponse(call);
    }
  }
  looking_at_.clear();
}

void Session::SubmitResponse(StreamCall* call) {
  StreamCall::ResponseState& response = call->response;
  if (!std::exchange(response.started, true)) {
    if (call->finished() && call->output().size() == 0) {
      SessionCallbacks::SubmitTrailersOnly(nghttp2_.get(), *call);
    } else {
      SessionCallbacks::SubmitHeaders(nghttp2_.get(), call);
    }
  } else if (std::exchange(response.deferred, false)) {
    nghttp2_session_resume_data(nghttp2_.get(), call->stream_id());
  }
}

void Session::TellWritable() {
  if (writable_.empty()) return;
  looking_at_.swap(writable_);
  for (const int32_t stream_id : looking_at_) {
    const auto it = calls_.find(stream_id);
    if (it == calls_.end()) continue;
    const std::shared_ptr<StreamCall> call = it->second;
    call->TellWritable();
  }
  looking_at_.clear();
}

void Session::KeepBuffer(std::string buffer) {
  if (buffer.capacity() <= kSpareBufferBytesMax && spare_buffers_.size() < kSpareBuffers) {
    spare_buffers_.push_back(std::move(buffer));
  }
}

// --- The end -------------------------------------------------------------------------------------

void Session::Drain() {
  if (ended_ || std::exchange(draining_, true)) return;
  nghttp2_submit_shutdown_notice(nghttp2_.get());
  nghttp2_submit_ping(nghttp2_.get(), NGHTTP2_FLAG_NONE,
                      reinterpret_cast<const uint8_t*>(kDrainPing.data()));
  goaway_timer_ = context_->loop->RunAt(context_->loop->Now() + kDrainPingTimeout, [this] {
    goaway_timer_ = 0;
    SendGoaway();
  });
  ArmTurnEnd();
}

void Session::SendGoaway() {
  if (ended_ || std::exchange(goaway_sent_, true)) return;
  nghttp2_submit_goaway(nghttp2_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(nghttp2_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  ArmTurnEnd();
}

void Session::Terminate(uint32_t error_code, std::string_view why) {
  if (ended_) return;
  nghttp2_submit_goaway(nghttp2_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(nghttp2_.get()), error_code,
                        reinterpret_cast<const uint8_t*>(why.data()), why.size());
  FillConnection();
  CloseConnection();
}

void Session::CloseConnection() {
  ended_ = true;
  connection_->CloseAfterFlush(context_->http2.close_flush_limit);
  CloseAllCalls();
}

void Session::CloseAllCalls() {
  // A handler that is told may finish other calls of this session: the table is out of the way by
  // then.
  auto calls = std::move(calls_);
  calls_.clear();
  for (auto& [stream_id, call] : calls) call->Close();
}

}  // namespace conclave::server
