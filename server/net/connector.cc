#include "server/net/connector.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "fmt/format.h"
#include "server/net/system_error.h"

namespace conclave::server {

Connector::Connector(EventLoop* loop, const SocketAddress& address, Duration timeout, Done done)
    : loop_(loop),
      address_(address),
      fd_(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      done_(std::move(done)) {
  int error = 0;
  if (!fd_.valid() || (::connect(fd_.get(), address_.kernel(),
                                 static_cast<socklen_t>(address_.kernel_size())) != 0 &&
                       errno != EINPROGRESS)) {
    error = errno;
  }
  if (error != 0) {
    // Told from a later turn, so that the caller has stored the connector before `done` may destroy
    // it.
    timer_ = loop_->RunAt(loop_->Now(), [this, error] {
      timer_ = 0;
      Complete(SystemError(fmt::format("connect to {}", address_.ToString()), error));
    });
    return;
  }
  loop_->Watch(fd_.get(), false, true, this);
  watching_ = true;
  timer_ = loop_->RunAt(loop_->Now() + timeout, [this, timeout] {
    timer_ = 0;
    Complete(absl::DeadlineExceededError(fmt::format(
        "connect to {}: no answer within {} ms", address_.ToString(), ToMilliseconds(timeout))));
  });
}

Connector::~Connector() { Forget(); }

void Connector::OnReady(IoEvents) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error == 0) return Complete(absl::OkStatus());
  Complete(SystemError(fmt::format("connect to {}", address_.ToString()), error));
}

void Connector::Complete(const absl::Status& status) {
  Forget();
  Done done = std::move(done_);
  if (status.ok()) {
    done(std::move(fd_));
  } else {
    done(status);
  }
}

void Connector::Forget() {
  if (timer_ != 0) loop_->CancelTimer(std::exchange(timer_, 0));
  if (std::exchange(watching_, false)) loop_->Unwatch(fd_.get());
}

}  // namespace conclave::server
