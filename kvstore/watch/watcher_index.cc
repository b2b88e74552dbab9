#include "kvstore/watch/watcher_index.h"

#include "raft/base/check.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

void AddTo(std::vector<Watcher*>& group, Watcher* watcher) {
  watcher->group_position = group.size();
  group.push_back(watcher);
}

// The last one takes the place, so that leaving a large group costs as little as leaving a small
// one.
void RemoveFrom(std::vector<Watcher*>& group, Watcher* watcher) {
  CHECK(watcher->group_position < group.size() && group[watcher->group_position] == watcher);
  group[watcher->group_position] = group.back();
  group[watcher->group_position]->group_position = watcher->group_position;
  group.pop_back();
}

}  // namespace

void WatcherIndex::Add(Watcher* watcher) {
  const KeyRange& range = watcher->range;
  AddTo(range.single_key ? keys_[range.begin] : ranges_.FindOrInsert(range.begin, range.end),
        watcher);
  ++size_;
}

void WatcherIndex::Remove(Watcher* watcher) {
  const KeyRange& range = watcher->range;
  if (range.single_key) {
    const auto group = keys_.find(range.begin);
    CHECK(group != keys_.end());
    RemoveFrom(group->second, watcher);
    if (group->second.empty()) keys_.erase(group);
  } else {
    Group* const group = ranges_.Find(range.begin, range.end);
    CHECK(group != nullptr);
    RemoveFrom(*group, watcher);
    if (group->empty()) ranges_.Erase(range.begin, range.end);
  }
  --size_;
}

void WatcherIndex::Find(std::string_view key, std::vector<Watcher*>& found) {
  const auto append = [&found](const Group& group) {
    found.insert(found.end(), group.begin(), group.end());
  };
  const auto same_key = keys_.find(ToAbsl(key));
  if (same_key != keys_.end()) append(same_key->second);
  ranges_.ForEachHolding(key, append);
}

}  // namespace conclave::kv
