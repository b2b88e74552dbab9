// How conclave-bench says what it measured: a table for people, one JSON object for programs. Used
// once, at its end.
#pragma once

#include <string>

#include "client/bench/bench_options.h"
#include "client/bench/bench_workload.h"

namespace conclave::client {

// Several lines, each ended by a newline.
std::string ToTable(const BenchOptions& options, const BenchResult& result);

// One line. Latencies are in microseconds; "server_cpu_us_per_op" is null when it was not asked
// for.
std::string ToJson(const BenchOptions& options, const BenchResult& result);

}  // namespace conclave::client
