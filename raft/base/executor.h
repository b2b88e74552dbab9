// The seam of threads and timers: a lane. A stage runs all its work as tasks on one Executor, one
// at a time, so its state needs no lock. Real lanes are the epoll loops of server/net and the plain
// threads of posix_executor.h; in simulation one seeded scheduler is every lane.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "raft/base/time.h"

namespace conclave {

using Task = absl::AnyInvocable<void()>;

// Names a timer of one Executor; never reused within a run. 0 is no timer.
using TimerId = uint64_t;

class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` on this lane, after everything posted before it. Any thread may call; never runs
  // `task` inline.
  virtual void Post(Task task) = 0;

  // Runs `task` on this lane once, not before `when`. Only from this lane.
  virtual TimerId RunAt(Instant when, Task task) = 0;

  // Forgets a timer that has not run yet; anything else is a no-op. Only from this lane.
  virtual void CancelTimer(TimerId timer) = 0;

  // The lane's idea of now: read once per turn of the loop, so cheap. Only from this lane.
  virtual Instant Now() const = 0;
};

}  // namespace conclave
