#include "kvstore/watch/unsynced_watchers.h"

#include "raft/base/check.h"

namespace conclave::kv {

void UnsyncedWatchers::Add(std::list<Watcher*>& queue, Watcher* watcher, Watcher::State state) {
  CHECK(watcher->state == Watcher::State::kUnplaced);
  watcher->queue_position = queue.insert(queue.end(), watcher);
  watcher->state = state;
}

void UnsyncedWatchers::Remove(Watcher* watcher) {
  const bool ready = watcher->state == Watcher::State::kReady;
  CHECK(ready || watcher->state == Watcher::State::kSlow);
  (ready ? ready_ : slow_).erase(watcher->queue_position);
  watcher->state = Watcher::State::kUnplaced;
}

std::vector<Watcher*> UnsyncedWatchers::Before(int64_t revision) const {
  std::vector<Watcher*> before;
  for (const std::list<Watcher*>* queue : {&ready_, &slow_}) {
    for (Watcher* watcher : *queue) {
      if (watcher->next_revision < revision) before.push_back(watcher);
    }
  }
  return before;
}

}  // namespace conclave::kv
