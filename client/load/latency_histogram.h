// Counts latencies in buckets that grow with the value, so that any percentile can be read within 1
// % in constant memory. Used by one thread: the load generator's own.
#pragma once

#include <cstdint>
#include <vector>

namespace conclave::client {

class LatencyHistogram {
 public:
  LatencyHistogram();

  // `count` calls that took as long. `nanoseconds` below 0 count as 0.
  void Record(std::int64_t nanoseconds, std::uint64_t count = 1);

  std::int64_t count() const { return count_; }
  std::int64_t max_ns() const { return max_ns_; }
  // The smallest latency that `percent` of the calls did not exceed, in nanoseconds: exact below
  // 256 ns, else at most 1 % too high, and never above max_ns(). 0 when nothing was recorded.
  // `percent` in (0, 100].
  std::int64_t PercentileNs(double percent) const;

 private:
  std::vector<std::int64_t> buckets_;
  std::int64_t count_ = 0;
  std::int64_t max_ns_ = 0;
};

}  // namespace conclave::client
