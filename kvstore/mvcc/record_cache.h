// The latest records that were written or read lately, in memory: a put reads the record before it,
// most gets are of few keys, and a lookup in LevelDB costs more than all the rest of a get. Holds
// what the engine holds, nothing else: changes of the drain under way come in when they are written
// out. Part of KeySpace; apply lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace conclave::kv {

class RecordCache {
 public:
  // 0 bytes: remembers nothing.
  explicit RecordCache(size_t bytes_max) : bytes_max_(bytes_max) {}
  RecordCache(const RecordCache&) = delete;
  RecordCache& operator=(const RecordCache&) = delete;

  // What the engine holds for the key, nothing inside if that is no record; null if not remembered.
  // Good until the next Put.
  const std::optional<std::string>* Find(std::string_view key);
  // The engine now holds this. Others are forgotten for it, those not asked for lately first; a
  // record that is large beside the bound is not remembered.
  void Put(std::string_view key, std::optional<std::string> record);

  // At most bytes_max; what an entry takes is counted with its share of the containers.
  size_t bytes() const { return bytes_; }

 private:
  // A slot of the clock: the hand passes over an entry that was used since it came by last.
  struct Entry {
    std::string key;
    std::optional<std::string> record;
    bool live = false;
    bool used = false;
  };

  static size_t BytesOf(std::string_view key, const std::optional<std::string>& record);
  void MakeRoom(size_t bytes);
  void Forget(uint32_t slot);
  uint32_t FreeSlot();

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Entry> entries_;  // stay where they are: slots_ has views of their keys
  absl::flat_hash_map<std::string_view, uint32_t> slots_;
  std::vector<uint32_t> free_;
  uint32_t hand_ = 0;
};

}  // namespace conclave::kv
