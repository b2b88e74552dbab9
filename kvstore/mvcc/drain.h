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
#include "absl/types/compare.h"
#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/record_cache.h"

namespace conclave::kv {

class Drain {
 public:
  Drain() = default;
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

  // Orders places in the batch by the keys of the latest records there; finds them by key.
  struct ByKey {
    using is_transparent = void;

    const WriteBatch* batch;
    std::string_view KeyOf(size_t place) const {
      std::string_view key = batch->KeyAt(place);
      key.remove_prefix(1);
      return key;
    }
    std::string_view KeyOf(std::string_view key) const { return key; }
    template <typename A, typename B>
    absl::weak_ordering operator()(const A& a, const B& b) const {
      const int order = KeyOf(a).compare(KeyOf(b));
      if (order == 0) return absl::weak_ordering::equivalent;
      return order < 0 ? absl::weak_ordering::less : absl::weak_ordering::greater;
    }
  };
  // Where in the batch a latest record was first changed, which is how the map knows its key, and
  // where it was last.
  using Changed = absl::btree_map<size_t, size_t, ByKey>;
  // Good until something is changed. The encoded record, or nothing if the key was deleted.
  struct Change {
    std::string_view key;
    std::optional<std::string_view> record;
  };

  // For what is neither a latest record nor a count: history, leases, members.
  WriteBatch& batch() { return batch_; }
  const Changed& changed() const { return changed_; }
  Change At(Changed::const_iterator it) const {
    const WriteBatch::Operation operation = batch_.At(it->second);
    if (operation.is_delete) return {operation.key.substr(1), std::nullopt};
    return {operation.key.substr(1), operation.value};
  }
  bool empty() const { return batch_.empty(); }

  void PutLatest(std::string_view key, std::string_view record) {
    SetLatestKey(key, engine_key_);
    OnChanged(batch_.Put(engine_key_, record));
  }
  void DeleteLatest(std::string_view key) {
    SetLatestKey(key, engine_key_);
    OnChanged(batch_.Delete(engine_key_));
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
  void OnChanged(size_t place) {
    const auto [it, is_new] = changed_.try_emplace(place, place);
    if (!is_new) it->second = place;
  }

  WriteBatch batch_;
  Changed changed_{ByKey{&batch_}};
  bool wants_events_ = true;
  std::vector<SharedRevisionEvents> events_;
  std::string engine_key_;  // scratch
};

}  // namespace conclave::kv
