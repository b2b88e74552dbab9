#include "jepsen-style-tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"

namespace conclave::sim {

EventId Scheduler::At(Instant when, Task task) {
  if (free_slots_.empty()) {
    CHECK(slots_.size() < (size_t{1} << kSlotBits));
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  const EventId id = (++sequence_ << kSlotBits) | slot;
  slots_[slot] = {id, std::move(task)};
  heap_.push_back({std::max(when, now_), id});
  std::push_heap(heap_.begin(), heap_.end(), Later);
  return id;
}

void Scheduler::Cancel(EventId event) { Take(event); }

Task Scheduler::Take(EventId id) {
  const auto slot = static_cast<uint32_t>(id & ((EventId{1} << kSlotBits) - 1));
  if (id == 0 || slot >= slots_.size() || slots_[slot].id != id) return nullptr;
  Task task = std::move(slots_[slot].task);
  slots_[slot] = {};
  free_slots_.push_back(slot);
  return task;
}

bool Scheduler::RunNext(Instant end) {
  while (!heap_.empty() && heap_.front().when <= end) {
    const Due due = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    heap_.pop_back();
    Task task = Take(due.id);
    if (task == nullptr) continue;  // cancelled
    now_ = due.when;
    ++events_run_;
    task();
    return true;
  }
  now_ = std::max(now_, end);
  return false;
}

void Scheduler::Clear() {
  heap_.clear();
  free_slots_.clear();
  // A task's captures may schedule or cancel while they go; they must find an empty scheduler.
  std::vector<Slot> dropped;
  dropped.swap(slots_);
}

}  // namespace conclave::sim
