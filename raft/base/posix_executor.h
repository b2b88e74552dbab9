// A lane that is a plain thread: a queue of tasks and its timers. For work that may block (syncs,
// snapshots, password hashing); lanes that own sockets are the epoll loops of server/net. Tasks run
// one at a time, in the order posted.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raft/base/executor.h"
#include "raft/base/posix_scheduling.h"

namespace conclave {

class PosixExecutor : public Executor {
 public:
  // `name` is what the kernel shows for the thread; at most 15 bytes of it.
  explicit PosixExecutor(const std::string& name, Scheduling scheduling = Scheduling::kUsual);
  // Runs everything posted so far and what that posts, forgets the timers, ends the thread. Not
  // from its own lane.
  ~PosixExecutor() override;
  PosixExecutor(const PosixExecutor&) = delete;
  PosixExecutor& operator=(const PosixExecutor&) = delete;

  void Post(Task task) override;
  TimerId RunAt(Instant when, Task task) override;
  void CancelTimer(TimerId timer) override;
  Instant Now() const override { return now_; }

 private:
  void Run();
  void RunDueTimers();
  // Waits for tasks, the next timer or the end; true if the thread should end.
  bool TakeBatch();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> posted_;  // guarded by mutex_
  bool stopping_ = false;     // guarded by mutex_

  // The thread's own.
  std::vector<Task> batch_;
  std::map<std::pair<Instant, TimerId>, Task> timers_;
  std::map<TimerId, Instant> timer_times_;
  TimerId last_timer_ = 0;
  Instant now_;

  std::thread thread_;
};

}  // namespace conclave
