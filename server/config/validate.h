// The rules between settings, after each was read on its own: what fills in defaults that depend on
// others, and what must hold before a member starts (reference: behaviour section 9.3). Used at
// start-up only, main thread. Every error is one line that names the flag and what was expected.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "server/config/config.h"

namespace conclave::server {

// Fills in data_dir and initial_cluster, and checks what can be checked without looking at the
// machine or its data.
absl::Status CompleteConfig(ServerConfig& config);

// The rules of a member that has no data yet; a restart ignores the initial-* settings. Wants a
// completed config.
absl::Status CheckInitialCluster(const ServerConfig& config);

// What --auto-compaction-mode and --auto-compaction-retention come to.
struct AutoCompaction {
  Duration period{};      // history kept, by time; 0: not by time
  int64_t revisions = 0;  // history kept, by count; 0: not by count
};
absl::StatusOr<AutoCompaction> AutoCompactionOf(const ServerConfig& config);

// What the store may come to keep, with 0 for etcd's 2 GiB; negative: as much as there is room for.
int64_t QuotaBytesOf(const ServerConfig& config);

}  // namespace conclave::server
