#include "client/load/unary_load.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "raft/base/check.h"

namespace conclave::client {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Instant = SteadyClock::time_point;

class UnaryLoad {
 public:
  UnaryLoad(Http2Loop& loop, const LoadOptions& options, LoadWorkload& workload)
      : loop_(loop),
        options_(options),
        workload_(workload),
        interval_(std::chrono::nanoseconds(std::chrono::seconds(1)) /
                  std::max(options.calls_per_second, 1U)),
        due_(SteadyClock::now()) {
    for (std::size_t i = 0; i < options.outstanding; ++i) slots_.emplace_back(this, i);
  }

  void Run() {
    for (Slot& slot : slots_) Begin(slot);
    while (live_ > 0) {
      const Instant now = SteadyClock::now();
      loop_.Turn(std::max(NextTime() - now, SteadyClock::duration(0)));
      WakeSlots(SteadyClock::now());
      EndLateCalls(SteadyClock::now());
    }
  }

 private:
  // What one outstanding call needs.
  struct Slot : Http2Call {
    Slot(UnaryLoad* owner, std::size_t place) : load(owner), index(place) {}
    void OnMessage(std::string_view message) override { response.assign(message); }
    void OnEnd(const absl::Status& status) override { load->Ended(*this, status); }

    UnaryLoad* const load;
    const std::size_t index;
    LoadCall call;
    std::string response;
    Instant began;
    std::uint64_t number = 0;  // of its call, among all
  };
  struct Deadline {
    Instant at;
    Slot* slot;
    std::uint64_t call;
  };
  struct Wake {
    Instant at;
    Slot* slot;
    bool paused;  // after a failure; else its call is due
    bool operator>(const Wake& other) const { return at > other.at; }
  };

  // The slot is free.
  void Begin(Slot& slot) {
    const Instant now = SteadyClock::now();
    if (options_.calls_per_second == 0) return Call(slot, now);
    const Instant due = std::exchange(due_, due_ + interval_);
    if (due <= now) return Call(slot, due);
    ++live_;
    wakes_.push({due, &slot, false});
  }

  void Call(Slot& slot, Instant began) {
    if (!workload_.Next(slot.index, &slot.call)) return;
    ++live_;
    slot.began = began;
    slot.number = ++calls_;
    slot.response.clear();
    deadlines_.push_back({SteadyClock::now() + options_.call_timeout, &slot, slot.number});
    loop_.connection(slot.call.connection)
        .Start(&slot, *slot.call.method, slot.call.request, /*last=*/true, slot.call.request_id);
  }

  void Ended(Slot& slot, const absl::Status& status) {
    const Instant now = SteadyClock::now();
    workload_.Done(slot.index, {status, slot.response, slot.began, now});
    if (!status.ok()) return wakes_.push({now + options_.pause_after_failure, &slot, true});
    --live_;
    Begin(slot);
  }

  void WakeSlots(Instant now) {
    while (!wakes_.empty() && wakes_.top().at <= now) {
      const Wake wake = wakes_.top();
      wakes_.pop();
      --live_;
      if (wake.paused) {
        Begin(*wake.slot);
      } else {
        Call(*wake.slot, SteadyClock::now());  // of a late waking, not the server is guilty
      }
    }
  }

  // All calls have the same time, so the oldest is the first to be late.
  void EndLateCalls(Instant now) {
    while (!deadlines_.empty() && (deadlines_.front().at <= now || IsOver(deadlines_.front()))) {
      const Deadline late = deadlines_.front();
      deadlines_.pop_front();
      if (IsOver(late)) continue;
      loop_.connection(late.slot->call.connection)
          .Cancel(late.slot, absl::DeadlineExceededError("no answer in time"));
    }
  }

  static bool IsOver(const Deadline& deadline) {
    return !deadline.slot->open() || deadline.slot->number != deadline.call;
  }

  Instant NextTime() const {
    Instant next = SteadyClock::now() + options_.call_timeout;
    if (!wakes_.empty()) next = std::min(next, wakes_.top().at);
    if (!deadlines_.empty()) next = std::min(next, deadlines_.front().at);
    return next;
  }

  Http2Loop& loop_;
  const LoadOptions options_;
  LoadWorkload& workload_;
  std::deque<Slot> slots_;
  std::deque<Deadline> deadlines_;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;
  std::size_t live_ = 0;     // slots that are calling, or wait to
  std::uint64_t calls_ = 0;  // made so far
  const SteadyClock::duration interval_;
  Instant due_;  // of the next call of an open load
};

}  // namespace

void RunUnaryLoad(Http2Loop& loop, const LoadOptions& options, LoadWorkload& workload) {
  UnaryLoad(loop, options, workload).Run();
}

}  // namespace conclave::client
