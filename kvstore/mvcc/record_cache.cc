#include "kvstore/mvcc/record_cache.h"

#include <utility>

#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

constexpr size_t kEntryBytes = 96;  // slot, place in the table, what malloc adds
constexpr size_t kShareMax = 8;     // no entry takes more than one in so many of all bytes

}  // namespace

size_t RecordCache::BytesOf(const Entry& entry) { return kEntryBytes + entry.bytes.capacity(); }

// In place where it fits, as a record of another version of the key does most of the time.
void RecordCache::Set(Entry& entry, std::string_view key, std::optional<std::string_view> record) {
  const size_t size = key.size() + (record ? record->size() : 0);
  if (size > entry.bytes.capacity() || size < entry.bytes.capacity() / 2) {
    entry.bytes = std::string();
    entry.bytes.reserve(size);
  }
  entry.bytes.assign(key);
  if (record) entry.bytes.append(*record);
  entry.key_size = static_cast<uint32_t>(key.size());
  entry.has_record = record.has_value();
}

bool RecordCache::Find(std::string_view key, std::optional<std::string_view>& record) {
  const auto it = slots_.find(key);
  if (it == slots_.end()) return false;
  Entry& entry = entries_[*it];
  entry.used = true;
  record = entry.has_record ? std::optional(entry.record()) : std::nullopt;
  return true;
}

void RecordCache::Put(std::string_view key, std::optional<std::string_view> record) {
  const size_t bytes = kEntryBytes + key.size() + (record ? record->size() : 0);
  const bool too_large = bytes > bytes_max_ / kShareMax;
  if (const auto it = slots_.find(key); it != slots_.end()) {
    if (too_large) return Forget(*it);
    Entry& entry = entries_[*it];
    bytes_ -= BytesOf(entry);
    Set(entry, key, record);
    bytes_ += BytesOf(entry);
    return MakeRoom(0);
  }
  if (too_large) return;
  MakeRoom(bytes);
  const uint32_t slot = FreeSlot();
  Entry& entry = entries_[slot];
  Set(entry, key, record);
  entry.live = true;
  entry.used = false;
  bytes_ += BytesOf(entry);
  slots_.insert(slot);
  MakeRoom(0);  // a string may take more than it was asked to
}

void RecordCache::MakeRoom(size_t bytes) {
  // Ends: whatever is live is passed over once at most.
  while (bytes_ + bytes > bytes_max_) {
    Entry& entry = entries_[hand_];
    if (entry.live && !std::exchange(entry.used, false)) {
      SIM_REACHED("kv.record_cache.evicted");
      Forget(hand_);
    }
    hand_ = (hand_ + 1) % static_cast<uint32_t>(entries_.size());
  }
}

void RecordCache::Forget(uint32_t slot) {
  Entry& entry = entries_[slot];
  slots_.erase(slot);
  bytes_ -= BytesOf(entry);
  entry = Entry();
  free_.push_back(slot);
}

uint32_t RecordCache::FreeSlot() {
  if (free_.empty()) {
    entries_.emplace_back();
    return static_cast<uint32_t>(entries_.size() - 1);
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

}  // namespace conclave::kv
