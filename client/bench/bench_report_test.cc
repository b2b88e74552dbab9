#include "client/bench/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace conclave::client {
namespace {

using testing::HasSubstr;

BenchResult Result() {
  BenchResult result;
  result.elapsed = std::chrono::seconds(2);
  result.operations = 100;
  result.errors = 3;
  result.first_error = "no leader";
  for (int i = 1; i <= 100; ++i) result.latency.Record(i * 100);
  result.longest_gap = std::chrono::microseconds(12'500);
  result.server_cpu = std::chrono::microseconds(1'550);
  result.device_bytes = 50'000;
  result.client_cpu = std::chrono::microseconds(150);
  return result;
}

TEST(BenchReportTest, JsonHoldsEveryFigure) {
  const auto json = nlohmann::json::parse(ToJson(BenchOptions(), Result()));
  EXPECT_EQ(json["op"], "put");
  EXPECT_EQ(json["operations"], 100);
  EXPECT_EQ(json["errors"], 3);
  EXPECT_EQ(json["first_error"], "no leader");
  EXPECT_DOUBLE_EQ(json["ops_per_s"], 50);
  EXPECT_NEAR(json["latency_us"]["p50"], 5, 0.05);
  EXPECT_DOUBLE_EQ(json["latency_us"]["max"], 10);
  EXPECT_DOUBLE_EQ(json["longest_gap_ms"], 12.5);
  EXPECT_DOUBLE_EQ(json["server_cpu_us_per_op"], 15.5);
  EXPECT_DOUBLE_EQ(json["device_bytes_per_op"], 500);
  EXPECT_DOUBLE_EQ(json["client_cpu_us_per_op"], 1.5);
}

TEST(BenchReportTest, UnaskedServerTimeIsNull) {
  BenchResult result = Result();
  result.server_cpu.reset();
  EXPECT_TRUE(
      nlohmann::json::parse(ToJson(BenchOptions(), result))["server_cpu_us_per_op"].is_null());
  EXPECT_THAT(ToTable(BenchOptions(), result), Not(HasSubstr("server CPU")));
}

TEST(BenchReportTest, TableNamesTheFirstErrorAndTheCost) {
  const std::string table = ToTable(BenchOptions(), Result());
  EXPECT_THAT(table, HasSubstr("first: no leader"));
  EXPECT_THAT(table, HasSubstr("15.5 us per operation"));
  EXPECT_THAT(table, HasSubstr("64 outstanding"));
}

TEST(BenchReportTest, TheTableSaysWhatAnOperationIs) {
  BenchOptions options;
  options.operation = BenchOperation::kWatch;
  EXPECT_THAT(ToTable(options, Result()), HasSubstr("events of one key to 1000 watchers"));
  options.operation = BenchOperation::kKeepAlive;
  EXPECT_THAT(ToTable(options, Result()), HasSubstr("keepalive of 10000 leases"));
}

TEST(BenchReportTest, TheProgressLineHasTheLastIntervalsLatencies) {
  BenchResult result = Result();
  result.intervals.push_back({2.0, 10, 1'000'000, 2'000'000, 3'000'000});
  EXPECT_THAT(ToProgressLine(result), HasSubstr("p50 1000 us  p99 2000 us  3 errors"));
}

TEST(BenchReportTest, NothingMeasured) {
  const auto json = nlohmann::json::parse(ToJson(BenchOptions(), BenchResult()));
  EXPECT_EQ(json["ops_per_s"], 0);
  EXPECT_TRUE(json["server_cpu_us_per_op"].is_null());
}

}  // namespace
}  // namespace conclave::client
