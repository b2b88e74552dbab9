#include "server/telemetry.h"

#include <string>
#include <utility>

#include "server/config/validate.h"
#include "server/config/version.h"
#include "server/metrics/process_metrics.h"

namespace conclave::server {

Telemetry::Telemetry(const ServerConfig& config, const DispatchTable& methods, Node* node,
                     PeerNetwork* peers, Storage* storage, const RangeBudget* range_budget)
    : node_(node),
      peers_(peers),
      storage_(storage),
      range_budget_(range_budget),
      quota_bytes_(QuotaBytesOf(config)),
      grpc_(registry_, methods.All(), config.metrics == "extensive"),
      server_(registry_,
              {.member = node->id(),
               .reported_version = config.reported_version,
               .conclave_version = std::string(ConclaveVersion())},
              [this] { return Read(); }) {
  AddProcessMetrics(registry_);
  storage_->wal->SetSyncObserver(
      [this](Duration elapsed, uint64_t entries) { server_.OnWalSync(elapsed, entries); });
}

Telemetry::~Telemetry() {
  storage_->wal->SetSyncObserver([](Duration, uint64_t) {});
}

HttpRoute Telemetry::MetricsRoute() {
  return {.method = "GET",
          .path = "/metrics",
          .handler = [this](const HttpRequest&, HttpRespond respond) {
            respond({.content_type = std::string(kMetricsContentType),
                     .body = registry_.Render(),
                     .headers = {}});
          }};
}

ServerReading Telemetry::Read() const {
  const raft::CoreStatus raft = node_->Status();
  const NodeCounters counters = node_->counters();
  kv::Store& store = node_->store();
  const raft::WalStats wal = storage_->wal->Stats();
  const kv::WatchStats watches = store.watches().Stats();
  ServerReading reading;
  reading.has_leader = node_->leader() != raft::kNoNode;
  reading.is_leader = node_->leading();
  reading.is_learner = node_->IsLearner();
  reading.leader_changes = counters.leader_changes;
  reading.term = raft.term.value();
  reading.commit_index = raft.commit.value();
  reading.applied_index = raft.applied.value();
  reading.proposals_pending = node_->proposals_pending();
  reading.proposals_failed = counters.proposals_failed;
  reading.fenced = node_->fenced();
  reading.divergences_found = counters.divergences_found;
  reading.disk_lookups = counters.disk_lookups;
  reading.wal_bytes = wal.bytes;
  reading.wal_segments = wal.segments;
  const SnapshotSourceStats& sent = node_->snapshots_sent();
  reading.snapshots_sending = sent.sessions;
  reading.snapshots_sent = sent.sent;
  reading.snapshots_send_failed = sent.failed;
  reading.snapshot_bytes_sent = sent.bytes;
  const SnapshotFetcherStats& fetched = node_->snapshots_fetched();
  reading.snapshot_receiving = fetched.under_way;
  reading.snapshots_installed = fetched.installed;
  reading.snapshots_receive_failed = fetched.failed;
  reading.snapshot_bytes_received = fetched.bytes;
  reading.snapshot_progress_bytes = fetched.bytes_now;
  reading.snapshot_expected_bytes = fetched.bytes_total;
  reading.quota_bytes = quota_bytes_;
  reading.store_bytes = store.SizeBytes();
  reading.kept_bytes = store.KeptBytes();
  reading.revision = store.revision();
  reading.compact_revision = store.compact_revision();
  reading.watch_streams = watches.streams;
  reading.watchers = watches.watchers;
  reading.watchers_unsynced = watches.unsynced;
  reading.watch_events_sent = watches.events_sent;
  reading.leases = store.lessor().size();
  reading.leases_expired = counters.leases_expired;
  const RangeBudgetStats ranges = range_budget_->stats();
  reading.range_bytes = ranges.bytes;
  reading.ranges_waiting = ranges.waiting;
  reading.ranges_refused = ranges.refused;
  for (const PeerStats& peer : peers_->stats()) {
    reading.peers.push_back({.peer = peer.peer,
                             .connected = peer.connected,
                             .bytes_sent = peer.bytes_sent,
                             .bytes_received = peer.bytes_received,
                             .messages_dropped = peer.messages_dropped,
                             .disconnects = peer.disconnects});
  }
  return reading;
}

}  // namespace conclave::server
