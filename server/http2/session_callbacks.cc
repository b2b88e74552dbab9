#include "server/http2/session_callbacks.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "raft/base/check.h"
#include "raft/base/text.h"
#include "server/http2/grpc_text.h"
#include "server/http2/session.h"

namespace conclave::server {

namespace {

constexpr size_t kFrameHeaderBytes = 9;

std::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// A header that nghttp2 need not copy: both texts must hold until the frame is framed.
nghttp2_nv Header(std::string_view name, std::string_view value,
                  uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          flags};
}

// The decimal texts of gRPC's status codes, by code.
constexpr std::array<std::string_view, 17> kStatusTexts = {
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};

std::string_view StatusText(const absl::Status& status) {
  const size_t code = static_cast<size_t>(status.code());
  CHECK(code < kStatusTexts.size());
  return kStatusTexts[code];
}

std::string_view HttpStatusText(int code) {
  switch (code) {
    case 200:
      return "200";
    case 400:
      return "400";
    case 405:
      return "405";
    case 415:
      return "415";
    default:
      CheckFailed(__FILE__, __LINE__, "a status that calls are refused with");
  }
}

// grpc-status and, unless it is empty, grpc-message behind what `headers` holds. `message` keeps
// the encoded text alive.
size_t AddStatus(const absl::Status& status, nghttp2_nv* headers, size_t count,
                 std::string* message) {
  headers[count++] = Header("grpc-status", StatusText(status));
  if (!status.message().empty()) {
    *message = PercentEncode(MessageOf(status));
    headers[count++] = Header("grpc-message", *message, NGHTTP2_NV_FLAG_NO_COPY_NAME);
  }
  return count;
}

struct OptionDeleter {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
struct CallbacksDeleter {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};

// nghttp2 leaves to us what we do better knowing gRPC: granting windows, judging header fields
// (clients are known to send odd :authority values; reference: wire section 1.1), and counting
// resets.
std::unique_ptr<nghttp2_option, OptionDeleter> MakeOptions(const Http2Options& limits) {
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_http_messaging(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_stream_reset_rate_limit(option, limits.flood_resets_max,
                                             limits.flood_resets_max);
  return std::unique_ptr<nghttp2_option, OptionDeleter>(option);
}

}  // namespace

nghttp2_session* SessionCallbacks::Create(Session* session) {
  nghttp2_session_callbacks* callbacks = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  const std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> owned(callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnDataChunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSent);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
  nghttp2_session* nghttp2 = nullptr;
  const auto options = MakeOptions(session->context().http2);
  CHECK(nghttp2_session_server_new2(&nghttp2, callbacks, session, options.get()) == 0);
  return nghttp2;
}

StreamCall* SessionCallbacks::CallOf(nghttp2_session* nghttp2, int32_t stream_id) {
  return static_cast<StreamCall*>(nghttp2_session_get_stream_user_data(nghttp2, stream_id));
}

nghttp2_data_provider SessionCallbacks::OutputOf(StreamCall* call) {
  nghttp2_data_provider provider{};
  provider.source.ptr = call;
  provider.read_callback = ReadOutput;
  return provider;
}

void SessionCallbacks::SubmitHeaders(nghttp2_session* nghttp2, StreamCall* call) {
  const nghttp2_nv headers[] = {Header(":status", "200"),
                                Header("content-type", "application/grpc")};
  const nghttp2_data_provider output = OutputOf(call);
  const int result =
      nghttp2_submit_response(nghttp2, call->stream_id(), headers, std::size(headers), &output);
  CHECK_MSG(result == 0, nghttp2_strerror(result));
}

void SessionCallbacks::SubmitTrailers(nghttp2_session* nghttp2, const StreamCall& call) {
  nghttp2_nv trailers[2];
  std::string message;
  const size_t count = AddStatus(call.status(), trailers, 0, &message);
  const int result = nghttp2_submit_trailer(nghttp2, call.stream_id(), trailers, count);
  CHECK_MSG(result == 0, nghttp2_strerror(result));
}

void SessionCallbacks::SubmitTrailersOnly(nghttp2_session* nghttp2, const StreamCall& call) {
  nghttp2_nv headers[4] = {Header(":status", HttpStatusText(call.http_status())),
                           Header("content-type", "application/grpc")};
  std::string message;
  const size_t count = AddStatus(call.status(), headers, 2, &message);
  const int result = nghttp2_submit_response(nghttp2, call.stream_id(), headers, count, nullptr);
  CHECK_MSG(result == 0, nghttp2_strerror(result));
}

// --- Input ---------------------------------------------------------------------------------------

int SessionCallbacks::OnBeginHeaders(nghttp2_session* nghttp2, const nghttp2_frame* frame,
                                     void* user) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  StreamCall* const call = static_cast<Session*>(user)->OpenCall(frame->hd.stream_id);
  CHECK(nghttp2_session_set_stream_user_data(nghttp2, frame->hd.stream_id, call) == 0);
  return 0;
}

int SessionCallbacks::OnHeader(nghttp2_session* nghttp2, const nghttp2_frame* frame,
                               const uint8_t* name, size_t name_size, const uint8_t* value,
                               size_t value_size, uint8_t, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  StreamCall* const call = CallOf(nghttp2, frame->hd.stream_id);
  if (call == nullptr) return 0;
  const size_t list_bytes_max = static_cast<Session*>(user)->context().http2.header_list_bytes_max;
  // What is over the limit is counted but not looked at; StartCall ends the stream.
  if (call->headers().list_bytes() <= list_bytes_max) {
    call->headers().Add(View(name, name_size), View(value, value_size));
  }
  return 0;
}

int SessionCallbacks::OnFrame(nghttp2_session* nghttp2, const nghttp2_frame* frame, void* user) {
  Session* const session = static_cast<Session*>(user);
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
      StreamCall* const call = CallOf(nghttp2, frame->hd.stream_id);
      if (call == nullptr) return 0;
      if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        session->StartCall(call, end);
      } else if (end) {
        call->EndInput();
      }
      return 0;
    }
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        session->OnPing();
      } else {
        session->OnPingAck(View(frame->ping.opaque_data, sizeof(frame->ping.opaque_data)));
      }
      return 0;
    default:
      return 0;
  }
}

