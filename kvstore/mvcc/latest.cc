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

bool Latest::Find(std::string_view key, std::optional<std::string_view>& record) const {
  const Drain::Changed& changed = drain_->changed();
  if (!changed.empty()) {
    if (const auto it = changed.find(key); it != changed.end()) {
      record = drain_->At(it).record;
      return true;
    }
  }
  return cache_ != nullptr && cache_->Find(key, record);
}

std::optional<std::string_view> Latest::Fetch(std::string_view key) const {
  if (absent_ == key) return std::nullopt;
  fetched_ = engine_->Get(LatestKey(key));
  if (fetched_) {
    if (cache_ != nullptr) cache_->Put(key, *fetched_);
  } else if (!CachedOnly::HasMissed()) {
    absent_ = key;  // the cache does not keep that: there is no end of such keys
  }
  return fetched_;
}

std::optional<std::string_view> Latest::Get(std::string_view key) const {
  std::optional<std::string_view> record;
  return Find(key, record) ? record : Fetch(key);
}

void Latest::Scan(const KeySpan& span, VisitRecord visit) const {
  if (span.single) {
    const std::optional<std::string_view> record = Get(span.begin);
    if (record) visit(span.begin, ReadRecord(*record));
    return;
  }
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  it->Seek(LatestKey(span.begin));
  auto next = drain_->changed().lower_bound(std::string_view(span.begin));
  const auto changes_end = drain_->changed().end();
  while (true) {
    const std::optional<std::string_view> stored = KeyAt(*it);
    const bool in_engine = stored && !span.IsPast(*stored);
    const Drain::Change changed = next != changes_end ? drain_->At(next) : Drain::Change();
    const bool in_drain = next != changes_end && !span.IsPast(changed.key);
    if (!in_engine && !in_drain) return;
    if (in_drain && (!in_engine || changed.key <= *stored)) {
      if (in_engine && changed.key == *stored) it->Next();
      if (changed.record && !visit(changed.key, ReadRecord(*changed.record))) return;
      ++next;
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
