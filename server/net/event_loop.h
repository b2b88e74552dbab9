// A lane that owns sockets: one thread around epoll. Each turn waits for readiness, then runs the
// ready sockets' handlers, the timers that are due, the tasks posted, and last the turn-end
// listeners, so that what a turn produced leaves in one write. The thread that calls Run (or
// RunTurn) is the lane; only Post and Stop may be called from others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "raft/base/clock.h"
#include "raft/base/executor.h"
#include "server/net/scoped_fd.h"
#include "server/net/timer_heap.h"

namespace conclave::server {

// Which readiness a watched descriptor wants or has. Level-triggered: reported again every turn
// while it lasts, so a handler may leave bytes in the socket and no wake-up can be lost.
struct IoEvents {
  bool readable = false;  // bytes, a connection to accept, or the end of input
  bool writable = false;
  bool failed = false;  // an error or a hang-up; reported whether wanted or not
};

// What happens when a descriptor is ready. May unwatch and destroy anything, itself included.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  virtual void OnReady(IoEvents events) = 0;
};

class EventLoop;

// Something to do once at the end of the turn, however often it was asked for. Destroying it
// forgets the request.
class TurnEndListener {
 public:
  explicit TurnEndListener(EventLoop* loop) : loop_(loop) {}
  virtual ~TurnEndListener();
  TurnEndListener(const TurnEndListener&) = delete;
  TurnEndListener& operator=(const TurnEndListener&) = delete;

  // OnTurnEnd will run at the end of this turn. If the listeners are already running, still in this
  // turn, but after a few rounds of such requests in the next one, so that two listeners that feed
  // each other cannot hold up the sockets.
  void ArmTurnEnd();

  // May destroy the listener.
  virtual void OnTurnEnd() = 0;

 private:
  friend class EventLoop;

  EventLoop* const loop_;
  bool armed_ = false;
};

class EventLoop : public Executor {
 public:
  // `clock` must outlive the loop. Ends the process if the kernel has no descriptor for epoll.
  explicit EventLoop(const Clock* clock);
  // Tasks and timers that have not run are dropped. Every descriptor must have been unwatched.
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Executor.
  void Post(Task task) override;
  TimerId RunAt(Instant when, Task task) override { return timers_.Add(when, std::move(task)); }
  void CancelTimer(TimerId timer) override { timers_.Cancel(timer); }
  Instant Now() const override { return now_; }

  // Runs turns until Stop. The calling thread becomes the lane.
  void Run();
  // One turn that waits at most `wait_max` for something to happen; false if nothing did. For tests
  // and for owners with a loop of their own.
  bool RunTurn(Duration wait_max);
  // Makes Run return after the turn under way, or at once if it has not begun. Any thread.
  void Stop();

  // Reports readiness of `fd` to `handler` until Unwatch. A descriptor has one handler; epoll
  // refusing it is a bug (CHECK).
  void Watch(int fd, bool readable, bool writable, IoHandler* handler);
  void ChangeWatch(int fd, bool readable, bool writable);
  // Nothing is reported any more, not even what this turn's wait had already found. Call before
  // closing `fd`.
  void Unwatch(int fd);

  // Room for one read at a time, shared by all that read on this lane: an idle connection then
  // costs no buffer. Its content is the reader's until it returns to the loop.
  char* read_buffer() { return read_buffer_.get(); }
  // Also the most that one turn takes from a connection.
  static constexpr size_t kReadBufferSize = 64 << 10;

 private:
  friend class TurnEndListener;

  struct ReadyEvents;  // what the kernel reports in one wait

  struct Watched {
    IoHandler* handler = nullptr;  // nullptr: not watched
    uint32_t generation = 0;       // tells a descriptor from an earlier one of the same number
  };

  // Sleeps until something is ready, at most `wait_max`, and returns the number of events.
  int Wait(Duration wait_max);
  static int ToWaitMilliseconds(Duration wait);
  void Wake();
  void RunReady(int count);
  // Each runs what is there, and what that asks for, for a bounded number of rounds; false if there
  // was nothing.
  bool RunPosted();
  bool RunTurnEnd();
  void Control(int operation, int fd, bool readable, bool writable);

  const Clock* const clock_;
  Instant now_;
  ScopedFd epoll_;
  ScopedFd wake_;  // an eventfd, readable when another thread wants a turn

  std::mutex mutex_;
  std::vector<Task> posted_;  // guarded by mutex_
  bool asleep_ = false;    // guarded by mutex_; in, or about to enter, a wait that a Post must end
  bool stopping_ = false;  // guarded by mutex_

  TimerHeap timers_;
  const std::unique_ptr<ReadyEvents> ready_;
  std::vector<Watched> watched_;  // by descriptor
  std::vector<Task> batch_;       // kept for its capacity
  std::vector<TurnEndListener*> turn_end_;
  std::vector<TurnEndListener*> turn_end_running_;
  const std::unique_ptr<char[]> read_buffer_;
};

}  // namespace conclave::server
