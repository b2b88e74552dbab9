// The keys as they were: reads at a revision, and the history of revisions itself. Sees what the
// engine holds, so the drain that made a revision must be written before the revision is read. What
// compaction has removed is the caller's to know. Part of KeySpace; apply lane.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/latest.h"
#include "kvstore/mvcc/record.h"

namespace conclave::kv {

class Past {
 public:
  explicit Past(const EngineReader* engine) : engine_(engine) {}

  // Visits the keys of the span that were live at `revision`, ascending, with their records of
  // then.
  void Scan(const KeySpan& span, int64_t revision, VisitRecord visit) const;

  // How many keys of the span were live at `revision`, without reading their records.
  int64_t Count(const KeySpan& span, int64_t revision) const;

  // Visits the events from `from` on, in order, until `visit` returns false.
  using VisitEvent = absl::FunctionRef<bool(const EventView& event)>;
  void ScanEvents(Revision from, VisitEvent visit) const;

  // The newest change of the key at or before `revision`, if history has one.
  std::optional<Revision> NewestChange(std::string_view key, int64_t revision) const;

  // By how many keys the span has grown after `revision`; nullopt if more than `events_max` events
  // have to be looked at.
  std::optional<int64_t> GrowthSince(const KeySpan& span, int64_t revision,
                                     size_t events_max) const;

  // See History.
  std::vector<SharedRevisionEvents> ReadEvents(int64_t from, size_t revisions_max,
                                               size_t bytes_max) const;
  std::optional<Record> RecordAt(std::string_view key, Revision revision) const;

 private:
  // For each key of the span, ascending, that was live at `revision`: which change made its record
  // of then.
  using VisitChange = absl::FunctionRef<bool(std::string_view key, Revision change)>;
  void ScanChanges(const KeySpan& span, int64_t revision, VisitChange visit) const;

  const EngineReader* const engine_;
};

// Deletes the events of later revisions: a crash in a flush can leave some (decision 0013). Before
// anything is read.
void DropEventsAfter(int64_t revision, Engine& engine);

}  // namespace conclave::kv
