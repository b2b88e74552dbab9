#include "client/load/latency_histogram.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace conclave::client {
namespace {

TEST(LatencyHistogramTest, EmptyHasNoLatency) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.PercentileNs(50), 0);
  EXPECT_EQ(histogram.max_ns(), 0);
}

TEST(LatencyHistogramTest, SmallValuesAreExact) {
  LatencyHistogram histogram;
  for (int value = 1; value <= 100; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.PercentileNs(1), 1);
  EXPECT_EQ(histogram.PercentileNs(50), 50);
  EXPECT_EQ(histogram.PercentileNs(99), 99);
  EXPECT_EQ(histogram.PercentileNs(99.9), 100);
  EXPECT_EQ(histogram.PercentileNs(100), 100);
}

TEST(LatencyHistogramTest, PercentileIsWithinOnePercentAbove) {
  for (std::int64_t value = 100; value < std::int64_t{1} << 50; value = value * 5 / 3) {
    LatencyHistogram histogram;
    histogram.Record(value);
    histogram.Record(value * 4);
    EXPECT_GE(histogram.PercentileNs(50), value);
    EXPECT_LE(static_cast<double>(histogram.PercentileNs(50)), static_cast<double>(value) * 1.01)
        << value;
  }
}

TEST(LatencyHistogramTest, PercentileNeverExceedsTheLargest) {
  LatencyHistogram histogram;
  histogram.Record(1'000'001);
  EXPECT_EQ(histogram.PercentileNs(100), 1'000'001);
  EXPECT_EQ(histogram.PercentileNs(50), 1'000'001);
}

TEST(LatencyHistogramTest, TakesTheExtremes) {
  LatencyHistogram histogram;
  histogram.Record(-5);
  histogram.Record(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(histogram.PercentileNs(50), 0);
  EXPECT_EQ(histogram.PercentileNs(100), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(histogram.count(), 2);
}

}  // namespace
}  // namespace conclave::client
