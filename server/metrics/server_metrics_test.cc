#include "server/metrics/server_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/metrics/process_metrics.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ServerMetricsTest : public ::testing::Test {
 protected:
  std::string Render() { return registry_.Render(); }

  MetricRegistry registry_;
  ServerReading reading_;
  int reads_ = 0;
  ServerMetrics metrics_{registry_, {raft::NodeId(0x8e9e05c52164694d), "3.6.14", "0.1.0"}, [this] {
                           ++reads_;
                           return reading_;
                         }};
};

TEST_F(ServerMetricsTest, TheServerIsReadOncePerRender) {
  reading_.has_leader = true;
  reading_.commit_index = 12;
  reading_.applied_index = 11;
  reading_.leader_changes = 3;
  reading_.store_bytes = 4096;
  reading_.kept_bytes = 2048;
  reading_.watchers_unsynced = 2;
  reading_.watch_events_sent = 9;
  const std::string text = Render();
  EXPECT_EQ(reads_, 1);
  for (const char* line : {
           "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n",
           "etcd_server_is_leader 0\n",
           "# TYPE etcd_server_proposals_committed_total gauge\n"
           "etcd_server_proposals_committed_total 12\n",
           "etcd_server_proposals_applied_total 11\n",
           "# TYPE etcd_server_leader_changes_seen_total counter\n"
           "etcd_server_leader_changes_seen_total 3\n",
           "etcd_mvcc_db_total_size_in_bytes 4096\n",
           "etcd_mvcc_db_total_size_in_use_in_bytes 2048\n",
           "etcd_debugging_mvcc_slow_watcher_total 2\n",
           "# TYPE etcd_debugging_mvcc_events_total counter\netcd_debugging_mvcc_events_total 9\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  reading_.has_leader = false;
  EXPECT_THAT(Render(), HasSubstr("etcd_server_has_leader 0\n"));
}

TEST_F(ServerMetricsTest, VersionsAndIdsAreLabels) {
  const std::string text = Render();
  EXPECT_THAT(text, HasSubstr("etcd_server_id{server_id=\"8e9e05c52164694d\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_server_version{server_version=\"3.6.14\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_cluster_version{cluster_version=\"3.6\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("conclave_version{version=\"0.1.0\"} 1\n"));
}

TEST_F(ServerMetricsTest, GroupCommitShowsAsEntriesPerSync) {
  metrics_.OnWalSync(Milliseconds(3), 1);
  metrics_.OnWalSync(Milliseconds(3), 40);
  const std::string text = Render();
  EXPECT_THAT(text, HasSubstr("conclave_wal_entries_per_sync_sum 41\n"));
  EXPECT_THAT(text, HasSubstr("conclave_wal_entries_per_sync_count 2\n"));
  EXPECT_THAT(text, HasSubstr("conclave_wal_entries_per_sync_bucket{le=\"32\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 2\n"));
}

TEST_F(ServerMetricsTest, SnapshotsAreCountedOnBothSides) {
  reading_.snapshots_sending = 1;
  reading_.snapshot_bytes_sent = 1000;
  reading_.snapshot_receiving = true;
  reading_.snapshots_installed = 2;
  reading_.snapshot_progress_bytes = 300;
  const std::string text = Render();
  for (const char* line : {
           "# TYPE conclave_snapshots_sending gauge\nconclave_snapshots_sending 1\n",
           "# TYPE conclave_snapshot_sent_bytes_total counter\n"
           "conclave_snapshot_sent_bytes_total 1000\n",
           "etcd_server_snapshot_apply_in_progress_total 1\n",
           "conclave_snapshots_installed_total 2\n",
           "conclave_snapshot_progress_bytes 300\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(ServerMetricsTest, PeersHaveSeriesOfTheirOwn) {
  EXPECT_THAT(Render(), Not(HasSubstr("etcd_network_peer")));
  reading_.peers = {{.peer = raft::NodeId(0xab),
                     .connected = true,
                     .bytes_sent = 5,
                     .bytes_received = 6,
                     .messages_dropped = 7,
                     .disconnects = 8}};
  metrics_.OnPeerRoundTrip(raft::NodeId(0xab), Milliseconds(1));
  const std::string text = Render();
  EXPECT_THAT(text, HasSubstr("etcd_network_peer_sent_bytes_total{To=\"ab\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_peer_received_bytes_total{From=\"ab\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_peer_sent_failures_total{To=\"ab\"} 7\n"));
  const std::string pair = "{Local=\"8e9e05c52164694d\",Remote=\"ab\"}";
  EXPECT_THAT(text, HasSubstr("etcd_network_disconnected_peers_total" + pair + " 8\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_active_peers" + pair + " 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_peer_round_trip_time_seconds_count{To=\"ab\"} 1\n"));
}

TEST_F(ServerMetricsTest, HealthChecksAreCountedByOutcome) {
  metrics_.OnHealthCheck(true);
  metrics_.OnHealthCheck(false);
  metrics_.OnHealthCheck(false);
  EXPECT_THAT(Render(), HasSubstr("etcd_server_health_success 1\n"));
  EXPECT_THAT(Render(), HasSubstr("etcd_server_health_failures 2\n"));
}

TEST(ProcessMetricsTest, TheProcessHasMemoryFilesAndTime) {
  MetricRegistry registry;
  AddProcessMetrics(registry);
  const std::string text = registry.Render();
  const auto value = [&](const std::string& name) {
    const size_t at = text.find("\n" + name + " ");
    EXPECT_NE(at, std::string::npos) << name;
    return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"));
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GT(value("process_max_fds"), value("process_open_fds"));
  EXPECT_GT(value("process_start_time_seconds"), 1'600'000'000);
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
}

}  // namespace
}  // namespace conclave::server
