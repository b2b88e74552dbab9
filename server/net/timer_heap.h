// The timers of one EventLoop. Almost every timer is a deadline that is cancelled in time, so
// adding and cancelling cost a few nanoseconds: a cancelled timer loses its task at once and its
// place in the heap later. On the loop's lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "raft/base/executor.h"
#include "raft/base/time.h"

namespace conclave::server {

class TimerHeap {
 public:
  TimerId Add(Instant when, Task task);
  // A no-op for a timer that has run, was cancelled or never was.
  void Cancel(TimerId timer);

  // When the next timer is due; kNever if there is none.
  Instant NextDue();
  // Runs the timers due at `now`, earliest first, those of equal time in the order added. One added
  // meanwhile waits for the next call, even if it is due, so that a timer that re-arms itself
  // cannot hold up the loop.
  // False if none was due.
  bool RunDue(Instant now);

  // Drops every timer.
  void Clear();

  size_t size() const { return live_; }              // timers waiting
  size_t heap_size() const { return heap_.size(); }  // with cancelled ones not yet swept

 private:
  // An id is a slot number below and the slot's generation above it: an id of the past matches no
  // live slot.
  static constexpr int kSlotBits = 24;

  struct Slot {
    uint64_t generation = 1;
    bool live = false;
    Task task;
  };
  struct Entry {
    Instant when;
    uint64_t sequence;  // order among equal times
    TimerId id;
    // The heap's top is its greatest element: the earliest one here.
    bool operator<(const Entry& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };

  Slot* Find(TimerId timer);  // nullptr unless live
  Task Free(TimerId timer);
  void PopEntry();
  void Sweep();

  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  size_t live_ = 0;
  uint64_t sequence_ = 0;
};

}  // namespace conclave::server
