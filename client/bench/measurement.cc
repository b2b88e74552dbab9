#include "client/bench/measurement.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/load/process_usage.h"

namespace conclave::client {
namespace {

constexpr int kIntervals = 200;
constexpr std::size_t kIntervalsMax = 10'000;
constexpr std::chrono::seconds kProgressEvery{1};

template <typename T>
std::optional<T> IfOk(const absl::StatusOr<T>& value) {
  return value.ok() ? std::optional<T>(*value) : std::nullopt;
}

void ReadUsage(const std::vector<int>& server_pids, BenchResult* result) {
  result->client_cpu =
      CpuTimeOf({static_cast<int>(getpid())}).value_or(std::chrono::microseconds(0));
  if (server_pids.empty()) return;
  result->server_cpu = IfOk(CpuTimeOf(server_pids));
  result->device_bytes = IfOk(DeviceBytesOf(server_pids));
}

template <typename T>
std::optional<T> Difference(const std::optional<T>& after, const std::optional<T>& before) {
  if (!after || !before) return std::nullopt;
  return *after - *before;
}

}  // namespace

Measurement::Measurement(const BenchOptions& options, Progress progress)
    : interval_(options.operations == 0
                    ? std::max<std::chrono::nanoseconds>(options.duration / kIntervals,
                                                         std::chrono::milliseconds(10))
                    : std::chrono::seconds(1)),
      warm_up_(options.warm_up),
      duration_(options.duration),
      operations_(options.operations),
      server_pids_(options.server_pids),
      progress_(std::move(progress)) {}

void Measurement::Succeeded(Instant began, Instant ended, std::uint64_t count) {
  if (phase_ == Phase::kMeasuring) {
    result_.operations += count;
    current_.operations += count;
    const std::int64_t took = (ended - began).count();
    result_.latency.Record(took, count);
    current_latency_.Record(took, count);
    result_.longest_gap =
        std::max<std::chrono::nanoseconds>(result_.longest_gap, ended - last_success_);
    last_success_ = ended;
  }
  Advance(ended);
}

void Measurement::Failed(std::string_view error, Instant ended) {
  if (result_.first_error.empty()) result_.first_error = error;
  if (phase_ == Phase::kMeasuring) ++result_.errors;
  Advance(ended);
}

void Measurement::Advance(Instant now) {
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kWarmUp;
    phase_ends_ = now + warm_up_;
  }
  if (phase_ == Phase::kWarmUp && now >= phase_ends_) return Begin(now);
  if (phase_ != Phase::kMeasuring) return;
  if (now >= interval_ends_) EndInterval(now);
  const std::uint64_t ended = result_.operations + result_.errors;
  if (operations_ != 0 ? ended >= operations_ : now >= phase_ends_) End(now);
}

void Measurement::Begin(Instant now) {
  phase_ = Phase::kMeasuring;
  began_ = now;
  last_success_ = now;
  phase_ends_ = now + duration_;
  interval_ends_ = now + interval_;
  progress_at_ = now + kProgressEvery;
  ReadUsage(server_pids_, &before_);
}

void Measurement::EndInterval(Instant now) {
  current_.end_s = std::chrono::duration<double>(now - began_).count();
  if (current_.operations != 0) {
    current_.p50_ns = current_latency_.PercentileNs(50);
    current_.p99_ns = current_latency_.PercentileNs(99);
    current_.max_ns = current_latency_.max_ns();
  }
  if (result_.intervals.size() < kIntervalsMax) result_.intervals.push_back(current_);
  current_ = BenchInterval();
  current_latency_ = LatencyHistogram();
  interval_ends_ = std::max(interval_ends_ + interval_, now);
  if (progress_ && now >= progress_at_) {
    progress_at_ = now + kProgressEvery;
    result_.elapsed = now - began_;
    progress_(result_);
  }
}

void Measurement::End(Instant now) {
  if (current_.operations != 0) EndInterval(now);
  phase_ = Phase::kOver;
  result_.elapsed = now - began_;
  result_.longest_gap =
      std::max<std::chrono::nanoseconds>(result_.longest_gap, now - last_success_);
  BenchResult after;
  ReadUsage(server_pids_, &after);
  result_.client_cpu = after.client_cpu - before_.client_cpu;
  result_.server_cpu = Difference(after.server_cpu, before_.server_cpu);
  result_.device_bytes = Difference(after.device_bytes, before_.device_bytes);
}

}  // namespace conclave::client
