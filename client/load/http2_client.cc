#include "client/load/http2_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "raft/base/check.h"

namespace conclave::client {

using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kFrameHeader = 5;  // a compression flag and a size (gRPC over HTTP2)
constexpr std::size_t kMessageMax = 256 << 20;
constexpr std::uint32_t kWindow = 1U << 30;  // the server shall never wait for this client's window
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kWriteBytes = 256 << 10;
constexpr std::chrono::milliseconds kReconnectAfter{50};

void AppendFrame(std::string_view message, std::string* out) {
  const auto size = static_cast<std::uint32_t>(message.size());
  const char header[kFrameHeader] = {0, static_cast<char>(size >> 24),
                                     static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                                     static_cast<char>(size)};
  out->append(header, kFrameHeader).append(message);
}

std::size_t SizeInFrame(const char* header) {
  std::size_t size = 0;
  for (std::size_t i = 1; i < kFrameHeader; ++i) {
    size = size << 8 | static_cast<unsigned char>(header[i]);
  }
  return size;
}

// Neither is copied: both outlive the header block.
nghttp2_nv Field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

// A connecting, non-blocking socket; -1 with errno.
int ConnectTo(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) return errno = EINVAL, -1;
  std::string host = endpoint.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), endpoint.c_str() + colon + 1, &hints, &found) != 0) {
    return errno = EADDRNOTAVAIL, -1;
  }
  const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int outcome = socket;
  if (socket >= 0) {
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(socket, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
      const int error = errno;
      close(socket);
      errno = error;
      outcome = -1;
    }
  }
  freeaddrinfo(found);
  return outcome;
}

}  // namespace

void Http2Call::OnData(std::string_view bytes) {
  // Most often a message comes whole, in one piece.
  if (input_.empty() && bytes.size() >= kFrameHeader &&
      bytes.size() == kFrameHeader + SizeInFrame(bytes.data())) {
    return OnMessage(bytes.substr(kFrameHeader));
  }
  input_.append(bytes);
  std::size_t at = 0;
  while (input_.size() - at >= kFrameHeader) {
    const std::size_t size = SizeInFrame(input_.data() + at);
    CHECK_MSG(size <= kMessageMax, "a response of more than 256 MiB");
    if (input_.size() - at < kFrameHeader + size) break;
    OnMessage(std::string_view(input_).substr(at + kFrameHeader, size));
    at += kFrameHeader + size;
  }
  input_.erase(0, at);
}

