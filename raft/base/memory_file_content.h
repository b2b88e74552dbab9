// The bytes of one file of the memory file system, and which of its writes are not durable yet.
// Holds them once: what a program reads, with the old bytes under each unsynced write, so that a
// sync only forgets and a crash puts back. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "raft/base/random.h"

namespace conclave {

class MemoryFileContent {
 public:
  // The unit that a disk keeps or loses as a whole.
  static constexpr size_t kSectorBytes = 512;

  // As a program reads it.
  const std::string& bytes() const { return bytes_; }

  // `number` ascends over all writes and truncations of all files.
  void Write(uint64_t number, uint64_t offset, std::string_view bytes);
  void Truncate(uint64_t number, uint64_t size);
  // All so far is durable.
  void Sync() { unsynced_.clear(); }

  bool synced() const { return unsynced_.empty(); }
  // Takes back the unsynced writes after `number`, as if they had never been.
  void TakeBackAfter(uint64_t number);

  // ---- What a crash leaves; it is durable from then on. ----
  void KeepNothing();
  // Each sector of each write, unless `lost_of_16` chances in 16 take it.
  void KeepSome(Random& random, uint64_t lost_of_16);
  // The first so many bytes of each write, by its number, and all truncations.
  void KeepFirst(const std::map<uint64_t, uint64_t>& kept_bytes);

  // Replaces bytes on the medium. Requires that all is synced and that they are within the file.
  void Damage(uint64_t offset, std::string_view bytes);

  // Bytes of each unsynced write, by its number.
  std::map<uint64_t, uint64_t> unsynced_sizes() const;

 private:
  struct Change {
    uint64_t number = 0;
    uint64_t offset = 0;  // of a write; of a truncation, the size it leaves
    uint64_t size = 0;    // of a write
    uint64_t old_size = 0;
    // The bytes that it replaced or cut off; once a write is taken back, its own.
    std::string other;
    bool truncation = false;
  };

  void Overlay(uint64_t offset, std::string_view bytes);
  void TakeBack(Change& change);
  // Leaves what is durable, and returns what was not.
  std::vector<Change> TakeAllBack();

  std::string bytes_;
  std::vector<Change> unsynced_;
};

}  // namespace conclave
