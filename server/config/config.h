// Everything that can be set about a server, as one plain struct whose initial values are the
// defaults. Filled by flags.h from command line, environment or file, completed by validate.h; main
// hands its parts to whom they concern. Read-only after start-up, any lane. Names and defaults are
// etcd's (reference: behaviour section 14.2) unless said otherwise.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "raft/base/time.h"
#include "server/config/url.h"

namespace conclave::server {

// One member as --initial-cluster names it.
struct ClusterMember {
  std::string name;
  std::vector<Url> peer_urls;

  friend bool operator==(const ClusterMember&, const ClusterMember&) = default;
};

struct ServerConfig {
  // ---- Member. ----
  std::string name = "default";
  std::string data_dir;  // empty: <name>.etcd, filled in by CompleteConfig
  std::string wal_dir;   // empty: inside the data directory
  int64_t snapshot_count =
      100'000;  // applied entries between flushes of the engine; as etcd before 3.6
  int64_t snapshot_catchup_entries = 5'000;  // of the log, kept for members that are behind
  int64_t snapshot_send_bytes_per_second = 64 << 20;  // to all members together
  int64_t heartbeat_interval_ms = 100;
  int64_t election_timeout_ms = 1'000;
  int64_t io_lanes = -1;        // threads for clients' connections; -1: by the cores
  int64_t leader_priority = 0;  // leadership goes to healthy members of a higher one
  std::vector<Url> listen_peer_urls = {{"http", "localhost", 2380, ""}};
  std::vector<Url> listen_client_urls = {{"http", "localhost", 2379, ""}};
  int64_t quota_backend_bytes = 0;  // see QuotaBytesOf
  int64_t max_txn_ops = 128;
  int64_t max_request_bytes = 1'572'864;
  int64_t range_memory_bytes = 256 << 20;  // ours; for the answers of ranges that are not small
  int64_t max_concurrent_streams = 4'294'967'295;    // of one connection
  Duration grpc_keepalive_min_time = Seconds(5);     // between two pings of a client
  Duration grpc_keepalive_interval = Seconds(7200);  // between two pings of the server; 0: none
  Duration grpc_keepalive_timeout = Seconds(20);

  // ---- Clustering. ----
  std::vector<Url> initial_advertise_peer_urls = {{"http", "localhost", 2380, ""}};
  std::vector<ClusterMember>
      initial_cluster;  // empty: this member alone, filled in by CompleteConfig
  std::string initial_cluster_state = "new";  // or existing
  std::string initial_cluster_token = "etcd-cluster";
  std::vector<Url> advertise_client_urls = {{"http", "localhost", 2379, ""}};
  bool strict_reconfig_check = true;  // no membership change that could cost the quorum
  int64_t max_learners = 1;
  bool auto_promote_learners = false;             // ours
  std::string auto_compaction_mode = "periodic";  // or revision
  std::string auto_compaction_retention = "0";    // see AutoCompactionOf

  // ---- Monitoring and logging. ----
  std::string metrics = "basic";  // extensive adds latency histograms per method
  std::vector<Url> listen_metrics_urls;
  std::string log_level = "info";                      // debug, info, warn, error, panic or fatal
  std::vector<std::string> log_outputs = {"default"};  // default, stderr, stdout or paths
  std::string log_format = "human";                    // ours; or json

  // ---- Features. ----
  int64_t compaction_batch_limit = 0;         // revisions per slice; 0: 100
  Duration compaction_sleep_interval{};       // between slices; 0: 1 ms
  Duration watch_progress_notify_interval{};  // 0: 10 minutes
  std::string reported_version = "3.6.14";    // ours: the version of etcd that clients are told

  // ---- Unsafe. ----
  bool unsafe_no_fsync = false;

  // Which flags were set at all, by the names that flags.h knows them by. Some rules ask for it.
  std::set<std::string> given;

  bool IsGiven(const std::string& flag) const { return given.contains(flag); }
};

}  // namespace conclave::server