// What nghttp2 calls.
struct Http2ClientCallbacks {
  static Http2Call* CallOf(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Http2Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame,
                      const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                      std::size_t value_size, std::uint8_t, void*) {
    const std::string_view header(reinterpret_cast<const char*>(name), name_size);
    if (!header.starts_with("grpc-")) return 0;
    Http2Call* const call = CallOf(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (header == "grpc-status") {
      std::from_chars(text.data(), text.data() + text.size(), call->grpc_status_);
    }
    if (header == "grpc-message") call->grpc_message_ = text;
    return 0;
  }

  static int OnDataChunk(nghttp2_session* session, std::uint8_t, std::int32_t stream,
                         const std::uint8_t* bytes, std::size_t size, void*) {
    Http2Call* const call = CallOf(session, stream);
    if (call != nullptr) call->OnData({reinterpret_cast<const char*>(bytes), size});
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, std::int32_t stream, std::uint32_t error,
                           void* user) {
    Http2Call* const call = CallOf(session, stream);
    if (call == nullptr) return 0;
    absl::Status status;
    if (call->grpc_status_ < 0) {
      // So does nghttp2 close what was waiting to leave when the server said GOAWAY.
      status = error == NGHTTP2_REFUSED_STREAM
                   ? absl::UnavailableError("the server refused the stream")
                   : absl::InternalError(fmt::format("no grpc-status, HTTP/2 error {}", error));
    } else if (call->grpc_status_ != 0) {
      status = absl::Status(static_cast<absl::StatusCode>(call->grpc_status_), call->grpc_message_);
    }
    static_cast<Http2Connection*>(user)->End(call, status);
    return 0;
  }

  static ssize_t ReadOutput(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source* source, void*) {
    Http2Call* const call = static_cast<Http2Call*>(source->ptr);
    const std::size_t left = call->output_.size() - call->output_sent_;
    if (left == 0 && !call->output_ends_) {
      call->output_waits_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const std::size_t taken = std::min(size, left);
    std::memcpy(buffer, call->output_.data() + call->output_sent_, taken);
    call->output_sent_ += taken;
    if (taken == left) {
      call->output_.clear();
      call->output_sent_ = 0;
      if (call->output_ends_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<ssize_t>(taken);
  }
};

Http2Connection::Http2Connection(std::string endpoint) : endpoint_(std::move(endpoint)) {}

Http2Connection::~Http2Connection() {
  nghttp2_session_del(session_);
  if (socket_ >= 0) close(socket_);
}

void Http2Connection::Start(Http2Call* call, const std::string& method, std::string_view message,
                            bool last, std::string_view request_id) {
  CHECK(!call->open());
  call->output_.clear();
  call->output_sent_ = 0;
  AppendFrame(message, &call->output_);
  call->output_ends_ = last;
  call->output_waits_ = false;
  call->input_.clear();
  call->grpc_status_ = -1;
  call->grpc_message_.clear();
  // After GOAWAY, or after the last of 2^30 streams, no more are allowed.
  if (state_ == State::kDown || nghttp2_session_check_request_allowed(session_) == 0) {
    call->stream_ = -1;
    refused_.push_back(call);
    return;
  }
  const nghttp2_nv fields[] = {
      Field(":method", "POST"),        Field(":scheme", "http"),
      Field(":path", method),          Field(":authority", endpoint_),
      Field("te", "trailers"),         Field("content-type", "application/grpc"),
      Field("user-agent", "conclave"), Field("conclave-request-id", request_id)};
  const std::size_t count = std::size(fields) - (request_id.empty() ? 1 : 0);
  nghttp2_data_provider provider{};
  provider.source.ptr = call;
  provider.read_callback = Http2ClientCallbacks::ReadOutput;
  call->stream_ = nghttp2_submit_request(session_, nullptr, fields, count, &provider, call);
  CHECK_MSG(call->stream_ > 0, "no more streams on this connection");
  call->place_ = calls_.size();
  calls_.push_back(call);
}

void Http2Connection::Send(Http2Call* call, std::string_view message) {
  if (call->stream_ <= 0) return;
  AppendFrame(message, &call->output_);
  if (std::exchange(call->output_waits_, false)) {
    nghttp2_session_resume_data(session_, call->stream_);
  }
}

void Http2Connection::Cancel(Http2Call* call, const absl::Status& status) {
  if (std::erase(refused_, call) != 0) {
    call->stream_ = 0;
    return call->OnEnd(status);
  }
  if (call->stream_ <= 0) return;
  nghttp2_session_set_stream_user_data(session_, call->stream_, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->stream_, NGHTTP2_CANCEL);
  End(call, status);
}

void Http2Connection::End(Http2Call* call, const absl::Status& status) {
  CHECK(call->place_ < calls_.size() && calls_[call->place_] == call);  // it ends once
  calls_[call->place_] = calls_.back();
  calls_[call->place_]->place_ = call->place_;
  calls_.pop_back();
  call->stream_ = 0;
  call->OnEnd(status);
}

void Http2Connection::EndRefused() {
  // What is started from here is refused at the next turn.
  for (Http2Call* call : std::exchange(refused_, {})) {
    call->stream_ = 0;
    call->OnEnd(absl::UnavailableError("not connected to " + endpoint_));
  }
}

void Http2Connection::Connect(int epoll, std::uint32_t number) {
  connect_at_ = SteadyClock::now() + kReconnectAfter;
  epoll_ = epoll;
  number_ = number;
  socket_ = ConnectTo(endpoint_);
  if (socket_ < 0) return;
  state_ = State::kConnecting;
  watches_writable_ = true;
  epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.u32 = number_}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) == 0);
  OpenSession();
}

void Http2Connection::OpenSession() {
  nghttp2_session_callbacks* callbacks = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2ClientCallbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                            Http2ClientCallbacks::OnDataChunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         Http2ClientCallbacks::OnStreamClose);
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_peer_max_concurrent_streams(option, 1'000'000);
  CHECK(nghttp2_session_client_new2(&session_, callbacks, this, option) == 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindow);
}

