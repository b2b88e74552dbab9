#include "client/load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "raft/base/check.h"

namespace conclave::client {
namespace {

// Values below 2^kLinearBits have a bucket each; above, each power of two is cut into 2^kLinearBits
// / 2 equal buckets.
constexpr int kLinearBits = 8;
constexpr int kHalf = 1 << (kLinearBits - 1);
constexpr int kBuckets = (64 - kLinearBits + 2) * kHalf;

int BucketOf(std::uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kLinearBits);
  return shift * kHalf + static_cast<int>(value >> shift);
}

// The largest value that falls into the bucket.
std::uint64_t UpperBoundOf(int bucket) {
  const int shift = std::max(0, bucket / kHalf - 1);
  const std::uint64_t scaled = static_cast<std::uint64_t>(bucket - shift * kHalf);
  return ((scaled + 1) << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets) {}

void LatencyHistogram::Record(std::int64_t nanoseconds, std::uint64_t count) {
  const std::int64_t value = std::max<std::int64_t>(0, nanoseconds);
  buckets_[BucketOf(static_cast<std::uint64_t>(value))] += static_cast<std::int64_t>(count);
  count_ += static_cast<std::int64_t>(count);
  max_ns_ = std::max(max_ns_, value);
}

std::int64_t LatencyHistogram::PercentileNs(double percent) const {
  CHECK(percent > 0 && percent <= 100);
  const auto wanted = std::max<std::int64_t>(
      1, std::llround(std::ceil(static_cast<double>(count_) * percent / 100)));
  std::int64_t seen = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted) {
      return std::min(static_cast<std::int64_t>(UpperBoundOf(bucket)), max_ns_);
    }
  }
  return 0;
}

}  // namespace conclave::client
