// One attempt to connect to an address without blocking. The peer transport makes one per attempt,
// with its own pauses between them. On the loop's lane; destroying it abandons the attempt, and
// then `done` does not run.
#pragma once

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "server/net/address.h"
#include "server/net/event_loop.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class Connector : private IoHandler {
 public:
  // Gets a nonblocking socket for Connection, or Unavailable / DeadlineExceeded with the address
  // and the system's words.
  using Done = absl::AnyInvocable<void(absl::StatusOr<ScopedFd>)>;

  // `done` runs once, from a later turn, and may destroy the connector.
  Connector(EventLoop* loop, const SocketAddress& address, Duration timeout, Done done);
  ~Connector() override;

 private:
  void OnReady(IoEvents events) override;
  void Complete(const absl::Status& status);
  void Forget();

  EventLoop* const loop_;
  const SocketAddress address_;
  ScopedFd fd_;
  Done done_;
  TimerId timer_ = 0;
  bool watching_ = false;
};

}  // namespace conclave::server
