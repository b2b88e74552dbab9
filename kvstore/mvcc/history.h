// Read access to the past, as watchers need it: whole revisions in order, and single old records.
// Implemented by the MVCC store on top of the engine and by tests with a vector. Apply lane.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kvstore/mvcc/event.h"

namespace conclave::kv {

class History {
 public:
  virtual ~History() = default;

  // The newest revision applied and visible.
  virtual int64_t revision() const = 0;
  // The last compacted revision; -1 if never compacted. Revisions below it are gone.
  virtual int64_t compact_revision() const = 0;

  // The revisions >= `from` that changed something, ascending, at most `revisions_max` of them and
  // no more once their keys and values pass `bytes_max`. Empty means there are none up to
  // revision(). Requires from >= compact_revision().
  virtual std::vector<SharedRevisionEvents> ReadEvents(int64_t from, size_t revisions_max,
                                                       size_t bytes_max) const = 0;

  // The key's record of exactly that revision, if history still has it (prev_kv of a watch event).
  virtual std::optional<Record> RecordAt(std::string_view key, Revision revision) const = 0;
};

}  // namespace conclave::kv
