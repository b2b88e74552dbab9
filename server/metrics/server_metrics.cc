#include "server/metrics/server_metrics.h"

#include <utility>

#include "fmt/format.h"

namespace conclave::server {
namespace {

// "3.6" of "3.6.14", as etcd labels the cluster's version.
std::string MajorMinor(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

}  // namespace

ServerMetrics::ServerMetrics(MetricRegistry& registry, const Constants& constants, Read read)
    : registry_(registry), member_(fmt::format("{:x}", constants.member.value())) {
  registry_.AddGauge("etcd_server_id", "1, under the id of this member.", {{"server_id", member_}})
      ->Set(1);
  registry_
      .AddGauge("etcd_server_version", "1, under the version of etcd that clients are told.",
                {{"server_version", constants.reported_version}})
      ->Set(1);
  registry_
      .AddGauge("etcd_cluster_version", "1, under the version of etcd that the cluster acts as.",
                {{"cluster_version", MajorMinor(constants.reported_version)}})
      ->Set(1);
  registry_
      .AddGauge("conclave_version", "1, under the version of this program.",
                {{"version", constants.conclave_version}})
      ->Set(1);
  health_success_ =
      registry_.AddCounter("etcd_server_health_success", "Checks of a healthy member.");
  health_failures_ = registry_.AddCounter("etcd_server_health_failures",
                                          "Checks of a member that was not healthy.");
  AddRaftSeries();
  AddSnapshotSeries();
  AddStoreSeries();
  registry_.BeforeRender([this, read = std::move(read)] { Refresh(read); });
}

void ServerMetrics::AddCounterOf(const char* name, const char* help,
                                 uint64_t ServerReading::*field) {
  Counter* counter = registry_.AddCounter(name, help);
  setters_.push_back([counter, field](const ServerReading& reading) {
    counter->SetTotal(static_cast<double>(reading.*field));
  });
}

template <typename T>
void ServerMetrics::AddGaugeOf(const char* name, const char* help, T ServerReading::*field) {
  Gauge* gauge = registry_.AddGauge(name, help);
  setters_.push_back([gauge, field](const ServerReading& reading) {
    gauge->Set(static_cast<double>(reading.*field));
  });
}

// Some of etcd's totals are gauges by type; a name keeps its type here.
void ServerMetrics::AddRaftSeries() {
  using R = ServerReading;
  AddGaugeOf("etcd_server_has_leader", "1 if a leader is known.", &R::has_leader);
  AddGaugeOf("etcd_server_is_leader", "1 if this member leads.", &R::is_leader);
  AddGaugeOf("etcd_server_is_learner", "1 if this member has no vote.", &R::is_learner);
  AddCounterOf("etcd_server_leader_changes_seen_total", "Changes of leader this member saw.",
               &R::leader_changes);
  AddGaugeOf("etcd_server_proposals_committed_total", "Index of the last committed log entry.",
             &R::commit_index);
  AddGaugeOf("etcd_server_proposals_applied_total", "Index of the last applied log entry.",
             &R::applied_index);
  AddGaugeOf("etcd_server_proposals_pending", "Requests that wait for their log entry.",
             &R::proposals_pending);
  AddCounterOf("etcd_server_proposals_failed_total", "Requests that failed to become log entries.",
               &R::proposals_failed);
  AddGaugeOf("conclave_raft_term", "Current term.", &R::term);
  AddGaugeOf("conclave_fenced", "1 while this member's state is known to be wrong.", &R::fenced);
  AddCounterOf("conclave_divergences_found_total",
               "Members that this one, leading, has found to differ from the majority.",
               &R::divergences_found);
  AddCounterOf("conclave_disk_lookups_total",
               "Lookups of a key that was not in memory and had to be read from the disk.",
               &R::disk_lookups);

  wal_sync_seconds_ = registry_.AddHistogram("etcd_disk_wal_fsync_duration_seconds",
                                             "Time of one write and sync of the raft log.",
                                             ExponentialBounds(0.001, 2, 14));
  entries_per_sync_ = registry_.AddHistogram("conclave_wal_entries_per_sync",
                                             "Log entries made durable by one sync (group commit).",
                                             ExponentialBounds(1, 2, 13));
  AddGaugeOf("etcd_disk_wal_write_bytes_total", "Bytes written to the raft log.", &R::wal_bytes);
  AddGaugeOf("conclave_wal_segments", "Files of the raft log.", &R::wal_segments);
}

void ServerMetrics::AddSnapshotSeries() {
  using R = ServerReading;
  AddGaugeOf("etcd_server_snapshot_apply_in_progress_total",
             "1 while this member fetches or installs another one's state.",
             &R::snapshot_receiving);
  AddCounterOf("conclave_snapshots_installed_total",
               "States of other members that took the place of this one's.",
               &R::snapshots_installed);
  AddCounterOf("conclave_snapshots_receive_failed_total",
               "Snapshots that this member began to fetch and gave up.",
               &R::snapshots_receive_failed);
  AddCounterOf("conclave_snapshot_received_bytes_total", "Bytes of snapshots received.",
               &R::snapshot_bytes_received);
  AddGaugeOf("conclave_snapshot_progress_bytes", "Received of the snapshot fetched last.",
             &R::snapshot_progress_bytes);
  AddGaugeOf("conclave_snapshot_expected_bytes", "Its size, roughly.", &R::snapshot_expected_bytes);
  AddGaugeOf("conclave_snapshots_sending", "Members that fetch a snapshot here or go on from one.",
             &R::snapshots_sending);
  AddCounterOf("conclave_snapshots_sent_total", "Snapshots that members fetched here and hold.",
               &R::snapshots_sent);
  AddCounterOf("conclave_snapshots_send_failed_total",
               "Snapshots that were given up before their members held them.",
               &R::snapshots_send_failed);
  AddCounterOf("conclave_snapshot_sent_bytes_total", "Bytes of snapshots sent.",
               &R::snapshot_bytes_sent);
}

void ServerMetrics::AddStoreSeries() {
  using R = ServerReading;
  AddGaugeOf("etcd_server_quota_backend_bytes",
             "What the store may keep before it refuses to grow; negative: no bound.",
             &R::quota_bytes);
  AddGaugeOf("etcd_mvcc_db_total_size_in_bytes", "Size of the store on disk.", &R::store_bytes);
  AddGaugeOf("etcd_mvcc_db_total_size_in_use_in_bytes",
             "Of all versions that are kept: what the quota is about.", &R::kept_bytes);
  AddGaugeOf("etcd_debugging_mvcc_current_revision", "Newest revision.", &R::revision);
  AddGaugeOf("etcd_debugging_mvcc_compact_revision", "Last compacted revision.",
             &R::compact_revision);
  AddGaugeOf("conclave_range_memory_bytes",
             "Reserved for answers of ranges that are not small, of --range-memory-bytes.",
             &R::range_bytes);
  AddGaugeOf("conclave_ranges_waiting", "Ranges that wait for such memory.", &R::ranges_waiting);
  AddCounterOf("conclave_ranges_refused_total", "Ranges refused for want of it.",
               &R::ranges_refused);
  AddGaugeOf("etcd_debugging_mvcc_watch_stream_total", "Open watch streams.", &R::watch_streams);
  AddGaugeOf("etcd_debugging_mvcc_watcher_total", "Watchers.", &R::watchers);
  AddGaugeOf("etcd_debugging_mvcc_slow_watcher_total", "Watchers that have to catch up.",
             &R::watchers_unsynced);
  Counter* events =
      registry_.AddCounter("etcd_debugging_mvcc_events_total", "Events sent to watchers.");
  setters_.push_back([events](const ServerReading& reading) {
    events->SetTotal(static_cast<double>(reading.watch_events_sent));
  });
  AddCounterOf("etcd_debugging_server_lease_expired_total", "Leases that ran out.",
               &R::leases_expired);
  AddGaugeOf("conclave_leases", "Leases that exist.", &R::leases);
  AddCounterOf("conclave_log_lines_dropped_total",
               "Log lines lost because the log's outputs were too slow.", &R::log_lines_dropped);
}

ServerMetrics::OfPeer& ServerMetrics::Of(raft::NodeId peer) {
  const auto [it, fresh] = peers_.try_emplace(peer);
  OfPeer& of = it->second;
  if (!fresh) return of;
  const std::string id = fmt::format("{:x}", peer.value());
  const MetricLabels to = {{"To", id}};
  const MetricLabels pair = {{"Local", member_}, {"Remote", id}};
  of.sent_bytes =
      registry_.AddCounter("etcd_network_peer_sent_bytes_total", "Bytes sent to a peer.", to);
  of.received_bytes = registry_.AddCounter("etcd_network_peer_received_bytes_total",
                                           "Bytes received from a peer.", {{"From", id}});
  of.sent_failures = registry_.AddCounter("etcd_network_peer_sent_failures_total",
                                          "Messages to a peer that were dropped.", to);
  of.disconnected = registry_.AddCounter("etcd_network_disconnected_peers_total",
                                         "Connections to a peer that were lost.", pair);
  of.active = registry_.AddGauge("etcd_network_active_peers", "1 if a peer is connected.", pair);
  of.round_trip_seconds = registry_.AddHistogram("etcd_network_peer_round_trip_time_seconds",
                                                 "Time from a ping of a peer to its answer.",
                                                 ExponentialBounds(0.0001, 2, 16), to);
  return of;
}

void ServerMetrics::Refresh(const Read& read) {
  const ServerReading reading = read();
  for (const auto& set : setters_) set(reading);
  for (const PeerReading& peer : reading.peers) {
    OfPeer& of = Of(peer.peer);
    of.sent_bytes->SetTotal(static_cast<double>(peer.bytes_sent));
    of.received_bytes->SetTotal(static_cast<double>(peer.bytes_received));
    of.sent_failures->SetTotal(static_cast<double>(peer.messages_dropped));
    of.disconnected->SetTotal(static_cast<double>(peer.disconnects));
    of.active->Set(peer.connected ? 1 : 0);
  }
}

void ServerMetrics::OnWalSync(Duration elapsed, uint64_t entries) {
  wal_sync_seconds_->Observe(ToSeconds(elapsed));
  entries_per_sync_->Observe(static_cast<double>(entries));
}

void ServerMetrics::OnPeerRoundTrip(raft::NodeId peer, Duration elapsed) {
  Of(peer).round_trip_seconds->Observe(ToSeconds(elapsed));
}

void ServerMetrics::OnHealthCheck(bool healthy) {
  (healthy ? health_success_ : health_failures_)->Add();
}

}  // namespace conclave::server
