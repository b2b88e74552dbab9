// The one loop of a simulation: events ordered by (time, sequence), and simulated time, which moves
// only from event to event. Everything that happens in a world is an event here, so the same seed
// is the same run. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/base/executor.h"
#include "raft/base/time.h"

namespace conclave::sim {

// Names an event not yet run; 0 is none.
using EventId = uint64_t;

class Scheduler {
 public:
  // True time: what a perfect clock would show. Members see it through clocks of their own
  // (member_lane.h).
  Instant Now() const { return now_; }

  // Runs `task` at `when`, or now if that has passed, after everything already due then.
  EventId At(Instant when, Task task);
  EventId After(Duration delay, Task task) { return At(now_ + delay, std::move(task)); }
  // Forgets an event that has not run; anything else is a no-op.
  void Cancel(EventId event);

  // Runs the next event if it is due by `end`, else moves time to `end`; false in the latter case.
  bool RunNext(Instant end);
  void RunUntil(Instant end) {
    while (RunNext(end)) {
    }
  }

  // Drops every event without running it.
  void Clear();

  uint64_t events_run() const { return events_run_; }

 private:
  // An event is found by its slot; the sequence tells whether the slot is still its own.
  static constexpr int kSlotBits = 24;
  struct Due {
    Instant when;
    EventId id;  // sequence << kSlotBits | slot, so it orders by sequence
  };
  struct Slot {
    EventId id = 0;
    Task task;
  };
  static bool Later(const Due& a, const Due& b) {
    return a.when != b.when ? a.when > b.when : a.id > b.id;
  }
  Task Take(EventId id);

  Instant now_{Seconds(1)};
  uint64_t sequence_ = 0;
  uint64_t events_run_ = 0;
  std::vector<Due> heap_;  // the earliest first; cancelled events stay until they are due
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
};

}  // namespace conclave::sim
