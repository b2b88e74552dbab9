#include "kvstore/mvcc/compaction.h"

#include <optional>
#include <string>
#include <utility>

#include "kvstore/errors.h"
#include "kvstore/mvcc/kept_bytes.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// Of one step: what is removed, and what it took up.
struct Removal {
  WriteBatch batch;
  uint64_t bytes = 0;

  void Remove(std::string_view key, Revision revision, uint64_t value_bytes) {
    batch.Delete(HistoryKey(revision));
    batch.Delete(PointerKey(key, revision));
    bytes += BytesOfEvent(key, value_bytes);
  }
};

// Whether an earlier removal has removed what the event replaced. What happened in a compacted
// revision itself stays until the next compaction, because a watch may start there; so each
// compaction looks at the last one's revision again (`finished`), and at what an overtaken one had
// looked at of its own revision (`spared`), whose older victims are gone already.
bool RemovedBefore(const EventView& event, const CompactionProgress& progress) {
  const Revision at = event.record.mod;
  const int64_t previous = event.previous.main;
  return (at.main <= progress.finished && previous < progress.finished) ||
         (at.main == progress.spared.main && at < progress.spared && previous < at.main);
}

// An event up to the compacted revision kills the version it replaced, and itself if it is a
// delete.
void RemoveDead(const EventView& event, int64_t compact_revision,
                const CompactionProgress& progress, Removal& removal) {
  const Revision previous = event.previous;
  const bool removed_before = RemovedBefore(event, progress);
  if (previous.main != 0 && removed_before) SIM_REACHED("kv.compaction.looked_again");
  if (previous.main != 0 && previous.main < compact_revision && !removed_before) {
    removal.Remove(event.key, previous, event.previous_value_bytes);
  }
  const bool at_target = event.is_delete && event.record.mod.main == compact_revision;
  if (at_target) SIM_REACHED("kv.compaction.delete_at_target_kept");
  const bool dropped = SEEDED_BUG(kDeleteAtCompactionDropped) && at_target;
  if (event.is_delete && (event.record.mod.main < compact_revision || dropped)) {
    removal.Remove(event.key, event.record.mod, 0);
  }
}

void PutProgress(const CompactionProgress& progress, WriteBatch& batch) {
  std::string value;
  PutFixed64(value, static_cast<uint64_t>(progress.finished));
  PutFixed64(value, static_cast<uint64_t>(progress.next.main));
  PutFixed64(value, static_cast<uint64_t>(progress.next.sub));
  PutFixed64(value, static_cast<uint64_t>(progress.spared.main));
  PutFixed64(value, static_cast<uint64_t>(progress.spared.sub));
  batch.Put(kCompactedKey, value);
}

}  // namespace

absl::Status LoadCompaction(KeySpace* keys) {
  if (const std::optional<std::string> value = keys->engine->Get(kCompactKey)) {
    ByteReader in(*value);
    keys->compact_revision = static_cast<int64_t>(in.Fixed64());
    if (!in.finished()) return absl::DataLossError("the engine's compacted revision is damaged");
  }
  if (const std::optional<std::string> value = keys->engine->Get(kCompactedKey)) {
    ByteReader in(*value);
    keys->compaction.finished = static_cast<int64_t>(in.Fixed64());
    keys->compaction.next.main = static_cast<int64_t>(in.Fixed64());
    keys->compaction.next.sub = static_cast<int64_t>(in.Fixed64());
    keys->compaction.spared.main = static_cast<int64_t>(in.Fixed64());
    keys->compaction.spared.sub = static_cast<int64_t>(in.Fixed64());
    if (!in.finished()) return absl::DataLossError("the engine's compaction progress is damaged");
  }
  if (keys->compaction.finished < keys->compact_revision) {
    SIM_REACHED("kv.compaction.resumed_after_restart");
  }
  return absl::OkStatus();
}

absl::Status Compact(KeySpace* keys, int64_t revision) {
  if (revision <= keys->compact_revision) {
    SIM_REACHED("kv.compaction.refused_compacted");
    return ErrCompacted();
  }
  if (revision > keys->revision) {
    SIM_REACHED("kv.compaction.refused_future");
    return ErrFutureRevision();
  }
  WriteBatch& batch = keys->drain.batch();
  // Removal may have stopped among the last target's own events. Those it has looked at were spared
  // for the target's sake, and are looked at again.
  CompactionProgress& progress = keys->compaction;
  if (progress.finished < keys->compact_revision) SIM_REACHED("kv.compaction.overtaken");
  if (progress.next.main == keys->compact_revision && progress.next.sub != 0) {
    progress.spared = progress.next;
    progress.next.sub = 0;
    progress.unsaved = true;
  }
  keys->compact_revision = revision;
  std::string value;
  PutFixed64(value, static_cast<uint64_t>(revision));
  batch.Put(kCompactKey, value);
  return absl::OkStatus();
}

void SaveProgress(KeySpace* keys) {
  if (!std::exchange(keys->compaction.unsaved, false)) return;
  PutProgress(keys->compaction, keys->drain.batch());
}

bool CompactStep(KeySpace* keys, size_t events_max) {
  CHECK(keys->drain.empty());
  CompactionProgress& progress = keys->compaction;
  const int64_t target = keys->compact_revision;
  if (progress.finished == target) return false;

  Removal removal;
  size_t events = 0;
  bool more = false;
  keys->past.ScanEvents(progress.next, [&](const EventView& event) {
    const int64_t last = SEEDED_BUG(kCompactionOneTooMany) ? target + 1 : target;
    if (event.record.mod.main > last) return false;
    progress.next = event.record.mod;
    more = ++events > events_max;
    if (!more) RemoveDead(event, target, progress, removal);
    return !more;
  });
  if (!more) {
    progress.finished = target;
    progress.next = {target, 0};
  }
  if (more) SIM_REACHED("kv.compaction.sliced");
  PutProgress(progress, removal.batch);
  CHECK(removal.bytes <= keys->kept_bytes);
  keys->kept_bytes -= SEEDED_BUG(kKeptBytesOnlyGrow) ? 0 : removal.bytes;
  PutKeptBytes(keys->kept_bytes, removal.batch);
  keys->engine->Write(removal.batch);
  return more;
}

}  // namespace conclave::kv
