#include "kvstore/mvcc/past.h"

#include <limits>
#include <memory>
#include <string>

#include "kvstore/engine/cached_only.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

constexpr int64_t kLastSub = std::numeric_limits<uint32_t>::max();
// Steps to the next key before it is sought: most keys have few versions, and a step is cheaper
// than a search.
constexpr int kStepsBeforeSeek = 8;

bool At(const Iterator& it, std::string_view prefix) {
  return it.Valid() && it.key().starts_with(prefix);
}

// Moves past all pointers that start with `prefix`.
void LeaveKey(Iterator& it, const std::string& prefix) {
  for (int i = 0; i < kStepsBeforeSeek; ++i) {
    if (!At(it, prefix)) return;
    it.Next();
  }
  if (!At(it, prefix)) return;
  // No revision is all ones, inverted or not.
  it.Seek(prefix + std::string(13, '\xff'));
}

// Where a pointer's record is read. The latest record of a key has not changed since if the pointer
// is its newest, and those lie next to each other in the order of the scan; others are fetched from
// history one by one.
class RecordSource {
 public:
  explicit RecordSource(const EngineReader* engine)
      : engine_(engine), latest_(engine->NewIterator()) {}

  // Good until the next call.
  RecordView Read(std::string_view key, Revision revision) {
    SetLatestKey(key, engine_key_);
    MoveTo(engine_key_);
    if (latest_->Valid() && latest_->key() == engine_key_) {
      const RecordView record = ReadRecord(latest_->value());
      if (record.mod == revision) return record;
    }
    SIM_REACHED("kv.range.version_from_history");
    SetHistoryKey(revision, engine_key_);
    event_ = engine_->Get(engine_key_);
    if (CachedOnly::HasMissed()) return {};
    if (!event_) Fatal("the engine has lost an event of history");
    const EventView event = ReadEvent(*event_, revision);
    CHECK(event.key == key && !event.is_delete);
    return event.record;
  }

 private:
  void MoveTo(std::string_view target) {
    for (int i = 0; placed_ && i < kStepsBeforeSeek; ++i) {
      if (!latest_->Valid() || latest_->key() >= target) return;
      latest_->Next();
    }
    latest_->Seek(target);
    placed_ = true;
  }

  const EngineReader* const engine_;
  const std::unique_ptr<Iterator> latest_;
  bool placed_ = false;
  std::string engine_key_;
  std::optional<std::string> event_;
};

}  // namespace

void Past::Scan(const KeySpan& span, int64_t revision, VisitRecord visit) const {
  RecordSource records(engine_);
  ScanChanges(span, revision, [&](std::string_view key, Revision change) {
    return visit(key, records.Read(key, change));
  });
}

int64_t Past::Count(const KeySpan& span, int64_t revision) const {
  int64_t count = 0;
  ScanChanges(span, revision, [&](std::string_view, Revision) {
    ++count;
    return true;
  });
  return count;
}

void Past::ScanChanges(const KeySpan& span, int64_t revision, VisitChange visit) const {
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  std::string prefix;
  std::string target;
  SetPointerPrefix(span.begin, target);
  it->Seek(target);
  while (At(*it, std::string_view(&kPointerPrefix, 1))) {
    std::optional<Pointer> pointer = ParsePointerKey(it->key());
    if (!pointer) Fatal("the engine holds a pointer that is none");
    prefix = pointer->prefix;
    const std::string key = KeyOfPointerPrefix(prefix);
    if (span.IsPast(key)) return;
    if (pointer->revision.main > revision) {
      target = prefix;
      AppendPointerRevision({revision, kLastSub}, target);
      it->Seek(target);
      if (!At(*it, prefix)) {  // the key is younger than `revision`
        SIM_REACHED("kv.range.key_younger_than_revision");
        continue;
      }
      pointer = ParsePointerKey(it->key());
    }
    const bool is_tombstone = !it->value().empty();
    if (!is_tombstone && !visit(key, pointer->revision)) return;
    LeaveKey(*it, prefix);
  }
}

void Past::ScanEvents(Revision from, VisitEvent visit) const {
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  for (it->Seek(HistoryKey(from)); it->Valid(); it->Next()) {
    const std::optional<Revision> revision = ParseHistoryKey(it->key());
    if (!revision || !visit(ReadEvent(it->value(), *revision))) return;
  }
}

std::optional<Revision> Past::NewestChange(std::string_view key, int64_t revision) const {
  std::string target;
  SetPointerPrefix(key, target);
  const size_t prefix_size = target.size();
  AppendPointerRevision({revision, kLastSub}, target);
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  it->Seek(target);
  if (!At(*it, std::string_view(target).substr(0, prefix_size))) return std::nullopt;
  return ParsePointerKey(it->key())->revision;
}

std::optional<int64_t> Past::GrowthSince(const KeySpan& span, int64_t revision,
                                         size_t events_max) const {
  int64_t growth = 0;
  size_t events = 0;
  ScanEvents({revision + 1, 0}, [&](const EventView& event) {
    if (++events > events_max) return false;
    if (!span.Contains(event.key)) return true;
    if (event.is_delete) {
      --growth;
    } else if (event.previous.main == 0) {
      ++growth;
    }
    return true;
  });
  if (events > events_max) return std::nullopt;
  return growth;
}

std::vector<SharedRevisionEvents> Past::ReadEvents(int64_t from, size_t revisions_max,
                                                   size_t bytes_max) const {
  std::vector<SharedRevisionEvents> revisions;
  RevisionEvents current;
  size_t bytes = 0;
  const auto finish = [&] {
    if (current.events.empty()) return;
    revisions.push_back(std::make_shared<const RevisionEvents>(std::move(current)));
    current = RevisionEvents();
  };
  ScanEvents({from, 0}, [&](const EventView& event) {
    const int64_t revision = event.record.mod.main;
    if (revision != current.revision) {
      finish();
      if (revisions.size() >= revisions_max || bytes > bytes_max) return false;
      current.revision = revision;
    }
    if (SEEDED_BUG(kRevisionCutOnCatchUp) && bytes > bytes_max) return false;
    bytes += event.key.size() + event.record.value.size();
    current.events.push_back(event.Copy());
    return true;
  });
  finish();
  return revisions;
}

void DropEventsAfter(int64_t revision, Engine& engine) {
  WriteBatch batch;
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(HistoryKey({revision + 1, 0})); it->Valid(); it->Next()) {
    SIM_REACHED("kv.store.unapplied_event_dropped");
    CHECK(ParseHistoryKey(it->key()));
    batch.Delete(it->key());
  }
  if (!batch.empty()) engine.Write(batch);
}

std::optional<Record> Past::RecordAt(std::string_view key, Revision revision) const {
  const std::optional<std::string> bytes = engine_->Get(HistoryKey(revision));
  if (!bytes) return std::nullopt;
  const EventView event = ReadEvent(*bytes, revision);
  if (event.is_delete || event.key != key) return std::nullopt;
  return event.record.Copy();
}

}  // namespace conclave::kv
