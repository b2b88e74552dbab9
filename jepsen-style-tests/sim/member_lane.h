// The lane and the clock of one run of a simulated member: tasks become events of the scheduler,
// time runs at the member's own rate, and the whole process can be paused (its tasks pile up and
// run late, as after a suspended virtual machine) or ended. One lane per run of the process; a new
// run gets a new one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "jepsen-style-tests/sim/scheduler.h"
#include "raft/base/clock.h"
#include "raft/base/executor.h"

namespace conclave::sim {

// How a member's monotonic clock differs from true time. Monotonic clocks of two machines have
// nothing in common; only their rates are nearly equal.
struct ClockOptions {
  Duration offset{};
  int64_t rate_ppm = 0;  // runs faster by so many millionths; slower if negative
};

// Thrown through the product's code when the process ends itself (Fatal or a failed CHECK), and
// caught by the lane: nothing of that run does anything afterwards.
struct ProcessEnded {
  bool bug = false;  // a CHECK: our code is wrong; else the machine failed it
  std::string what;
};

class MemberLane : public Executor, public Clock {
 public:
  // Told after every task; on process end instead of that. Must not destroy the lane.
  struct Observer {
    absl::AnyInvocable<void()> after_task;
    absl::AnyInvocable<void(const ProcessEnded&)> ended;
  };

  MemberLane(Scheduler* scheduler, const ClockOptions& clock, Observer observer);
  ~MemberLane() override;
  MemberLane(const MemberLane&) = delete;
  MemberLane& operator=(const MemberLane&) = delete;

  void Post(Task task) override;
  TimerId RunAt(Instant when, Task task) override;
  void CancelTimer(TimerId timer) override;
  Instant Now() const override;
  int64_t WallMilliseconds() const override;

  // What reaches the process from outside (the network): runs now, or when the pause is over.
  void Deliver(Task task);

  void Pause();
  void Resume();
  bool paused() const { return paused_; }
  // Nothing runs any more, nor is anything told.
  void End();
  // The process is dead and does not know: until its present task is over nothing it says may
  // leave it, and no task follows. Whoever sends for it must ask.
  void Silence() { silent_ = true; }
  bool silent() const { return silent_; }

  // Only wall clocks jump; a monotonic one stands still at most, which is a pause.
  void JumpWall(Duration jump) { wall_jump_ += jump; }

 private:
  struct Parked {
    EventId id;
    Task task;
  };

  EventId Schedule(Instant when, Task task);
  void Run(EventId id, Task task);
  void RunParked();
  Instant TrueTime(Instant local) const;

  Scheduler* const scheduler_;
  Observer observer_;
  const Instant true_origin_;
  const Instant local_origin_;
  const int64_t rate_ppm_;
  Duration wall_jump_{};
  bool paused_ = false;
  bool silent_ = false;
  bool run_parked_posted_ = false;
  std::deque<Parked> parked_;
  std::shared_ptr<MemberLane*> self_;  // null once the lane is gone
};

}  // namespace conclave::sim
