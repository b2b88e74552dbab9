// The hub behind watch_hub.h: which watcher is synced, ready or slow, and what moves it from one to
// the other. Called by Store and by the streams (hub_stream.h), on the apply lane only; never calls
// back into either while its sets are half changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/watch/hub_stream.h"
#include "kvstore/watch/progress_schedule.h"
#include "kvstore/watch/recent_events.h"
#include "kvstore/watch/unsynced_watchers.h"
#include "kvstore/watch/watch_hub.h"
#include "kvstore/watch/watcher.h"
#include "kvstore/watch/watcher_index.h"
#include "raft/base/random.h"

namespace conclave::kv {

class RevisionEncoding;

class Hub final : public WatchHub {
 public:
  Hub(const WatchOptions& options, const History* history, Random random);
  ~Hub() override;

  std::unique_ptr<WatchStream> NewStream(WatchSink* sink) override;
  void Publish(const std::vector<SharedRevisionEvents>& revisions) override;
  void PassOver(int64_t revision) override;
  bool any_streams() const override { return !streams_.empty(); }
  void Compacted(int64_t compact_revision) override;
  void Reload(const History* history) override;
  bool Run(Instant now) override;
  Instant NextRun() const override;
  WatchStats Stats() const override;

  // ---- For the streams. ----

  const WatchOptions& options() const { return options_; }
  const History& history() const { return *history_; }

  // Puts a watcher that is in no set where its next_revision belongs. It may be cancelled, and
  // deleted, at once.
  void Start(Watcher* watcher);
  // Takes the watcher out of the set it is in.
  void Stop(Watcher* watcher);
  // The watcher's stream can take more.
  void Resume(Watcher* watcher);
  void StartProgress(uint64_t stream) { progress_.Add(stream); }
  void Forget(uint64_t stream);

 private:
  // What one watcher gets in one response.
  struct Delivery {
    Watcher* watcher = nullptr;
    std::string_view shared{};  // the encoding of a single event, which lies elsewhere
    std::string own{};          // of several, or of what is not shared
    size_t event_count = 0;

    std::string_view encoded() const { return own.empty() ? shared : own; }
    // One that lies elsewhere.
    void Add(std::string_view event);
  };

  // What catching up has cost in one Run.
  struct Work {
    size_t revisions = 0;
    size_t bytes = 0;
  };

  void Deliver(const RevisionEvents& revision);
  // They point into `encoding`.
  void CollectDeliveries(const RevisionEvents& revision, RevisionEncoding& encoding);
  Delivery& DeliveryTo(Watcher* watcher);
  void SendDeliveries(int64_t revision);
  void FallBehind(Watcher* watcher, int64_t next_revision);

  void CatchUpInTurn();
  void CatchUp(Watcher* watcher, Work& work);
  Delivery ReadOn(Watcher* watcher, Work& work);
  Delivery ReadOnFromRecent(Watcher* watcher, Work& work) const;
  Delivery ReadOnFromHistory(Watcher* watcher, Work& work);
  void Collect(const RevisionEvents& revision, Delivery& delivery) const;

  void NotifyProgress(Instant now);

  const WatchOptions options_;
  const History* history_;
  RecentEvents recent_;
  int64_t published_revision_ = 0;  // the last one; 0: none yet
  // What was read from history last: watchers that start together, as after a restart, share the
  // reading. Empty when none catches up.
  std::vector<SharedRevisionEvents> last_read_;

  std::map<uint64_t, HubStream*> streams_;
  uint64_t next_stream_ = 0;
  WatcherIndex synced_;
  UnsyncedWatchers unsynced_;
  ProgressSchedule progress_;
  int64_t events_sent_ = 0;

  // Scratch of Publish, kept for its memory.
  std::vector<Watcher*> found_;
  std::vector<Delivery> deliveries_;
};

}  // namespace conclave::kv
