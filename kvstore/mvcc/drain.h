// What the commands of one apply drain have changed and the engine does not hold yet: one batch for
// all of them, the latest records it changes (which later commands of the drain must see), and the
// events that watchers get once it is written. Part of KeySpace; apply lane.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/record_cache.h"

namespace conclave::kv {

class Drain {
 public:
  // By key: the encoded record, or nothing if the key was deleted.
  using Changed = absl::btree_map<std::string, std::optional<std::string>, std::less<>>;

  // For what is neither a latest record nor a count: history, leases, members.
  WriteBatch& batch() { return batch_; }
  const Changed& changed() const { return changed_; }
  bool empty() const { return batch_.empty(); }

  void PutLatest(std::string_view key, std::string_view record) {
    SetLatestKey(key, engine_key_);
    batch_.Put(engine_key_, record);
    Change(key).emplace(record);
  }
  void DeleteLatest(std::string_view key) {
    SetLatestKey(key, engine_key_);
    batch_.Delete(engine_key_);
    Change(key).reset();
  }

  // Whether the events of what is changed from now on are to be added. Not in the midst of an
  // entry.
  void SetWantsEvents(bool wants) { wants_events_ = wants; }
  bool wants_events() const { return wants_events_; }
  void AddEvents(RevisionEvents events) {
    events_.push_back(std::make_shared<const RevisionEvents>(std::move(events)));
  }
  std::vector<SharedRevisionEvents> TakeEvents() { return std::exchange(events_, {}); }

  // Afterwards the engine holds all changes, and the cache knows; events wait on.
  void WriteOut(Engine& engine, RecordCache& cache);

 private:
  std::optional<std::string>& Change(std::string_view key) {
    auto it = changed_.lower_bound(key);
    if (it == changed_.end() || it->first != key) it = changed_.emplace_hint(it, key, std::nullopt);
    return it->second;
  }

  WriteBatch batch_;
  Changed changed_;
  bool wants_events_ = true;
  std::vector<SharedRevisionEvents> events_;
  std::string engine_key_;  // scratch
};

}  // namespace conclave::kv
