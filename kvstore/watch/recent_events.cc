#include "kvstore/watch/recent_events.h"

#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::kv {

size_t MemoryBytes(const RevisionEvents& events) {
  size_t bytes = sizeof(SharedRevisionEvents) + sizeof(RevisionEvents);
  for (const Event& event : events.events) {
    bytes += sizeof(Event) + event.key.size() + event.record.value.size();
  }
  return bytes;
}

void RecentEvents::Add(SharedRevisionEvents events) {
  CHECK_MSG(revisions_.empty() || events->revision == revisions_.back()->revision + 1,
            "revisions must be published in order and without a gap");
  bytes_ += MemoryBytes(*events);
  revisions_.push_back(std::move(events));
  while (bytes_ > bytes_max_) {
    SIM_REACHED("watch.recent_event_forgotten");
    bytes_ -= MemoryBytes(*revisions_.front());
    revisions_.pop_front();
  }
}

void RecentEvents::Clear() {
  revisions_.clear();
  bytes_ = 0;
}

const RevisionEvents& RecentEvents::At(int64_t revision) const {
  CHECK(Holds(revision));
  return *revisions_[static_cast<size_t>(revision - revisions_.front()->revision)];
}

}  // namespace conclave::kv
