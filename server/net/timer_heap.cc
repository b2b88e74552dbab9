#include "server/net/timer_heap.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"

namespace conclave::server {

namespace {

// Cancelled entries are swept when they are the greater part of a heap of at least this size, so
// that deadlines far ahead do not pile up. The sweep is linear and happens once in as many cancels.
constexpr size_t kSweepSize = 256;

}  // namespace

TimerId TimerHeap::Add(Instant when, Task task) {
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    CHECK(index < (1u << kSlotBits));
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.live = true;
  slot.task = std::move(task);
  const TimerId id = slot.generation << kSlotBits | index;
  heap_.push_back({when, ++sequence_, id});
  std::push_heap(heap_.begin(), heap_.end());
  ++live_;
  return id;
}

void TimerHeap::Cancel(TimerId timer) {
  if (Find(timer) == nullptr) return;
  const Task dropped = Free(timer);  // destroyed after the heap is consistent: it may cancel others
  if (heap_.size() >= kSweepSize && heap_.size() > 2 * live_) Sweep();
}

Instant TimerHeap::NextDue() {
  while (!heap_.empty() && Find(heap_.front().id) == nullptr) PopEntry();
  return heap_.empty() ? kNever : heap_.front().when;
}

bool TimerHeap::RunDue(Instant now) {
  bool ran = false;
  const uint64_t last = sequence_;
  std::vector<Entry> later;  // due, but added by a task of this call
  while (NextDue() <= now && !heap_.empty()) {
    const Entry entry = heap_.front();
    PopEntry();
    if (entry.sequence > last) {
      later.push_back(entry);
      continue;
    }
    Task task = Free(entry.id);
    task();
    ran = true;
  }
  for (const Entry& entry : later) {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end());
  }
  return ran;
}

void TimerHeap::Clear() {
  while (!heap_.empty()) {
    const TimerId id = heap_.front().id;
    PopEntry();
    if (Find(id) != nullptr) const Task dropped = Free(id);
  }
}

TimerHeap::Slot* TimerHeap::Find(TimerId timer) {
  const size_t index = timer & ((1u << kSlotBits) - 1);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.live && slot.generation == timer >> kSlotBits ? &slot : nullptr;
}

Task TimerHeap::Free(TimerId timer) {
  Slot* slot = Find(timer);
  CHECK(slot != nullptr);
  slot->live = false;
  ++slot->generation;
  --live_;
  free_.push_back(static_cast<uint32_t>(slot - slots_.data()));
  return std::exchange(slot->task, nullptr);
}

void TimerHeap::PopEntry() {
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
}

void TimerHeap::Sweep() {
  std::erase_if(heap_, [this](const Entry& entry) { return Find(entry.id) == nullptr; });
  std::make_heap(heap_.begin(), heap_.end());
}

}  // namespace conclave::server
