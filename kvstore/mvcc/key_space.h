// The versioned keys of a store and what is known about them: the state that reads (range.h),
// writes (write_txn.h), transactions (txn.h), compaction (compaction.h) and hashes (hash.h) share.
// Owned by Store; apply lane.
#pragma once

#include <cstdint>
#include <string>

#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/drain.h"
#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/key_counts.h"
#include "kvstore/mvcc/latest.h"
#include "kvstore/mvcc/past.h"
#include "kvstore/mvcc/record_cache.h"

namespace conclave::kv {

// How far this member's physical removal of compacted revisions has come; other members may be
// elsewhere.
struct CompactionProgress {
  int64_t finished = -1;  // all dead versions up to this compaction are gone
  Revision next;          // the first event that the removal under way has not looked at
  // An earlier removal stopped before this event of its target's. What the ones before it, of that
  // revision, had replaced is gone; they themselves were spared, and are looked at again.
  Revision spared;
  bool unsaved = false;  // changed by an entry of the drain; the next batch takes it along
};

struct KeySpace {
  // `cache_bytes` bounds the record cache.
  KeySpace(Engine* storage, size_t cache_bytes)
      : engine(storage), cache(cache_bytes), latest(storage, &drain, &cache), past(storage) {}
  KeySpace(const KeySpace&) = delete;
  KeySpace& operator=(const KeySpace&) = delete;

  Engine* const engine;
  int64_t revision =
      1;  // of the newest change; 1 before the first (reference: behaviour section 2)
  int64_t compact_revision = -1;  // -1: never compacted
  CompactionProgress compaction;
  Drain drain;
  RecordCache cache;
  Latest latest;
  Past past;
  KeyCounts counts;
  uint64_t kept_bytes = 0;    // kept_bytes.h
  uint64_t replaced_sum = 0;  // of the records that the present entry replaces or deletes

  // Buffers of the write path, kept between commands.
  std::string scratch;
  std::string scratch_key;
};

}  // namespace conclave::kv
