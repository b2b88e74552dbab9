#include "server/net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "server/net/system_error.h"

namespace conclave::server {

namespace {

constexpr int kEventsPerWait = 256;

// How often within one turn new tasks, or new turn-end requests, are run before the sockets get
// their chance again.
constexpr int kRoundsPerTurn = 4;

uint32_t EpollMask(bool readable, bool writable) {
  return (readable ? static_cast<uint32_t>(EPOLLIN) : 0u) |
         (writable ? static_cast<uint32_t>(EPOLLOUT) : 0u);
}

}  // namespace

TurnEndListener::~TurnEndListener() {
  if (!armed_) return;
  std::replace(loop_->turn_end_.begin(), loop_->turn_end_.end(), this,
               static_cast<TurnEndListener*>(nullptr));
  std::replace(loop_->turn_end_running_.begin(), loop_->turn_end_running_.end(), this,
               static_cast<TurnEndListener*>(nullptr));
}

void TurnEndListener::ArmTurnEnd() {
  if (std::exchange(armed_, true)) return;
  loop_->turn_end_.push_back(this);
}

struct EventLoop::ReadyEvents {
  std::array<epoll_event, kEventsPerWait> events;
};

EventLoop::EventLoop(const Clock* clock)
    : clock_(clock),
      now_(clock->Now()),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      ready_(std::make_unique<ReadyEvents>()),
      read_buffer_(new char[kReadBufferSize]) {
  if (!epoll_.valid() || !wake_.valid()) {
    Fatal(fmt::format("cannot create an event loop: {}", SystemWords(errno)));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint32_t>(wake_.get());
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
}

EventLoop::~EventLoop() {
  // What the tasks hold may own watched sockets and turn-end listeners of this loop: let go of it
  // while the loop is whole.
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    std::vector<Task> dropped;
    {
      std::lock_guard lock(mutex_);
      dropped.swap(posted_);
    }
  }
  timers_.Clear();
  for (const Watched& watched : watched_) CHECK(watched.handler == nullptr);
}

void EventLoop::Post(Task task) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    wake = std::exchange(asleep_, false);
  }
  if (wake) Wake();
}

void EventLoop::Stop() {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake = std::exchange(asleep_, false);
  }
  if (wake) Wake();
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // It can only fail when the counter is full, and then it is readable anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void EventLoop::Run() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(stopping_, false)) return;
    }
    RunTurn(Duration::max());
  }
}

bool EventLoop::RunTurn(Duration wait_max) {
  const int count = Wait(wait_max);
  now_ = clock_->Now();
  RunReady(count);
  const bool timers = timers_.RunDue(now_);
  const bool tasks = RunPosted();
  const bool listeners = RunTurnEnd();
  return count > 0 || timers || tasks || listeners;
}

int EventLoop::Wait(Duration wait_max) {
  Duration wait = turn_end_.empty() ? wait_max : Duration::zero();
  const Instant next_timer = timers_.NextDue();
  if (next_timer != kNever && wait > Duration::zero()) {
    wait = std::min(wait, std::max(next_timer - clock_->Now(), Duration::zero()));
  }
  {
    std::lock_guard lock(mutex_);
    if (!posted_.empty() || stopping_) wait = Duration::zero();
    asleep_ = wait > Duration::zero();
  }
  const int count =
      epoll_wait(epoll_.get(), ready_->events.data(), kEventsPerWait, ToWaitMilliseconds(wait));
  if (count < 0 && errno != EINTR) Fatal(fmt::format("epoll_wait: {}", SystemWords(errno)));
  std::lock_guard lock(mutex_);
  asleep_ = false;
  return std::max(count, 0);
}

int EventLoop::ToWaitMilliseconds(Duration wait) {
  // Rounded up: waking before a timer is due would only spin until it is.
  const int64_t milliseconds =
      std::chrono::ceil<std::chrono::milliseconds>(std::min(wait, Seconds(24 * 60 * 60))).count();
  return static_cast<int>(milliseconds);
}

void EventLoop::RunReady(int count) {
  for (int i = 0; i < count; ++i) {
    const epoll_event event = ready_->events[static_cast<size_t>(i)];
    const int fd = static_cast<int>(event.data.u64 & 0xffffffffu);
    if (fd == wake_.get()) {
      uint64_t wakes = 0;
      [[maybe_unused]] const ssize_t got = ::read(fd, &wakes, sizeof(wakes));
      continue;
    }
    // An earlier handler of this turn may have closed the descriptor, and another may have got its
    // number since.
    const Watched& watched = watched_[static_cast<size_t>(fd)];
    if (watched.handler == nullptr || watched.generation != event.data.u64 >> 32) continue;
    watched.handler->OnReady({.readable = (event.events & EPOLLIN) != 0,
                              .writable = (event.events & EPOLLOUT) != 0,
                              .failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0});
  }
}

bool EventLoop::RunPosted() {
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    {
      std::lock_guard lock(mutex_);
      batch_.swap(posted_);
    }
    if (batch_.empty()) return round > 0;
    for (Task& task : batch_) {
      task();
      task = nullptr;  // what it holds is let go here, not when the batch ends
    }
    batch_.clear();
  }
  return true;
}

bool EventLoop::RunTurnEnd() {
  const bool armed = !turn_end_.empty();
  for (int round = 0; round < kRoundsPerTurn && !turn_end_.empty(); ++round) {
    turn_end_running_.swap(turn_end_);
    // By index: a listener may be destroyed by an earlier one, which leaves nullptr in its place.
    for (size_t i = 0; i < turn_end_running_.size(); ++i) {
      TurnEndListener* listener = std::exchange(turn_end_running_[i], nullptr);
      if (listener == nullptr) continue;
      listener->armed_ = false;
      listener->OnTurnEnd();
    }
    turn_end_running_.clear();
  }
  return armed;
}

void EventLoop::Watch(int fd, bool readable, bool writable, IoHandler* handler) {
  CHECK(fd >= 0);
  const size_t index = static_cast<size_t>(fd);
  if (index >= watched_.size()) watched_.resize(index + 1);
  Watched& watched = watched_[index];
  CHECK(watched.handler == nullptr);
  watched.handler = handler;
  ++watched.generation;
  Control(EPOLL_CTL_ADD, fd, readable, writable);
}

void EventLoop::ChangeWatch(int fd, bool readable, bool writable) {
  Control(EPOLL_CTL_MOD, fd, readable, writable);
}

void EventLoop::Unwatch(int fd) {
  CHECK(watched_[static_cast<size_t>(fd)].handler != nullptr);
  Control(EPOLL_CTL_DEL, fd, false, false);
  watched_[static_cast<size_t>(fd)].handler = nullptr;
}

void EventLoop::Control(int operation, int fd, bool readable, bool writable) {
  const Watched& watched = watched_[static_cast<size_t>(fd)];
  CHECK(watched.handler != nullptr);
  epoll_event event{};
  event.events = EpollMask(readable, writable);
  event.data.u64 = uint64_t{watched.generation} << 32 | static_cast<uint32_t>(fd);
  const int result = epoll_ctl(epoll_.get(), operation, fd, &event);
  CHECK_MSG(result == 0, SystemWords(errno));
}

}  // namespace conclave::server
