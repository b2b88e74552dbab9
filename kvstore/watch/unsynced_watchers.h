// The watchers that are behind: those ready to catch up, served in turn, and the slow ones, whose
// streams cannot take more until they are resumed. Used by the hub, apply lane; every operation but
// Before costs O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "kvstore/watch/watcher.h"

namespace conclave::kv {

class UnsyncedWatchers {
 public:
  // Behind all others that are ready, so that each gets its turn.
  void AddReady(Watcher* watcher) { Add(ready_, watcher, Watcher::State::kReady); }
  void AddSlow(Watcher* watcher) { Add(slow_, watcher, Watcher::State::kSlow); }
  // Requires the watcher to be here.
  void Remove(Watcher* watcher);

  bool any_ready() const { return !ready_.empty(); }
  // Requires any_ready().
  Watcher* NextReady() const { return ready_.front(); }

  // Those that still need a revision below `revision`.
  std::vector<Watcher*> Before(int64_t revision) const;

  size_t size() const { return ready_.size() + slow_.size(); }
  size_t slow() const { return slow_.size(); }

 private:
  void Add(std::list<Watcher*>& queue, Watcher* watcher, Watcher::State state);

  std::list<Watcher*> ready_;
  std::list<Watcher*> slow_;
};

}  // namespace conclave::kv
