// One watcher of one stream: what it asked for and how far it has been served. Owned by its stream,
// moved between the sets of synced, ready and slow watchers by the hub. Apply lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

#include "kvstore/mvcc/event.h"
#include "kvstore/watch/key_range.h"

namespace conclave::kv {

class HubStream;

struct Watcher {
  enum class State {
    kUnplaced,  // known to its stream only
    kSynced,    // served everything applied; new events are handed to it as they are published
    kReady,     // behind; waits for its turn to catch up from history
    kSlow,      // behind, and its stream cannot take more; waits for Resume
  };

  bool Wants(const Event& event) const { return event.is_delete ? !no_delete : !no_put; }

  HubStream* stream = nullptr;
  int64_t id = 0;
  KeyRange range;
  int64_t start_revision = 0;  // as asked for; 0: from the creation on
  bool progress_notify = false;
  bool prev_kv = false;
  bool fragment = false;
  bool no_put = false;
  bool no_delete = false;

  State state = State::kUnplaced;
  // No event before this revision may be sent to it any more. While kSynced it is a lower bound
  // only (publishing does not touch the watchers it has nothing for); otherwise exactly where
  // catch-up goes on.
  int64_t next_revision = 0;
  // Events went out since the last periodic progress tick, which makes the next one needless.
  bool sent_since_tick = false;

  // Where it stands in the set that `state` names.
  std::list<Watcher*>::iterator queue_position;
  size_t group_position = 0;
  // Its entry among the deliveries of the revision being published; kNoDelivery if none.
  static constexpr size_t kNoDelivery = SIZE_MAX;
  size_t delivery = kNoDelivery;
};

}  // namespace conclave::kv
