#include "kvstore/mvcc/hash.h"

#include <memory>
#include <string>

#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/past.h"
#include "kvstore/mvcc/record.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"

namespace conclave::kv {
namespace {

// Each piece with its length, so that bytes cannot pass from one to the next unnoticed.
uint32_t Extend(uint32_t crc, std::string_view piece, std::string& scratch) {
  scratch.clear();
  PutFixed64(scratch, piece.size());
  return ExtendCrc32c(ExtendCrc32c(crc, scratch), piece);
}

// Whether compaction leaves the event in place: all from the compacted revision on, and of the
// older ones those whose version is visible there. Where removal has finished it was decided by
// removing.
bool Survives(const HashedState& state, const EventView& event) {
  const Revision revision = event.record.mod;
  if (revision.main >= state.compact_revision || state.removal_finished) return true;
  return !event.is_delete &&
         Past(state.engine).NewestChange(event.key, state.compact_revision) == revision;
}

}  // namespace

uint32_t HashHistory(const HashedState& state, int64_t revision) {
  uint32_t crc = 0;
  std::string bytes;
  std::string scratch;
  Past(state.engine).ScanEvents({0, 0}, [&](const EventView& event) {
    if (event.record.mod.main > revision) return false;
    if (!Survives(state, event)) return true;
    // `previous` stays out: it may point at what is gone.
    SetHistoryKey(event.record.mod, bytes);
    crc = Extend(crc, bytes, scratch);
    crc = Extend(crc, event.key, scratch);
    SetRecord(event.record, bytes);
    PutByte(bytes, event.is_delete ? 1 : 0);
    crc = Extend(crc, bytes, scratch);
    return true;
  });
  return crc;
}

uint32_t HashAll(const HashedState& state, int64_t revision) {
  uint32_t crc = HashHistory(state, revision);
  std::string scratch;
  const std::unique_ptr<Iterator> it = state.engine->NewIterator();
  // History is in already; counts, progress, kept bytes and where its state came from are each
  // member's own.
  for (const std::string_view part : {"a", "k", "l", "m", "o", "q"}) {
    for (it->Seek(part); it->Valid() && it->key().starts_with(part); it->Next()) {
      if (it->key() == kCompactedKey || it->key() == kInstalledKey || it->key() == kKeptBytesKey) {
        continue;
      }
      crc = Extend(crc, it->key(), scratch);
      crc = Extend(crc, it->value(), scratch);
    }
  }
  return crc;
}

}  // namespace conclave::kv
