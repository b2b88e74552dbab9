#include "kvstore/engine/sorted_run.h"

#include <algorithm>
#include <limits>

#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// Rows of the older of two runs one after the other, when it looks as if there were many more: keys
// of history only grow, so those of the older run are all below the newer one's.
constexpr size_t kStreak = 8;

}  // namespace

SortedRun::SortedRun(const WriteBatch& batch) {
  struct Change {
    std::string_view key;
    std::string_view value;
    uint32_t at;
    bool is_delete;
  };
  const auto buffer = std::make_shared<const std::string>(batch.encoded());
  std::vector<Change> changes;
  changes.reserve(batch.count());
  size_t keys_bytes = 0;
  for (const WriteBatch::Operation& operation : WriteBatch::Operations(*buffer)) {
    changes.push_back({.key = operation.key,
                       .value = operation.value,
                       .at = static_cast<uint32_t>(changes.size()),
                       .is_delete = operation.is_delete});
    keys_bytes += operation.key.size();
  }
  CHECK(keys_bytes <= std::numeric_limits<uint32_t>::max());
  // Of one key the last operation comes first.
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    const int order = a.key.compare(b.key);
    return order != 0 ? order < 0 : a.at > b.at;
  });
  rows_.reserve(changes.size());
  keys_.reserve(keys_bytes);
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    if (i > 0 && change.key == changes[i - 1].key) continue;
    rows_.push_back({.key = static_cast<uint32_t>(keys_.size()),
                     .value_size = static_cast<uint32_t>(change.value.size()),
                     .value = change.is_delete ? nullptr : change.value.data()});
    keys_.append(change.key);
  }
  buffers_.push_back(buffer);
}

SortedRun::SortedRun(const SortedRun& newer, const SortedRun& older) {
  CHECK(newer.keys_.size() + older.keys_.size() <= std::numeric_limits<uint32_t>::max());
  rows_.reserve(newer.size() + older.size());
  keys_.reserve(newer.keys_.size() + older.keys_.size());
  size_t i = 0;
  size_t j = 0;
  size_t streak = 0;  // of rows of the older one
  while (i < newer.size() && j < older.size()) {
    if (streak == kStreak) {
      const size_t end = older.LowerBound(newer.key(i), j);
      AppendRows(older, j, end);
      j = end;
      streak = 0;
      continue;
    }
    const int order = newer.key(i).compare(older.key(j));
    streak = order > 0 ? streak + 1 : 0;
    if (SEEDED_BUG(kBufferedDeleteMerged) && order == 0 && newer.is_delete(i)) {
      ++i;
      ++j;
    } else if (order <= 0) {
      Append(newer, i++);
      if (order == 0) ++j;
    } else {
      Append(older, j++);
    }
  }
  AppendRows(newer, i, newer.size());
  AppendRows(older, j, older.size());
  buffers_.reserve(newer.buffers_.size() + older.buffers_.size());
  buffers_ = newer.buffers_;
  buffers_.insert(buffers_.end(), older.buffers_.begin(), older.buffers_.end());
}

void SortedRun::Append(const SortedRun& from, size_t row) {
  Row copy = from.rows_[row];
  copy.key = static_cast<uint32_t>(keys_.size());
  rows_.push_back(copy);
  keys_.append(from.key(row));
}

void SortedRun::AppendRows(const SortedRun& from, size_t begin, size_t end) {
  if (begin == end) return;
  const size_t keys_begin = from.rows_[begin].key;
  const size_t keys_end = end < from.size() ? from.rows_[end].key : from.keys_.size();
  const size_t keys_to = keys_.size();
  for (size_t row = begin; row < end; ++row) {
    Row copy = from.rows_[row];
    copy.key = static_cast<uint32_t>(keys_to + (copy.key - keys_begin));
    rows_.push_back(copy);
  }
  keys_.append(from.keys_, keys_begin, keys_end - keys_begin);
}

size_t SortedRun::LowerBound(std::string_view key, size_t begin) const {
  size_t end = rows_.size();
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (this->key(middle) < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

}  // namespace conclave::kv
