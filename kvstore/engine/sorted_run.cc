#include "kvstore/engine/sorted_run.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <span>

#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// Rows of the older of two runs one after the other, when it looks as if there were many more: keys
// of history only grow, so those of the older run are all below the newer one's.
constexpr size_t kStreak = 8;

using Operations = std::vector<WriteBatch::Operation>;

// An operation of a batch, with the bytes of its key that most likely tell it from the others.
struct Place {
  uint64_t head;
  uint32_t at;
};

size_t CommonPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

// The first eight bytes as a number that is ordered as they are.
uint64_t Head(std::string_view bytes) {
  uint64_t head = 0;
  std::memcpy(&head, bytes.data(), std::min(bytes.size(), sizeof(head)));
  return __builtin_bswap64(head);
}

// Keys of one kind have much in common; the eight bytes after that, compared as a number, tell most
// of them apart. Of one key the last operation comes first.
void Sort(std::span<Place> places, const Operations& operations) {
  if (places.empty()) return;
  std::string_view common = operations[places.front().at].key;
  for (const Place& place : places) {
    const std::string_view key = operations[place.at].key;
    if (!key.starts_with(common)) common = common.substr(0, CommonPrefix(common, key));
  }
  for (Place& place : places) place.head = Head(operations[place.at].key.substr(common.size()));
  const auto is_before = [&](const Place& a, const Place& b) {
    if (a.head != b.head) return a.head < b.head;
    const int order = operations[a.at].key.compare(operations[b.at].key);
    return order != 0 ? order < 0 : a.at > b.at;
  };
  if (!std::is_sorted(places.begin(), places.end(), is_before)) {
    std::sort(places.begin(), places.end(), is_before);
  }
}

// By their first bytes, which are kinds of keys, and each kind for itself: some come in order.
std::vector<Place> InOrder(const Operations& operations) {
  constexpr size_t kKinds = 257;    // the first is of the empty key
  constexpr size_t kApartMin = 32;  // fewer are sorted in less time than it takes to count kinds
  const auto kind_of = [](std::string_view key) {
    return key.empty() ? size_t{0} : size_t{1} + static_cast<uint8_t>(key.front());
  };
  std::vector<Place> places(operations.size());
  if (operations.size() < kApartMin) {
    for (uint32_t at = 0; at < operations.size(); ++at) places[at].at = at;
    Sort(places, operations);
    return places;
  }
  std::array<uint32_t, kKinds> ends{};
  for (const WriteBatch::Operation& operation : operations) ++ends[kind_of(operation.key)];
  for (size_t kind = 1; kind < kKinds; ++kind) ends[kind] += ends[kind - 1];
  std::array<uint32_t, kKinds> next{};
  std::copy(ends.begin(), ends.end() - 1, next.begin() + 1);
  for (uint32_t at = 0; at < operations.size(); ++at) {
    places[next[kind_of(operations[at].key)]++] = {.head = 0, .at = at};
  }
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    Sort(std::span(places).subspan(begin, end - begin), operations);
    begin = end;
  }
  return places;
}

}  // namespace

SortedRun::SortedRun(const WriteBatch& batch) {
  const auto buffer = std::make_shared<const std::string>(batch.encoded());
  Operations operations;
  operations.reserve(batch.count());
  size_t keys_bytes = 0;
  for (const WriteBatch::Operation& operation : WriteBatch::Operations(*buffer)) {
    operations.push_back(operation);
    keys_bytes += operation.key.size();
  }
  CHECK(keys_bytes <= std::numeric_limits<uint32_t>::max());
  rows_.reserve(operations.size());
  keys_.reserve(keys_bytes);
  const WriteBatch::Operation* before = nullptr;
  for (const Place& place : InOrder(operations)) {
    const WriteBatch::Operation& change = operations[place.at];
    if (before != nullptr && change.key == before->key) continue;
    before = &change;
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
