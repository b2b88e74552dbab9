// An event loop for tests, with a clock that can be moved forward: a timeout of seconds passes at
// once, while the sockets are real ones. Server and client of a test share the loop, so there is
// one thread and no sleep. Test code only.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/clock.h"
#include "raft/base/posix_clock.h"
#include "server/net/event_loop.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

// The real time plus what the test has added.
class SkippingClock : public Clock {
 public:
  Instant Now() const override { return real_.Now() + skipped_; }
  int64_t WallMilliseconds() const override {
    return real_.WallMilliseconds() + ToMilliseconds(skipped_);
  }
  void Skip(Duration duration) { skipped_ += duration; }

 private:
  PosixClock real_;
  Duration skipped_{0};
};

// Two sockets connected to each other, nonblocking.
inline std::pair<ScopedFd, ScopedFd> MakeSocketPair() {
  int fds[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  return {ScopedFd(fds[0]), ScopedFd(fds[1])};
}

class TestLoop {
 public:
  TestLoop() : loop_(&clock_) {}

  EventLoop* get() { return &loop_; }
  EventLoop* operator->() { return &loop_; }

  // Runs turns until `done`; false if that takes more than ten seconds.
  bool RunUntil(const std::function<bool()>& done) {
    const Instant limit = PosixClock().Now() + Seconds(10);
    while (!done()) {
      if (PosixClock().Now() > limit) return false;
      loop_.RunTurn(Milliseconds(10));
    }
    return true;
  }
  // Runs turns until nothing happens any more: all that was sent has arrived and was answered.
  void RunUntilQuiet() {
    while (loop_.RunTurn(Milliseconds(2))) {
    }
  }
  // Moves time forward and runs what is due then.
  void Skip(Duration duration) {
    clock_.Skip(duration);
    RunUntilQuiet();
  }

 private:
  SkippingClock clock_;
  EventLoop loop_;
};

}  // namespace conclave::server
