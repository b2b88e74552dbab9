// What Prometheus' own libraries say of every process: memory, processor time, open files. Read
// from /proc when asked for. Used by main, on the registry's lane.
#pragma once

#include "server/metrics/registry.h"

namespace conclave::server {

// Adds process_* and etcd's os_fd_*. The process is taken to have started now.
void AddProcessMetrics(MetricRegistry& registry);

}  // namespace conclave::server
