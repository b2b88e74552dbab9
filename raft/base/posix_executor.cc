#include "raft/base/posix_executor.h"

#include <pthread.h>

#include <chrono>

#include "raft/base/check.h"
#include "raft/base/posix_clock.h"

namespace conclave {
namespace {

std::chrono::steady_clock::time_point ToSteady(Instant when) {
  return std::chrono::steady_clock::time_point(when.time_since_epoch());
}

}  // namespace

PosixExecutor::PosixExecutor(const std::string& name, Scheduling scheduling)
    : now_(PosixClock().Now()), thread_([this, scheduling] {
        ScheduleThisThread(scheduling);
        Run();
      }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

PosixExecutor::~PosixExecutor() {
  CHECK(std::this_thread::get_id() != thread_.get_id());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void PosixExecutor::Post(Task task) {
  bool wake = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    wake = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (wake) wake_.notify_one();
}

TimerId PosixExecutor::RunAt(Instant when, Task task) {
  const TimerId timer = ++last_timer_;
  timers_.emplace(std::make_pair(when, timer), std::move(task));
  timer_times_.emplace(timer, when);
  return timer;
}

void PosixExecutor::CancelTimer(TimerId timer) {
  const auto it = timer_times_.find(timer);
  if (it == timer_times_.end()) return;
  timers_.erase({it->second, timer});
  timer_times_.erase(it);
}

void PosixExecutor::RunDueTimers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now_) {
    auto timer = timers_.extract(timers_.begin());
    timer_times_.erase(timer.key().second);
    timer.mapped()();
  }
}

bool PosixExecutor::TakeBatch() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto awaited = [this] { return !posted_.empty() || stopping_; };
  if (timers_.empty()) {
    wake_.wait(lock, awaited);
  } else {
    wake_.wait_until(lock, ToSteady(timers_.begin()->first.first), awaited);
  }
  batch_.swap(posted_);
  return stopping_ && batch_.empty();
}

void PosixExecutor::Run() {
  while (!TakeBatch()) {
    now_ = PosixClock().Now();
    for (Task& task : batch_) {
      task();
      task = nullptr;  // what it holds is let go here, not when the batch ends
    }
    batch_.clear();
    RunDueTimers();
  }
}

}  // namespace conclave
