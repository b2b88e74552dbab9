#include "raft/base/memory_file_content.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"

namespace conclave {

void MemoryFileContent::Overlay(uint64_t offset, std::string_view bytes) {
  if (offset > bytes_.size()) bytes_.resize(offset);
  const uint64_t within = std::min<uint64_t>(bytes_.size() - offset, bytes.size());
  bytes.copy(bytes_.data() + offset, within);
  bytes_.append(bytes.substr(within));
}

void MemoryFileContent::Write(uint64_t number, uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  Change& change = unsynced_.emplace_back();
  change.number = number;
  change.offset = offset;
  change.size = bytes.size();
  change.old_size = bytes_.size();
  if (offset < bytes_.size()) change.other = bytes_.substr(offset, bytes.size());
  Overlay(offset, bytes);
}

void MemoryFileContent::Truncate(uint64_t number, uint64_t size) {
  Change& change = unsynced_.emplace_back();
  change.number = number;
  change.offset = size;
  change.old_size = bytes_.size();
  change.truncation = true;
  if (size < bytes_.size()) change.other = bytes_.substr(size);
  bytes_.resize(size);
}

void MemoryFileContent::TakeBack(Change& change) {
  if (change.truncation) {
    bytes_.resize(std::min(bytes_.size(), change.old_size));
    bytes_ += change.other;
    return;
  }
  std::string own = bytes_.substr(change.offset, change.size);
  bytes_.resize(change.old_size);
  if (!change.other.empty()) Overlay(change.offset, change.other);
  change.other = std::move(own);
}

std::vector<MemoryFileContent::Change> MemoryFileContent::TakeAllBack() {
  for (auto change = unsynced_.rbegin(); change != unsynced_.rend(); ++change) TakeBack(*change);
  return std::exchange(unsynced_, {});
}

void MemoryFileContent::TakeBackAfter(uint64_t number) {
  for (; !unsynced_.empty() && unsynced_.back().number > number; unsynced_.pop_back()) {
    TakeBack(unsynced_.back());
  }
}

void MemoryFileContent::KeepNothing() { TakeAllBack(); }

void MemoryFileContent::KeepSome(Random& random, uint64_t lost_of_16) {
  for (const Change& change : TakeAllBack()) {
    if (change.truncation && random.OneIn(2)) bytes_.resize(change.offset);
    for (uint64_t at = change.offset; at < change.offset + change.size;) {
      const uint64_t sector_end = (at / kSectorBytes + 1) * kSectorBytes;
      const uint64_t end = std::min(sector_end, change.offset + change.size);
      if (random.Below(16) >= lost_of_16) {
        Overlay(at, std::string_view(change.other).substr(at - change.offset, end - at));
      }
      at = end;
    }
  }
}

void MemoryFileContent::KeepFirst(const std::map<uint64_t, uint64_t>& kept_bytes) {
  for (const Change& change : TakeAllBack()) {
    if (change.truncation) {
      bytes_.resize(change.offset);
    } else if (const uint64_t kept = kept_bytes.at(change.number); kept > 0) {
      Overlay(change.offset, std::string_view(change.other).substr(0, kept));
    }
  }
}

void MemoryFileContent::Damage(uint64_t offset, std::string_view bytes) {
  CHECK(synced() && offset + bytes.size() <= bytes_.size());
  Overlay(offset, bytes);
}

std::map<uint64_t, uint64_t> MemoryFileContent::unsynced_sizes() const {
  std::map<uint64_t, uint64_t> sizes;
  for (const Change& change : unsynced_) {
    if (!change.truncation) sizes[change.number] = change.size;
  }
  return sizes;
}

}  // namespace conclave