void Http2Connection::OnReady(std::uint32_t events) {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Drop(absl::UnavailableError(std::strerror(error)));
    if ((events & EPOLLOUT) != 0) state_ = State::kUp;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !Read()) {
    Drop(absl::UnavailableError("the connection was lost"));
  }
}

bool Http2Connection::Read() {
  static thread_local std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    const auto size = static_cast<std::size_t>(got);
    const ssize_t parsed = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const std::uint8_t*>(buffer.data()), size);
    if (parsed != got || nghttp2_session_want_read(session_) == 0) return false;
    if (size < buffer.size()) return true;
  }
}

bool Http2Connection::Write() {
  if (state_ != State::kUp) return true;
  for (;;) {
    while (unsent_.size() - unsent_from_ < kWriteBytes) {
      const std::uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size < 0) return false;
      if (size == 0) break;
      unsent_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
    if (unsent_from_ == unsent_.size()) return WatchWritable(false), true;
    const ssize_t sent =
        send(socket_, unsent_.data() + unsent_from_, unsent_.size() - unsent_from_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) return false;
      return WatchWritable(true), true;
    }
    unsent_from_ += static_cast<std::size_t>(sent);
    if (unsent_from_ == unsent_.size()) {
      unsent_.clear();
      unsent_from_ = 0;
    }
  }
}

bool Http2Connection::IsUsedUp() const {
  return state_ == State::kUp && calls_.empty() &&
         nghttp2_session_check_request_allowed(session_) == 0;
}

void Http2Connection::WatchWritable(bool on) {
  if (watches_writable_ == on) return;
  watches_writable_ = on;
  epoll_event event{.events = EPOLLIN | (on ? std::uint32_t{EPOLLOUT} : 0U),
                    .data = {.u32 = number_}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event) == 0);
}

void Http2Connection::Drop(const absl::Status& why) {
  state_ = State::kDown;
  nghttp2_session_del(std::exchange(session_, nullptr));
  close(std::exchange(socket_, -1));
  unsent_.clear();
  unsent_from_ = 0;
  connect_at_ = SteadyClock::now() + kReconnectAfter;
  while (!calls_.empty()) End(calls_.back(), why);
}

Http2Loop::Http2Loop(const std::vector<std::string>& endpoints, std::size_t connections)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_ >= 0 && !endpoints.empty());
  for (std::size_t i = 0; i < std::max<std::size_t>(connections, 1); ++i) {
    connections_.push_back(std::make_unique<Http2Connection>(endpoints[i % endpoints.size()]));
  }
  Prepare();
}

Http2Loop::~Http2Loop() { close(epoll_); }

SteadyClock::time_point Http2Loop::Prepare() {
  auto due = SteadyClock::time_point::max();
  std::uint32_t number = 0;
  for (const auto& each : connections_) {
    Http2Connection& connection = *each;
    if (connection.state_ == Http2Connection::State::kDown) {
      if (SteadyClock::now() >= connection.connect_at_) connection.Connect(epoll_, number);
      if (connection.state_ == Http2Connection::State::kDown) {
        due = std::min(due, connection.connect_at_);
      }
    }
    if (!connection.Write() || connection.IsUsedUp()) {
      connection.Drop(absl::UnavailableError("the connection was lost"));
    }
    connection.EndRefused();
    if (!connection.refused_.empty()) due = SteadyClock::time_point::min();
    ++number;
  }
  return due;
}

void Http2Loop::Turn(std::chrono::nanoseconds wait) {
  const SteadyClock::time_point now = SteadyClock::now();
  const SteadyClock::time_point due = Prepare();
  if (due != SteadyClock::time_point::max()) {
    wait = due <= now ? std::chrono::nanoseconds(0) : std::min(wait, due - now);
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (wait - seconds).count()};
  epoll_event events[64];
  const int ready = epoll_pwait2(epoll_, events, std::size(events), &limit, nullptr);
  for (int i = 0; i < ready; ++i) {
    Http2Connection& connection = *connections_[events[i].data.u32];
    if (connection.state_ != Http2Connection::State::kDown) connection.OnReady(events[i].events);
  }
}

}  // namespace conclave::client
