#include "client/bench/measurement.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace conclave::client {
namespace {

using std::chrono::milliseconds;

BenchOptions ShortRun() {
  BenchOptions options;
  options.warm_up = milliseconds(1'000);
  options.duration = milliseconds(2'000);
  return options;
}

// Operations at chosen moments after the first one's end.
class MeasurementTest : public testing::Test {
 protected:
  explicit MeasurementTest(const BenchOptions& options = ShortRun()) : measurement_(options) {}

  void Succeed(milliseconds at, milliseconds took) {
    measurement_.Succeeded(start_ + at - took, start_ + at);
  }
  const BenchResult& result() const { return measurement_.result(); }

  const Measurement::Instant start_ = std::chrono::steady_clock::now();
  Measurement measurement_;
};

TEST_F(MeasurementTest, CountsWhatEndsBetweenWarmUpAndEnd) {
  Succeed(milliseconds(0), milliseconds(90));
  Succeed(milliseconds(500), milliseconds(90));
  Succeed(milliseconds(1'000), milliseconds(90));  // ends the warm-up
  Succeed(milliseconds(1'200), milliseconds(5));
  Succeed(milliseconds(1'300), milliseconds(7));
  EXPECT_FALSE(measurement_.over());
  Succeed(milliseconds(3'000), milliseconds(6));  // ends the run
  EXPECT_TRUE(measurement_.over());
  Succeed(milliseconds(3'001), milliseconds(500));
  EXPECT_EQ(result().operations, 3u);
  EXPECT_EQ(result().errors, 0u);
  EXPECT_EQ(result().elapsed, milliseconds(2'000));
  EXPECT_EQ(result().latency.max_ns(), 7'000'000);
  EXPECT_FALSE(result().server_cpu.has_value());
}

TEST_F(MeasurementTest, FailuresAreCountedApart) {
  measurement_.Advance(start_);
  measurement_.Advance(start_ + milliseconds(1'000));
  measurement_.Failed("no leader", start_ + milliseconds(1'200));
  measurement_.Failed("another", start_ + milliseconds(1'300));
  Succeed(milliseconds(3'000), milliseconds(2));
  EXPECT_EQ(result().operations, 1u);
  EXPECT_EQ(result().errors, 2u);
  EXPECT_EQ(result().first_error, "no leader");
}

TEST_F(MeasurementTest, TheLongestGapIsBetweenSuccesses) {
  measurement_.Advance(start_);
  measurement_.Advance(start_ + milliseconds(1'000));
  Succeed(milliseconds(1'100), milliseconds(1));
  measurement_.Failed("no leader", start_ + milliseconds(1'300));
  Succeed(milliseconds(1'650), milliseconds(1));
  Succeed(milliseconds(2'000), milliseconds(1));
  measurement_.Advance(start_ + milliseconds(3'000));
  EXPECT_EQ(result().longest_gap, milliseconds(1'000));  // until the end
  EXPECT_TRUE(measurement_.over());
}

TEST_F(MeasurementTest, IntervalsHoldAllOperations) {
  measurement_.Advance(start_);
  measurement_.Advance(start_ + milliseconds(1'000));
  for (int at = 1'001; at <= 3'000; ++at) Succeed(milliseconds(at), milliseconds(at % 10 + 1));
  std::uint64_t operations = 0;
  double end_s = 0;
  for (const BenchInterval& interval : result().intervals) {
    EXPECT_GT(interval.end_s, end_s);
    end_s = interval.end_s;
    operations += interval.operations;
    EXPECT_LE(interval.p50_ns, interval.p99_ns);
    EXPECT_LE(interval.p99_ns, interval.max_ns);
  }
  EXPECT_EQ(operations, 2'000u);
  EXPECT_GE(result().intervals.size(), 190u);
  EXPECT_LE(result().intervals.size(), 201u);
}

TEST_F(MeasurementTest, OperationsThatEndTogetherAreAllCounted) {
  measurement_.Advance(start_);
  measurement_.Advance(start_ + milliseconds(1'000));
  measurement_.Succeeded(start_, start_ + milliseconds(1'001), 40);
  EXPECT_EQ(result().operations, 40u);
  EXPECT_EQ(result().latency.count(), 40);
}

TEST(MeasurementByCountTest, AGivenNumberOfOperationsEndsIt) {
  BenchOptions options = ShortRun();
  options.operations = 3;
  options.warm_up = milliseconds(0);
  Measurement measurement(options);
  const auto start = std::chrono::steady_clock::now();
  measurement.Advance(start);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_FALSE(measurement.over());
    measurement.Succeeded(start, start + milliseconds(10'000) * i);
  }
  EXPECT_TRUE(measurement.over());
  EXPECT_EQ(measurement.result().operations, 3u);
}

TEST(MeasurementUsageTest, ReportsWhatTheServersUsed) {
  BenchOptions options = ShortRun();
  options.server_pids = {static_cast<int>(getpid())};
  Measurement measurement(options);
  const auto start = std::chrono::steady_clock::now();
  measurement.Advance(start);
  measurement.Advance(start + milliseconds(1'000));
  measurement.Succeeded(start, start + milliseconds(3'000));
  ASSERT_TRUE(measurement.result().server_cpu.has_value());
  EXPECT_GE(measurement.result().server_cpu->count(), 0);
  EXPECT_TRUE(measurement.result().device_bytes.has_value());
}

TEST(MeasurementProgressTest, IsToldOnceASecond) {
  int told = 0;
  Measurement measurement(ShortRun(), [&told](const BenchResult&) { ++told; });
  const auto start = std::chrono::steady_clock::now();
  measurement.Advance(start);
  for (int at = 0; at <= 3'000; at += 10) {
    measurement.Succeeded(start, start + milliseconds(at));
  }
  EXPECT_EQ(told, 2);  // the run is two seconds long
}

}  // namespace
}  // namespace conclave::client
