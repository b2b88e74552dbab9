// How conclave-bench says what it measured: a line now and then and a table at the end for people,
// one JSON object for programs. For pictures see bench_page.h.
#pragma once

#include <string>

#include "client/bench/bench_options.h"
#include "client/bench/measurement.h"

namespace conclave::client {

// Several lines, each ended by a newline.
std::string ToTable(const BenchOptions& options, const BenchResult& result);

// How it goes, without a newline.
std::string ToProgressLine(const BenchResult& result);

// One line. Latencies are in microseconds; what was not asked for ("server_cpu_us_per_op",
// "device_bytes_per_op") is null.
std::string ToJson(const BenchOptions& options, const BenchResult& result);

}  // namespace conclave::client
