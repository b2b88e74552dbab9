// A listening socket: hands every accepted connection, already nonblocking, to its owner. On the
// loop's lane. A burst of connections is accepted in bounded batches between other work; when the
// process is out of descriptors it pauses instead of spinning. Destroying it stops listening and
// removes a Unix socket's path.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/net/address.h"
#include "server/net/event_loop.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class Listener : private IoHandler {
 public:
  // May hand the socket to another lane. Must not destroy the listener.
  using Accepted = absl::AnyInvocable<void(ScopedFd fd)>;

  // Unavailable with the address and the system's words ("address already in use"). Port 0 lets the
  // kernel choose. A socket left at a Unix path by an earlier process is replaced.
  static absl::StatusOr<std::unique_ptr<Listener>> Listen(EventLoop* loop,
                                                          const SocketAddress& address,
                                                          Accepted accepted);
  ~Listener() override;

  // As bound: with the port the kernel chose.
  const SocketAddress& address() const { return address_; }

 private:
  Listener(EventLoop* loop, ScopedFd fd, SocketAddress address, Accepted accepted);
  void OnReady(IoEvents events) override;
  void Pause();

  EventLoop* const loop_;
  ScopedFd fd_;
  const SocketAddress address_;
  Accepted accepted_;
  TimerId resume_timer_ = 0;
};

}  // namespace conclave::server
