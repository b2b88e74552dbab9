#include "kvstore/mvcc/key_counts.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::kv {
namespace {

std::string CountKey(std::string_view start) {
  std::string key(1, kCountPrefix);
  return key.append(start);
}

void PutCount(WriteBatch& batch, std::string_view start, int64_t count) {
  std::string value;
  PutVarint(value, static_cast<uint64_t>(count));
  batch.Put(CountKey(start), value);
}

}  // namespace

template <typename Map>
auto KeyCounts::Find(Map& buckets, std::string_view key) {
  return std::prev(buckets.upper_bound(key));
}

absl::Status KeyCounts::Load(const Engine& engine) {
  const std::string_view prefix(&kCountPrefix, 1);
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    ByteReader in(it->value());
    const auto count = static_cast<int64_t>(in.Varint());
    if (!in.finished() || count < 0)
      return absl::DataLossError("the engine's key counts are damaged");
    buckets_[std::string(it->key().substr(1))].count = count;
    total_ += count;
  }
  return absl::OkStatus();
}

void KeyCounts::Change(std::string_view key, int64_t by) {
  const auto bucket = Find(buckets_, key);
  bucket->second.count += by;
  total_ += by;
  CHECK(bucket->second.count >= 0);
  if (!bucket->second.changed) changed_.push_back(bucket);
  bucket->second.changed = true;
}

KeySpan KeyCounts::SpanOf(Buckets::const_iterator bucket) const {
  const auto next = std::next(bucket);
  if (next == buckets_.end()) return KeySpan::From(bucket->first);
  return {bucket->first, next->first};
}

int64_t KeyCounts::Count(const KeySpan& span, CountByScan scan) const {
  CHECK(!span.single);
  int64_t count = 0;
  for (auto it = Find(buckets_, span.begin); it != buckets_.end() && !span.IsPast(it->first);
       ++it) {
    const KeySpan bucket = SpanOf(it);
    const bool begins_inside = bucket.begin >= span.begin;
    const bool ends_inside = span.unbounded || (!bucket.unbounded && bucket.end <= span.end);
    if (begins_inside && ends_inside) {
      count += it->second.count;
      continue;
    }
    KeySpan part = ends_inside ? bucket : span;
    part.begin = std::max(bucket.begin, span.begin);
    count += scan(part);
  }
  return count;
}

int64_t KeyCounts::AtMost(const KeySpan& span, int64_t enough) const {
  if (span.single) return 1;
  int64_t count = 0;
  auto it = Find(buckets_, span.begin);
  for (; it != buckets_.end() && !span.IsPast(it->first) && count < enough; ++it) {
    count += it->second.count;
  }
  return count;
}

void KeyCounts::WriteChanged(WriteBatch& batch) {
  for (const Buckets::iterator it : changed_) {
    auto& [start, bucket] = *it;
    bucket.changed = false;
    PutCount(batch, start, bucket.count);
    const bool small = bucket.count < kMergeBelow && buckets_.size() > 1;
    if (!bucket.unbalanced && (small || bucket.count > kSplitAbove)) {
      bucket.unbalanced = true;
      unbalanced_.push_back(start);
    }
  }
  changed_.clear();
}

void KeyCounts::Balance(VisitKeys keys, WriteBatch& batch) {
  CHECK(changed_.empty());
  for (const std::string& start : unbalanced_) {
    auto it = buckets_.find(start);
    if (it == buckets_.end()) continue;  // has joined another one
    it->second.unbalanced = false;
    if (it->second.count > kSplitAbove) {
      Split(it, keys, batch);
    } else {
      while (it->second.count < kMergeBelow && Join(it, batch)) {
      }
    }
  }
  unbalanced_.clear();
}

void KeyCounts::Split(Buckets::iterator bucket, VisitKeys keys, WriteBatch& batch) {
  // The end is fixed before new starts come in.
  const KeySpan span = SpanOf(bucket);
  int64_t seen = 0;
  std::vector<std::string> starts;
  keys(span, [&](std::string_view key) {
    if (seen > 0 && seen % kSplitInto == 0) starts.emplace_back(key);
    ++seen;
  });
  CHECK_MSG(seen == bucket->second.count, "key counts are not those of the keys");
  bucket->second.count = kSplitInto;
  PutCount(batch, bucket->first, kSplitInto);
  int64_t left = seen - kSplitInto;
  for (std::string& start : starts) {
    const int64_t count = std::min(left, kSplitInto);
    left -= count;
    PutCount(batch, start, count);
    buckets_[std::move(start)].count = count;
  }
}

bool KeyCounts::Join(Buckets::iterator& bucket, WriteBatch& batch) {
  const auto fit = [](Buckets::iterator a, Buckets::iterator b) {
    return a->second.count + b->second.count <= kSplitInto;
  };
  auto from = std::next(bucket);
  if (from == buckets_.end() || !fit(bucket, from)) {
    if (bucket == buckets_.begin() || !fit(std::prev(bucket), bucket)) return false;
    from = bucket--;
  }
  bucket->second.count += from->second.count;
  PutCount(batch, bucket->first, bucket->second.count);
  batch.Delete(CountKey(from->first));
  buckets_.erase(from);
  return true;
}

}  // namespace conclave::kv
