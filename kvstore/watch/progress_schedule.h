// When each stream's periodic progress notification is due (reference: behaviour section 6.6):
// every interval plus 0-10 % chosen per stream, so that the streams of a busy member do not all
// speak at once. Used by the hub, apply lane.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "raft/base/random.h"
#include "raft/base/time.h"

namespace conclave::kv {

class ProgressSchedule {
 public:
  ProgressSchedule(Duration interval, uint64_t seed);

  // The stream's ticks begin; no effect if they already run. There is no clock here, so the first
  // interval starts at the next call of StartClocks.
  void Add(uint64_t stream);
  // The stream's ticks end; no effect if there are none.
  void Remove(uint64_t stream);

  void StartClocks(Instant now);
  // A stream whose tick is due; its next one is then a full interval after `now`. nullopt if none
  // is.
  std::optional<uint64_t> TakeDue(Instant now);
  // When to call StartClocks and TakeDue next: Instant::min() if a stream waits for the clock,
  // kNever without streams.
  Instant Next() const;

 private:
  struct Ticks {
    Duration interval;
    Instant due = kNever;  // kNever: waits for StartClocks
  };

  const Duration interval_;
  Random random_;
  std::map<uint64_t, Ticks> streams_;
  std::set<std::pair<Instant, uint64_t>> by_due_;
  std::set<uint64_t> not_started_;
};

}  // namespace conclave::kv
