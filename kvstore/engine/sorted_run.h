// What some batches have changed, in the order of the keys: each key once, with its last value or
// the fact that it was deleted. Immutable once made, so any number of threads may read one. The
// write buffer's (write_buffer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/engine/engine.h"

namespace conclave::kv {

class SortedRun {
 public:
  // All of a batch; a later operation of a key counts.
  explicit SortedRun(const WriteBatch& batch);
  // All of both; where both have a key the newer counts.
  SortedRun(const SortedRun& newer, const SortedRun& older);
  SortedRun(const SortedRun&) = delete;
  SortedRun& operator=(const SortedRun&) = delete;

  size_t size() const { return rows_.size(); }
  std::string_view key(size_t row) const { return {keys_.data() + rows_[row].key, KeySize(row)}; }
  bool is_delete(size_t row) const { return rows_[row].value == nullptr; }
  // Empty for a delete.
  std::string_view value(size_t row) const { return {rows_[row].value, rows_[row].value_size}; }

  // The first row whose key is not below `key`; size() if there is none.
  size_t LowerBound(std::string_view key) const { return LowerBound(key, 0); }

 private:
  struct Row {
    uint32_t key;  // where in keys_
    uint32_t value_size;
    const char* value;  // in one of buffers_; null for a delete
  };

  size_t KeySize(size_t row) const {
    return (row + 1 < rows_.size() ? rows_[row + 1].key : keys_.size()) - rows_[row].key;
  }
  // Of the rows from `begin` on.
  size_t LowerBound(std::string_view key, size_t begin) const;
  void Append(const SortedRun& from, size_t row);
  void AppendRows(const SortedRun& from, size_t begin, size_t end);

  // Keys lie side by side, for merges and searches go through them; values stay where the batches
  // had them, whose bytes all runs share that were made of them.
  std::vector<Row> rows_;
  std::string keys_;
  std::vector<std::shared_ptr<const std::string>> buffers_;
};

}  // namespace conclave::kv
