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

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace conclave::kv {

class RecordCache {
 public:
  // 0 bytes: remembers nothing.
  explicit RecordCache(size_t bytes_max) : bytes_max_(bytes_max) {}
  RecordCache(const RecordCache&) = delete;
  RecordCache& operator=(const RecordCache&) = delete;

  // What the engine holds for the key, nothing if that is no record; good until the next Put. False
  // if it is not remembered.
  bool Find(std::string_view key, std::optional<std::string_view>& record);
  // The engine now holds this. Others are forgotten for it, those not asked for lately first; a
  // record that is large beside the bound is not remembered.
  void Put(std::string_view key, std::optional<std::string_view> record);

  // At most bytes_max; what an entry takes is counted with its share of the containers.
  size_t bytes() const { return bytes_; }

 private:
  // A slot of the clock: the hand passes over an entry that was used since it came by last.
  struct Entry {
    std::string bytes;  // the key, then the record: whoever compares the one has fetched the other
    uint32_t key_size = 0;
    bool has_record = false;
    bool live = false;
    bool used = false;

    std::string_view key() const { return std::string_view(bytes).substr(0, key_size); }
    std::string_view record() const { return std::string_view(bytes).substr(key_size); }
  };
  // The table has but numbers of slots, so that more of it is near.
  struct KeyOf {
    const std::deque<Entry>* entries;
    std::string_view operator()(uint32_t slot) const { return (*entries)[slot].key(); }
    std::string_view operator()(std::string_view key) const { return key; }
  };
  struct HashKey : KeyOf {
    using is_transparent = void;
    size_t operator()(const auto& key) const { return absl::HashOf(KeyOf::operator()(key)); }
  };
  struct SameKey : KeyOf {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const {
      return KeyOf::operator()(a) == KeyOf::operator()(b);
    }
  };

  static size_t BytesOf(const Entry& entry);
  static void Set(Entry& entry, std::string_view key, std::optional<std::string_view> record);
  void MakeRoom(size_t bytes);
  void Forget(uint32_t slot);
  uint32_t FreeSlot();

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Entry> entries_;
  absl::flat_hash_set<uint32_t, HashKey, SameKey> slots_{0, HashKey{{&entries_}},
                                                         SameKey{{&entries_}}};
  std::vector<uint32_t> free_;
  uint32_t hand_ = 0;
};

}  // namespace conclave::kv
