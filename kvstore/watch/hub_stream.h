// The watchers of one gRPC stream and everything that is sent on it: what create, cancel and
// progress requests are answered with (reference: behaviour sections 6.1, 6.2, 6.6), and how events
// become responses (6.5). The hub decides when. Apply lane.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "kvstore/watch/watch_hub.h"
#include "kvstore/watch/watcher.h"

namespace conclave::kv {

class Hub;

class HubStream final : public WatchStream {
 public:
  // `number` tells the hub's streams apart. The hub and the sink must outlive this.
  HubStream(Hub* hub, WatchSink* sink, uint64_t number);
  ~HubStream() override;
  HubStream(const HubStream&) = delete;
  HubStream& operator=(const HubStream&) = delete;

  void Create(const WatchCreate& create) override;
  void Cancel(int64_t watch_id) override;
  void RequestProgress() override;
  void Resume() override;
  size_t watcher_count() const override { return watchers_.size(); }

  // ---- For the hub. ----

  bool Writable() const { return sink_->Writable(); }
  // One response, or several fragments if the watcher asked for them and it is large.
  void SendEvents(Watcher* watcher, int64_t header_revision, std::string_view encoded_events,
                  size_t event_count);
  // Tells the client from where it may start again, and ends the watcher, which is deleted.
  void CancelCompacted(Watcher* watcher, int64_t compact_revision);
  // A periodic tick. False if no watcher of the stream wants ticks any more.
  bool NotifyProgress();
  // By id.
  const std::map<int64_t, std::unique_ptr<Watcher>>& watchers() const { return watchers_; }

 private:
  void Refuse(std::string_view reason);
  bool Taken(int64_t watch_id) const;
  int64_t ChooseId();
  // True if everything up to the store's revision was sent and the watcher's start is not after it.
  bool IsCurrent(const Watcher& watcher) const;
  int64_t StoreRevision() const;

  Hub* const hub_;
  WatchSink* const sink_;
  const uint64_t number_;
  std::map<int64_t, std::unique_ptr<Watcher>> watchers_;
  // Of watchers that a compaction has cancelled, until the client cancels them too: etcd answers
  // that request, for which clients wait, and does not give the id to another watcher before.
  std::set<int64_t> compacted_ids_;
  int64_t next_id_ = 0;  // counts up also past cancelled watchers
};

}  // namespace conclave::kv