int SessionCallbacks::OnDataChunk(nghttp2_session* nghttp2, uint8_t, int32_t stream_id,
                                  const uint8_t* bytes, size_t size, void* user) {
  static_cast<Session*>(user)->unconsumed_ += size;
  if (StreamCall* const call = CallOf(nghttp2, stream_id)) call->Receive(View(bytes, size));
  return 0;
}

int SessionCallbacks::OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t, void* user) {
  static_cast<Session*>(user)->CloseCall(stream_id);
  return 0;
}

// --- Output --------------------------------------------------------------------------------------

int SessionCallbacks::OnFrameSent(nghttp2_session* nghttp2, const nghttp2_frame* frame,
                                  void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  static_cast<Session*>(user)->ping_policy_.OnSent();
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  const StreamCall* const call = CallOf(nghttp2, frame->hd.stream_id);
  if (call != nullptr && !call->input_ended()) {
    // The answer is complete, the request is not: it need not go on (RFC 9113 section 8.1).
    nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

ssize_t SessionCallbacks::ReadOutput(nghttp2_session* nghttp2, int32_t, uint8_t*, size_t size,
                                     uint32_t* flags, nghttp2_data_source* source, void*) {
  StreamCall* const call = static_cast<StreamCall*>(source->ptr);
  const size_t queued = call->output().size();
  if (queued == 0 && !call->finished()) {
    call->response.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t taken = std::min(queued, size);
  if (taken > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (taken == queued && call->finished()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    SubmitTrailers(nghttp2, *call);
  }
  return static_cast<ssize_t>(taken);
}

int SessionCallbacks::SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header,
                               size_t size, nghttp2_data_source* source, void* user) {
  Session* const session = static_cast<Session*>(user);
  if (!session->connection_->Writable()) return NGHTTP2_ERR_WOULDBLOCK;
  StreamCall* const call = static_cast<StreamCall*>(source->ptr);
  session->connection_->Write(View(frame_header, kFrameHeaderBytes));
  session->connection_->Write(call->output().Front(size));
  session->ping_policy_.OnSent();
  // Told later: a handler must not send from within nghttp2.
  if (call->TakeOutput(size)) session->writable_.push_back(call->stream_id());
  return 0;
}

}  // namespace conclave::server
