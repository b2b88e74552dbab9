#include "server/net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "server/net/system_error.h"

namespace conclave::server {

namespace {

// Output sent is cut off the front of the buffer when it is at least this much and at least half:
// each byte moves once at most.
constexpr size_t kCompactBytes = 64 << 10;
// An emptied buffer larger than this gives its memory back.
constexpr size_t kKeepCapacity = 512 << 10;

}  // namespace

Connection::Connection(EventLoop* loop, ScopedFd fd, ConnectionHandler* handler,
                       ConnectionOptions options)
    : TurnEndListener(loop), loop_(loop), fd_(std::move(fd)), handler_(handler), options_(options) {
  const int on = 1;
  // Fails for Unix sockets, which have nothing to switch off.
  (void)setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  loop_->Watch(fd_.get(), watch_readable_, watch_writable_, this);
}

Connection::~Connection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  CloseSocket();
}

void Connection::Write(std::string_view bytes) {
  if (closing_ || bytes.empty()) return;
  if (queued_bytes() + bytes.size() > options_.output_bytes_max) {
    overflowed_ = true;
    closing_ = true;
    ArmTurnEnd();
    return;
  }
  if (sent_ >= kCompactBytes && sent_ >= output_.size() / 2) {
    output_.erase(0, sent_);
    sent_ = 0;
  }
  output_.append(bytes);
  if (!Writable()) above_high_mark_ = true;
  if (!blocked_) ArmTurnEnd();
}

void Connection::PauseReading() {
  reading_ = false;
  UpdateWatch();
}

void Connection::ResumeReading() {
  reading_ = true;
  UpdateWatch();
}

void Connection::CloseAfterFlush(Duration limit) {
  if (std::exchange(closing_, true)) return;
  close_timer_ = loop_->RunAt(loop_->Now() + limit, [this] {
    close_timer_ = 0;
    Fail(absl::OkStatus());
  });
  UpdateWatch();
  if (!blocked_) ArmTurnEnd();
}

void Connection::OnReady(IoEvents events) {
  if (events.writable && !Flush()) return;
  if (!fd_.valid()) return;
  const bool wants_input = reading_ || closing_;
  if (wants_input && (events.readable || events.failed)) {
    ReadOnce();
  } else if (events.failed) {
    // Nobody reads, so nobody would notice, and epoll would report it for ever.
    int error = 0;
    socklen_t size = sizeof(error);
    (void)getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    Fail(SystemError("connection lost", error != 0 ? error : ECONNRESET));
  }
}

void Connection::OnTurnEnd() {
  if (!fd_.valid()) return;
  if (overflowed_) {
    Fail(absl::UnavailableError(
        fmt::format("the peer does not read: {} bytes of output queued", queued_bytes())));
    return;
  }
  if (!blocked_) Flush();
}

size_t Connection::PortionToRead() const {
  const size_t most = EventLoop::kReadBufferSize;
  return options_.read_portion != nullptr ? std::min((*options_.read_portion)(), most) : most;
}

bool Connection::ReadOnce() {
  char* const buffer = loop_->read_buffer();
  const ssize_t got = ::recv(fd_.get(), buffer, PortionToRead(), 0);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return true;
    return Fail(SystemError("read", errno));
  }
  if (got == 0) return Fail(absl::OkStatus());
  bytes_received_ += static_cast<size_t>(got);
  if (closing_) return true;  // only waiting for the peer's end
  return Notify([&] { handler_->OnBytes({buffer, static_cast<size_t>(got)}); });
}

bool Connection::Flush() {
  if (queued_bytes() > 0) {
    const ssize_t took =
        ::send(fd_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (took < 0 && errno != EAGAIN && errno != EINTR) return Fail(SystemError("write", errno));
    if (took > 0) {
      sent_ += static_cast<size_t>(took);
      bytes_sent_ += static_cast<size_t>(took);
    }
  }
  blocked_ = queued_bytes() > 0;
  if (!blocked_) {
    sent_ = 0;
    output_.clear();
    if (output_.capacity() > kKeepCapacity) std::string().swap(output_);
    if (closing_ && !std::exchange(output_shut_, true)) ::shutdown(fd_.get(), SHUT_WR);
  }
  UpdateWatch();
  if (above_high_mark_ && queued_bytes() <= options_.output_low_mark) {
    above_high_mark_ = false;
    if (!closing_) return Notify([&] { handler_->OnDrained(); });
  }
  return true;
}

bool Connection::Fail(const absl::Status& why) {
  closing_ = true;
  CloseSocket();
  return Notify([&] { handler_->OnClosed(why); });
}

template <typename Callback>
bool Connection::Notify(Callback callback) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  callback();
  if (destroyed) return false;
  destroyed_ = nullptr;
  return true;
}

void Connection::UpdateWatch() {
  if (!fd_.valid()) return;
  const bool readable = reading_ || closing_;
  if (readable == watch_readable_ && blocked_ == watch_writable_) return;
  watch_readable_ = readable;
  watch_writable_ = blocked_;
  loop_->ChangeWatch(fd_.get(), readable, blocked_);
}

void Connection::CloseSocket() {
  if (close_timer_ != 0) loop_->CancelTimer(std::exchange(close_timer_, 0));
  if (!fd_.valid()) return;
  loop_->Unwatch(fd_.get());
  fd_.Reset();
}

}  // namespace conclave::server
