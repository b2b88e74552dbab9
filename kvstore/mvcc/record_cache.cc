#include "kvstore/mvcc/record_cache.h"

#include <utility>

#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

constexpr size_t kEntryBytes = 160;  // slot, place in the table, what malloc adds
constexpr size_t kShareMax = 8;      // no entry takes more than one in so many of all bytes

}  // namespace

size_t RecordCache::BytesOf(std::string_view key, const std::optional<std::string>& record) {
  return kEntryBytes + key.size() + (record ? record->size() : 0);
}

const std::optional<std::string>* RecordCache::Find(std::string_view key) {
  const auto it = slots_.find(key);
  if (it == slots_.end()) return nullptr;
  Entry& entry = entries_[it->second];
  entry.used = true;
  return &entry.record;
}

void RecordCache::Put(std::string_view key, std::optional<std::string> record) {
  const size_t bytes = BytesOf(key, record);
  const bool too_large = bytes > bytes_max_ / kShareMax;
  if (const auto it = slots_.find(key); it != slots_.end()) {
    if (too_large) return Forget(it->second);
    Entry& entry = entries_[it->second];
    bytes_ += bytes - BytesOf(key, entry.record);
    entry.record = std::move(record);
    return MakeRoom(0);
  }
  if (too_large) return;
  MakeRoom(bytes);
  const uint32_t slot = FreeSlot();
  Entry& entry = entries_[slot];
  entry.key = key;
  entry.record = std::move(record);
  entry.live = true;
  entry.used = false;
  bytes_ += bytes;
  slots_.emplace(entry.key, slot);
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
  slots_.erase(entry.key);
  bytes_ -= BytesOf(entry.key, entry.record);
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
