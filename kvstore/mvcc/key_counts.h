// How many live keys a range has, without reading the range: the keys are parted into buckets of a
// few hundred neighbours, and each bucket's count is kept. A count is whole buckets plus a scan of
// at most two at the edges. Counts are stored with the changes that make them; starts and counts
// are in memory, some hundred bytes for each few hundred keys. Part of KeySpace; apply lane.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/keys.h"

namespace conclave::kv {

class KeyCounts {
 public:
  // Above the first a bucket is split into halves of the second; below the third it joins a
  // neighbour, if both fit a half.
  static constexpr int64_t kSplitAbove = 512;
  static constexpr int64_t kSplitInto = 256;
  static constexpr int64_t kMergeBelow = 64;

  // Reads the counts that the engine holds. DataLoss if they are not counts.
  absl::Status Load(const Engine& engine);

  // A key came to be or ceased to be.
  void Add(std::string_view key) { Change(key, 1); }
  void Remove(std::string_view key) { Change(key, -1); }

  // Counts the keys of a span by reading them; what it sees must be what Add and Remove were told.
  using CountByScan = absl::FunctionRef<int64_t(const KeySpan& span)>;
  // The keys of the span, which is not single.
  int64_t Count(const KeySpan& span, CountByScan scan) const;
  // No fewer than the span has, without reading any; `enough` or more if they may be that many.
  int64_t AtMost(const KeySpan& span, int64_t enough) const;
  int64_t total() const { return total_; }

  // Puts the counts changed since the last call into the batch that holds the keys' own changes.
  void WriteChanged(WriteBatch& batch);

  // Visits the keys of a span in order.
  using VisitKeys = absl::FunctionRef<void(const KeySpan& span,
                                           absl::FunctionRef<void(std::string_view key)> visit)>;
  bool needs_balance() const { return !unbalanced_.empty(); }
  // Splits and joins buckets that have become too big or small. All changes must have been written;
  // so must `batch` be next.
  void Balance(VisitKeys keys, WriteBatch& batch);

 private:
  struct Bucket {
    int64_t count = 0;
    bool changed = false;     // since the last WriteChanged
    bool unbalanced = false;  // listed in unbalanced_
  };
  // By the smallest key that belongs to it; the first one's is the empty key.
  using Buckets = std::map<std::string, Bucket, std::less<>>;

  void Change(std::string_view key, int64_t by);
  // The bucket that `key` belongs to.
  template <typename Map>
  static auto Find(Map& buckets, std::string_view key);
  KeySpan SpanOf(Buckets::const_iterator bucket) const;
  void Split(Buckets::iterator bucket, VisitKeys keys, WriteBatch& batch);
  // Joins the bucket and a neighbour, if they fit; it is then the joint one.
  bool Join(Buckets::iterator& bucket, WriteBatch& batch);

  Buckets buckets_ = {{"", {}}};
  int64_t total_ = 0;
  std::vector<Buckets::iterator> changed_;
  std::vector<std::string> unbalanced_;  // starts
};

}  // namespace conclave::kv
