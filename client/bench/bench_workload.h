// The calls of conclave-bench and the account of what came of them. RunUnaryLoad calls them, on its
// one thread; what a call cost counts only if it ended after the warm-up and before the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/bench/bench_options.h"
#include "client/load/latency_histogram.h"
#include "client/load/put_request.h"
#include "client/load/unary_load.h"

namespace conclave::client {

// What was measured between the end of the warm-up and the end of the run.
struct BenchResult {
  std::uint64_t operations = 0;  // that succeeded
  std::uint64_t errors = 0;
  std::string first_error;  // of the first that failed, warm-up included
  std::chrono::nanoseconds elapsed{0};
  LatencyHistogram latency;  // of those that succeeded
  std::optional<std::chrono::microseconds>
      server_cpu;  // of all server_pids together; absent if one could not be read
};

// Puts every key of a bench once, so that its reads find something.
class FillWorkload : public LoadWorkload {
 public:
  explicit FillWorkload(const BenchOptions& options);
  bool Next(std::size_t slot, LoadCall* call) override;
  // A put that failed is made again.
  void Done(std::size_t slot, const LoadOutcome& outcome) override;

 private:
  const std::size_t connections_;
  const std::uint64_t key_space_;
  PutRequestTemplate puts_;
  std::vector<std::uint64_t> key_of_slot_;
  std::vector<std::uint64_t> again_;
  std::uint64_t next_ = 0;
};

class BenchWorkload : public LoadWorkload {
 public:
  explicit BenchWorkload(const BenchOptions& options);
  bool Next(std::size_t slot, LoadCall* call) override;
  void Done(std::size_t slot, const LoadOutcome& outcome) override;

  // Once the load has run.
  const BenchResult& result() const { return result_; }

 private:
  using Instant = std::chrono::steady_clock::time_point;

  std::uint64_t NextRandom();
  grpc::ByteBuffer RangeOf(std::uint64_t number);
  // Moves from warm-up to measuring and from measuring to the end, when it is time.
  void Advance(Instant now);

  enum class Phase { kWarmUp, kMeasuring, kOver };

  const BenchOptions options_;
  PutRequestTemplate puts_;
  std::uint64_t random_;
  Phase phase_ = Phase::kWarmUp;
  Instant phase_ends_;
  Instant measuring_began_;
  std::optional<std::chrono::microseconds> server_cpu_before_;
  BenchResult result_;
};

}  // namespace conclave::client
