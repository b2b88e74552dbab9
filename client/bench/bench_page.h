// One HTML page with pictures of a run: throughput and latency over time, and latency by
// percentile. It needs nothing from elsewhere, so it can be mailed or kept beside the figures.
#pragma once

#include <string>

#include "client/bench/bench_options.h"
#include "client/bench/measurement.h"

namespace conclave::client {

std::string ToPage(const BenchOptions& options, const BenchResult& result);

}  // namespace conclave::client
