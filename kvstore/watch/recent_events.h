// The newest revisions' events, up to a bound in bytes: a watcher that is only a little behind
// catches up from here and spares the engine the reading. Filled by the hub as revisions are
// published, shared with whoever reads. Apply lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "kvstore/mvcc/event.h"

namespace conclave::kv {

class RecentEvents {
 public:
  explicit RecentEvents(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Requires the revision after the one added last, unless empty. The oldest revisions leave to
  // make room; one that is too large alone leaves the ring empty.
  void Add(SharedRevisionEvents events);
  void Clear();

  bool Holds(int64_t revision) const {
    return !revisions_.empty() && revisions_.front()->revision <= revision &&
           revision <= revisions_.back()->revision;
  }
  // Requires Holds(revision).
  const RevisionEvents& At(int64_t revision) const;

  size_t bytes() const { return bytes_; }

 private:
  std::deque<SharedRevisionEvents> revisions_;
  size_t bytes_ = 0;
  const size_t bytes_max_;
};

// The memory that a revision's events take, approximately.
size_t MemoryBytes(const RevisionEvents& events);

}  // namespace conclave::kv
