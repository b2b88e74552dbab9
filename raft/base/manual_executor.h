// An Executor whose time only moves when told to: unit tests and, later, the simulator run stages
// on it, in one thread and the same way every time. Tasks run in the order of (time, sequence).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "raft/base/clock.h"
#include "raft/base/executor.h"

namespace conclave {

class ManualExecutor : public Executor, public Clock {
 public:
  void Post(Task task) override { posted_.push_back(std::move(task)); }

  TimerId RunAt(Instant when, Task task) override {
    const TimerId id = ++last_timer_;
    timers_.emplace(std::make_pair(when, id), std::move(task));
    return id;
  }

  void CancelTimer(TimerId timer) override {
    std::erase_if(timers_, [&](const auto& entry) { return entry.first.second == timer; });
  }

  Instant Now() const override { return now_; }
  int64_t WallMilliseconds() const override {
    return wall_base_ms_ + ToMilliseconds(now_.time_since_epoch());
  }

  // Runs what is posted, and what that posts, until nothing is left. Timers do not run.
  void RunPosted() {
    while (!posted_.empty()) {
      Task task = std::move(posted_.front());
      posted_.pop_front();
      task();
    }
  }

  // Moves time forward by `duration`, running every task and timer due on the way.
  void Advance(Duration duration) {
    const Instant end = now_ + duration;
    RunPosted();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto node = timers_.extract(timers_.begin());
      if (node.key().first > now_) now_ = node.key().first;
      node.mapped()();
      RunPosted();
    }
    now_ = end;
  }

  // Time passes and nothing runs, as when the process is suspended: what was due comes late.
  void Suspend(Duration duration) { now_ += duration; }

 private:
  Instant now_{Seconds(1)};
  int64_t wall_base_ms_ = 1'700'000'000'000;
  std::deque<Task> posted_;
  std::map<std::pair<Instant, TimerId>, Task> timers_;
  TimerId last_timer_ = 0;
};

}  // namespace conclave
