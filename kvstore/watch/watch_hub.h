// Watches: every watcher gets every matching event of every revision from its start on, in order,
// once (reference: behaviour section 6). A watcher is synced when it has been served everything
// applied; then apply hands it new events at once. Otherwise it is unsynced and catches up from
// history in bounded rounds. A watcher whose stream cannot take more becomes unsynced, so slow
// clients cost bounded memory and nothing is dropped. Owned by Store, on the apply lane.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/history.h"
#include "raft/base/random.h"
#include "raft/base/time.h"

namespace conclave::kv {

// One response to one watcher, before it becomes an etcdserverpb.WatchResponse. `header_revision`
// and the meaning of each flag are the reference's (wire section 5, behaviour sections 6.2-6.6).
struct WatchMessage {
  int64_t watch_id = 0;
  int64_t header_revision = 0;
  bool created = false;
  bool canceled = false;
  int64_t compact_revision = 0;
  std::string cancel_reason{};
  bool fragment = false;
  // Serialized mvccpb.Event messages, each with its tag and length as field 11 of WatchResponse,
  // ready to append; good until Send returns.
  std::string_view encoded_events{};
  size_t event_count = 0;
};

// Where a stream's responses go: implemented by server/api over one gRPC stream.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Queues the response. Always taken, also when not Writable (the hub stops there).
  virtual void Send(WatchMessage message) = 0;
  // False once the stream has as much queued as it may; WatchStream::Resume must be called when
  // that changes.
  virtual bool Writable() const = 0;
};

struct WatchOptions {
  size_t response_bytes_max = (1536 + 512) << 10;  // fragment size: max-request-bytes + 512 KiB
  Duration progress_interval = Seconds(600);
  size_t catch_up_revisions_max = 1000;  // per response while catching up
  size_t catch_up_bytes_max = 4 << 20;   // read from history per watcher and round
  size_t recent_bytes_max = 64 << 20;    // ring of recent events that spares catch-up the disk
};

struct WatchCreate {
  std::string key{};
  std::string range_end{};
  int64_t start_revision = 0;
  bool progress_notify = false;
  bool prev_kv = false;
  bool fragment = false;
  bool no_put = false;
  bool no_delete = false;
  int64_t watch_id = 0;  // 0: the stream assigns
};

class WatchHub;

// All watchers of one gRPC stream; destroying it cancels them silently.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  // Sends exactly one created response (also for a refused creation), before any event of that
  // watcher.
  virtual void Create(const WatchCreate& create) = 0;
  // Sends the canceled response; an unknown id is ignored.
  virtual void Cancel(int64_t watch_id) = 0;
  // Manual progress: one response with watch_id -1 if every watcher is synced, else nothing.
  virtual void RequestProgress() = 0;
  // The sink became writable again.
  virtual void Resume() = 0;
  virtual size_t watcher_count() const = 0;
};

struct WatchStats {
  int64_t streams = 0;
  int64_t watchers = 0;
  int64_t unsynced = 0;  // of the watchers: not yet served everything applied
  int64_t slow = 0;      // of the unsynced: their streams cannot take more
  int64_t events_sent = 0;
};

class WatchHub {
 public:
  virtual ~WatchHub() = default;

  // `history` must outlive the hub (or the next Reload) and is not read before the first stream is
  // made. Streams must be destroyed before their hub.
  static std::unique_ptr<WatchHub> New(const WatchOptions& options, const History* history,
                                       uint64_t seed);

  virtual std::unique_ptr<WatchStream> NewStream(WatchSink* sink) = 0;

  // From Store, after the revisions became visible in history: hands them to synced watchers and
  // the ring.
  virtual void Publish(const std::vector<SharedRevisionEvents>& revisions) = 0;
  // Likewise, instead, while there is no stream: nobody wants the events up to `revision`, and who
  // comes later reads them in history.
  virtual void PassOver(int64_t revision) = 0;
  virtual bool any_streams() const = 0;
  // From Store after a compaction of revisions: cancels watchers that can no longer be served.
  virtual void Compacted(int64_t compact_revision) = 0;
  // A snapshot replaced the state, which `history` is from now on: every watcher goes on from where
  // it was. The next revision published is the one after history's.
  virtual void Reload(const History* history) = 0;

  // Serves unsynced watchers and due progress notifications for a bounded while; true if more is
  // waiting now (call again in a later turn). The caller calls it when NextRun says so.
  virtual bool Run(Instant now) = 0;
  // When Run has something to do: at once (Instant::min()), at a progress notification, or kNever.
  virtual Instant NextRun() const = 0;

  virtual WatchStats Stats() const = 0;
};

}  // namespace conclave::kv
