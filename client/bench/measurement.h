// The account of a load: warm-up, what is counted, and the end. An operation counts in the phase
// in which it ended. Used by the thread that runs the load.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/bench/bench_options.h"
#include "client/load/latency_histogram.h"

namespace conclave::client {

// As reports have latencies.
inline double Micros(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000; }

// What happened in one interval of the run. Latencies in nanoseconds, 0 if nothing succeeded.
struct BenchInterval {
  double end_s = 0;  // seconds since the warm-up
  std::uint64_t operations = 0;
  std::int64_t p50_ns = 0;
  std::int64_t p99_ns = 0;
  std::int64_t max_ns = 0;
};

// What was measured between the end of the warm-up and the end of the run.
struct BenchResult {
  std::uint64_t operations = 0;  // that succeeded
  std::uint64_t errors = 0;
  std::string first_error;  // of the first that failed, warm-up included
  std::chrono::nanoseconds elapsed{0};
  // The longest time without a success: what a client sees of a change of leaders.
  std::chrono::nanoseconds longest_gap{0};
  LatencyHistogram latency;  // of those that succeeded
  std::vector<BenchInterval> intervals;
  // Of all server_pids together; absent if one could not be read.
  std::optional<std::chrono::microseconds> server_cpu;
  std::optional<std::uint64_t> device_bytes;
  std::chrono::microseconds client_cpu{0};  // of this process
};

class Measurement {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  // Told once a second what there is so far.
  using Progress = std::function<void(const BenchResult&)>;

  // The warm-up begins with the first operation that ends.
  explicit Measurement(const BenchOptions& options, Progress progress = {});

  // `count` operations that began and ended together.
  void Succeeded(Instant began, Instant ended, std::uint64_t count = 1);
  void Failed(std::string_view error, Instant ended);
  // What ends by time ends here too when nothing succeeds or fails.
  void Advance(Instant now);

  bool over() const { return phase_ == Phase::kOver; }
  const BenchResult& result() const { return result_; }

 private:
  enum class Phase : std::uint8_t { kIdle, kWarmUp, kMeasuring, kOver };

  void Begin(Instant now);
  void End(Instant now);
  void EndInterval(Instant now);

  // Small parts of a run by time, seconds of one by count.
  const std::chrono::nanoseconds interval_;
  const std::chrono::milliseconds warm_up_;
  const std::chrono::milliseconds duration_;
  const std::uint64_t operations_;  // 0: by time
  const std::vector<int> server_pids_;
  const Progress progress_;

  Phase phase_ = Phase::kIdle;
  Instant phase_ends_;
  Instant began_;
  Instant last_success_;
  Instant interval_ends_;
  Instant progress_at_;
  BenchInterval current_;
  LatencyHistogram current_latency_;
  BenchResult before_;  // what the processes had used when it began
  BenchResult result_;
};

}  // namespace conclave::client
