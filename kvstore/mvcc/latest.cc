#include "kvstore/mvcc/latest.h"

#include <memory>

#include "kvstore/engine/cached_only.h"
#include "raft/base/check.h"

namespace conclave::kv {
namespace {

// The key of a latest record's engine entry, or nothing once the iterator has left them.
std::optional<std::string_view> KeyAt(const Iterator& it) {
  if (!it.Valid() || it.key().empty() || it.key().front() != kLatestPrefix) return std::nullopt;
  return it.key().substr(1);
}

}  // namespace

const std::optional<std::string>* Latest::Find(std::string_view key) const {
  const Drain::Changed& changed = drain_->changed();
  if (!changed.empty()) {
    if (const auto it = changed.find(key); it != changed.end()) return &it->second;
  }
  return cache_ == nullptr ? nullptr : cache_->Find(key);
}

std::optional<std::string> Latest::Fetch(std::string_view key) const {
  if (absent_ == key) return std::nullopt;
  std::string engine_key;
  SetLatestKey(key, engine_key);
  std::optional<std::string> record = engine_->Get(engine_key);
  if (record) {
    if (cache_ != nullptr) cache_->Put(key, record);
  } else if (!CachedOnly::HasMissed()) {
    absent_ = key;  // the cache does not keep that: there is no end of such keys
  }
  return record;
}

std::optional<std::string> Latest::Get(std::string_view key) const {
  if (const std::optional<std::string>* known = Find(key)) return *known;
  return Fetch(key);
}

void Latest::LookUp(std::string_view key) const {
  if (Find(key) == nullptr) Fetch(key);
}

void Latest::Scan(const KeySpan& span, VisitRecord visit) const {
  if (span.single) {
    const std::optional<std::string> record = Get(span.begin);
    if (record) visit(span.begin, ReadRecord(*record));
    return;
  }
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  it->Seek(LatestKey(span.begin));
  auto change = drain_->changed().lower_bound(span.begin);
  const auto changes_end = drain_->changed().end();
  while (true) {
    const std::optional<std::string_view> stored = KeyAt(*it);
    const bool in_engine = stored && !span.IsPast(*stored);
    const bool in_drain = change != changes_end && !span.IsPast(change->first);
    if (!in_engine && !in_drain) return;
    if (in_drain && (!in_engine || change->first <= *stored)) {
      if (in_engine && change->first == *stored) it->Next();
      if (change->second && !visit(change->first, ReadRecord(*change->second))) return;
      ++change;
    } else {
      if (!visit(*stored, ReadRecord(it->value()))) return;
      it->Next();
    }
  }
}

void Latest::ScanBackward(const KeySpan& span, VisitRecord visit) const {
  CHECK(drain_->changed().empty());
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  if (span.single) {
    it->SeekForPrev(LatestKey(span.begin));
  } else if (span.unbounded) {
    it->SeekForPrev(std::string(1, kLatestPrefix + 1));
  } else {
    it->SeekForPrev(LatestKey(span.end));
    if (KeyAt(*it) == span.end) it->Prev();
  }
  for (; KeyAt(*it) && *KeyAt(*it) >= span.begin; it->Prev()) {
    if (!visit(*KeyAt(*it), ReadRecord(it->value()))) return;
  }
}

}  // namespace conclave::kv
