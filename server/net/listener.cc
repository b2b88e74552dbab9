#include "server/net/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "server/net/system_error.h"

namespace conclave::server {

namespace {

constexpr int kBacklog = 1024;
// Accepted between two looks at the other sockets.
constexpr int kAcceptBatch = 64;
// How long to leave connections in the backlog when there is no descriptor or memory for them.
constexpr Duration kExhaustedPause = Milliseconds(100);

// A socket file outlives its process; binding needs the path free. Anything that is not a socket is
// left alone, and bind says so.
void RemoveStaleSocket(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) ::unlink(path.c_str());
}

bool IsExhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Listen(EventLoop* loop,
                                                           const SocketAddress& address,
                                                           Accepted accepted) {
  const std::string what = fmt::format("listen on {}", address.ToString());
  ScopedFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return SystemError(what, errno);
  const int on = 1;
  if (address.family() == AF_UNIX) {
    RemoveStaleSocket(address.unix_path());
  } else if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return SystemError(what, errno);
  }
  if (::bind(fd.get(), address.kernel(), static_cast<socklen_t>(address.kernel_size())) != 0) {
    return SystemError(what, errno);
  }
  if (::listen(fd.get(), kBacklog) != 0) return SystemError(what, errno);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return SystemError(what, errno);
  }
  return std::unique_ptr<Listener>(new Listener(
      loop, std::move(fd), SocketAddress::FromKernel(bound, size), std::move(accepted)));
}

Listener::Listener(EventLoop* loop, ScopedFd fd, SocketAddress address, Accepted accepted)
    : loop_(loop),
      fd_(std::move(fd)),
      address_(std::move(address)),
      accepted_(std::move(accepted)) {
  loop_->Watch(fd_.get(), true, false, this);
}

Listener::~Listener() {
  if (resume_timer_ != 0) loop_->CancelTimer(resume_timer_);
  loop_->Unwatch(fd_.get());
  const std::string path = address_.unix_path();
  if (!path.empty()) ::unlink(path.c_str());
}

void Listener::OnReady(IoEvents) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    ScopedFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      accepted_(std::move(fd));
      continue;
    }
    if (errno == EAGAIN) return;
    if (IsExhausted(errno)) return Pause();
    // What is left are connections that died in the backlog (ECONNABORTED and the like): the next
    // one may be well.
  }
}

void Listener::Pause() {
  loop_->ChangeWatch(fd_.get(), false, false);
  resume_timer_ = loop_->RunAt(loop_->Now() + kExhaustedPause, [this] {
    resume_timer_ = 0;
    loop_->ChangeWatch(fd_.get(), true, false);
  });
}

}  // namespace conclave::server
