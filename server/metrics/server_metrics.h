// The series etcd_* that dashboards and alerts know (reference: behaviour section 16), and our own
// conclave_*. What happens often is told here as it happens; everything else is read once per
// Render into one plain struct, which the server fills. On the registry's lane, which is the raft
// lane today.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "raft/base/time.h"
#include "raft/base/types.h"
#include "server/metrics/registry.h"

namespace conclave::server {

// About one peer, as the peer transport counts.
struct PeerReading {
  raft::NodeId peer;
  bool connected = false;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t messages_dropped = 0;
  uint64_t disconnects = 0;
};

// What the metrics ask of the server. Counts are since the process started.
struct ServerReading {
  // Raft.
  bool has_leader = false;
  bool is_leader = false;
  bool is_learner = false;
  uint64_t leader_changes = 0;
  uint64_t term = 0;
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  uint64_t proposals_pending = 0;
  uint64_t proposals_failed = 0;
  // Divergence (docs/integrity.md).
  bool fenced = false;
  uint64_t divergences_found = 0;
  uint64_t disk_lookups = 0;
  // Log.
  uint64_t wal_bytes = 0;
  uint64_t wal_segments = 0;
  // Snapshots between members.
  uint64_t snapshots_sending = 0;  // now
  uint64_t snapshots_sent = 0;     // that came to be held
  uint64_t snapshots_send_failed = 0;
  uint64_t snapshot_bytes_sent = 0;
  bool snapshot_receiving = false;  // or being installed
  uint64_t snapshots_installed = 0;
  uint64_t snapshots_receive_failed = 0;
  uint64_t snapshot_bytes_received = 0;
  uint64_t snapshot_progress_bytes = 0;  // of the present one,
  uint64_t snapshot_expected_bytes = 0;  // roughly
  // Store.
  int64_t quota_bytes = 0;
  uint64_t kept_bytes = 0;
  uint64_t store_bytes = 0;
  int64_t revision = 0;
  int64_t compact_revision = 0;
  // Ranges that are not small.
  uint64_t range_bytes = 0;     // reserved for them, now
  uint64_t ranges_waiting = 0;  // now
  uint64_t ranges_refused = 0;
  // Watches and leases.
  int64_t watch_streams = 0;
  int64_t watchers = 0;
  int64_t watchers_unsynced = 0;
  int64_t watch_events_sent = 0;
  uint64_t leases = 0;
  uint64_t leases_expired = 0;
  // Server.
  std::vector<PeerReading> peers = {};
  uint64_t log_lines_dropped = 0;
};

class ServerMetrics {
 public:
  // What never changes while the process runs.
  struct Constants {
    raft::NodeId member;
    std::string reported_version;  // of etcd: "3.6.14"
    std::string conclave_version;
  };
  using Read = std::function<ServerReading()>;

  // `read` is called once per Render.
  ServerMetrics(MetricRegistry& registry, const Constants& constants, Read read);

  // One sync of the raft log: how long it took, for how many entries (Wal::SetSyncObserver).
  void OnWalSync(Duration elapsed, uint64_t entries);
  // A ping of a peer was answered.
  void OnPeerRoundTrip(raft::NodeId peer, Duration elapsed);
  // /health was asked.
  void OnHealthCheck(bool healthy);

 private:
  // Series that have a peer's id among their labels, made when it is first heard of.
  struct OfPeer {
    Counter* sent_bytes = nullptr;
    Counter* received_bytes = nullptr;
    Counter* sent_failures = nullptr;
    Counter* disconnected = nullptr;
    Gauge* active = nullptr;
    Histogram* round_trip_seconds = nullptr;
  };

  void AddCounterOf(const char* name, const char* help, uint64_t ServerReading::*field);
  template <typename T>
  void AddGaugeOf(const char* name, const char* help, T ServerReading::*field);
  void AddRaftSeries();
  void AddSnapshotSeries();
  void AddStoreSeries();
  void Refresh(const Read& read);
  OfPeer& Of(raft::NodeId peer);

  MetricRegistry& registry_;
  const std::string member_;
  // Each sets one series from a reading.
  std::vector<std::function<void(const ServerReading&)>> setters_;
  std::map<raft::NodeId, OfPeer> peers_;
  Histogram* wal_sync_seconds_ = nullptr;
  Histogram* entries_per_sync_ = nullptr;
  Counter* health_success_ = nullptr;
  Counter* health_failures_ = nullptr;
};

}  // namespace conclave::server
