// The keys as they are now: what the engine holds, with the changes of the drain under way on top.
// Knows nothing of revisions: reads of the past are past.h's. Part of KeySpace; apply lane.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/drain.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/record.h"
#include "kvstore/mvcc/record_cache.h"

namespace conclave::kv {

// Gets a key and its record, both good until it returns; false ends the scan.
using VisitRecord = absl::FunctionRef<bool(std::string_view key, const RecordView& record)>;

class Latest {
 public:
  // Without a cache if that is null.
  Latest(const EngineReader* engine, const Drain* drain, RecordCache* cache)
      : engine_(engine), drain_(drain), cache_(cache) {}

  // The key's encoded record (ReadRecord), or nothing; good until the next call, or change.
  std::optional<std::string_view> Get(std::string_view key) const;
  // As Get, for one that comes before the engine is next written.
  void LookUp(std::string_view key) const { Get(key); }
  // The engine was written: what was absent may be there.
  void OnWritten() { absent_.reset(); }

  // Visits the live keys of the span, ascending.
  void Scan(const KeySpan& span, VisitRecord visit) const;
  // Descending. Only while nothing is pending in the drain.
  void ScanBackward(const KeySpan& span, VisitRecord visit) const;

 private:
  // What the drain or the cache says of the key; false if nothing.
  bool Find(std::string_view key, std::optional<std::string_view>& record) const;
  std::optional<std::string_view> Fetch(std::string_view key) const;

  const EngineReader* const engine_;
  const Drain* const drain_;
  RecordCache* const cache_;
  // The last key that the engine did not have: a transaction asks for one again and again.
  mutable std::optional<std::string> absent_;
  mutable std::optional<std::string> fetched_;  // from the engine, by the last Fetch
};

}  // namespace conclave::kv
