// The synced watchers by what they watch: finds those that an event is for, however many others
// there are. Watchers of one key stand in a hash map, watchers of ranges in a KeyRanges map. Used
// by the hub only, on the apply lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kvstore/watch/key_ranges.h"
#include "kvstore/watch/watcher.h"

namespace conclave::kv {

class WatcherIndex {
 public:
  explicit WatcherIndex(uint64_t seed) : ranges_(seed) {}

  void Add(Watcher* watcher);
  // Requires the watcher to be here, its range unchanged since Add.
  void Remove(Watcher* watcher);

  // Appends every watcher whose range holds `key`, in an order that depends only on the calls made
  // before.
  void Find(std::string_view key, std::vector<Watcher*>& found);

  bool empty() const { return size_ == 0; }

 private:
  using Group = std::vector<Watcher*>;  // watchers of the same range

  absl::flat_hash_map<std::string, Group> keys_;
  KeyRanges<Group> ranges_;
  size_t size_ = 0;
};

}  // namespace conclave::kv
