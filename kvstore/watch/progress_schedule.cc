#include "kvstore/watch/progress_schedule.h"

#include <algorithm>

namespace conclave::kv {
namespace {

// The shortest interval that etcd takes, too.
constexpr Duration kIntervalMin = Milliseconds(100);

}  // namespace

ProgressSchedule::ProgressSchedule(Duration interval, uint64_t seed)
    : interval_(std::max(interval, kIntervalMin)), random_(seed) {}

void ProgressSchedule::Add(uint64_t stream) {
  if (streams_.contains(stream)) return;
  const auto tenth = static_cast<uint64_t>(interval_.count() / 10);
  const Duration jitter(random_.Between(0, tenth));
  streams_[stream] = {.interval = interval_ + jitter};
  not_started_.insert(stream);
}

void ProgressSchedule::Remove(uint64_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  not_started_.erase(stream);
  by_due_.erase({found->second.due, stream});
  streams_.erase(found);
}

void ProgressSchedule::StartClocks(Instant now) {
  for (const uint64_t stream : not_started_) {
    Ticks& ticks = streams_[stream];
    ticks.due = now + ticks.interval;
    by_due_.insert({ticks.due, stream});
  }
  not_started_.clear();
}

std::optional<uint64_t> ProgressSchedule::TakeDue(Instant now) {
  if (by_due_.empty() || by_due_.begin()->first > now) return std::nullopt;
  const uint64_t stream = by_due_.begin()->second;
  by_due_.erase(by_due_.begin());
  Ticks& ticks = streams_[stream];
  ticks.due = now + ticks.interval;
  by_due_.insert({ticks.due, stream});
  return stream;
}

Instant ProgressSchedule::Next() const {
  if (!not_started_.empty()) return Instant::min();
  return by_due_.empty() ? kNever : by_due_.begin()->first;
}

}  // namespace conclave::kv
