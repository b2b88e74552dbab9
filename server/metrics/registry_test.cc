#include "server/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace conclave::server {
namespace {

TEST(RegistryTest, CountersAndGaugesAreLinesUnderTheirFamily) {
  MetricRegistry registry;
  Gauge* gauge = registry.AddGauge("b_ratio", "What b is.");
  Counter* put = registry.AddCounter("a_total", "Calls.", {{"method", "Put"}, {"kind", "unary"}});
  registry.AddCounter("a_total", "Calls.", {{"method", "Range"}, {"kind", "unary"}});
  put->Add();
  put->Add(41);
  gauge->Set(0.5);
  gauge->Add(-2);
  EXPECT_EQ(registry.Render(),
            "# HELP a_total Calls.\n"
            "# TYPE a_total counter\n"
            "a_total{kind=\"unary\",method=\"Put\"} 42\n"
            "a_total{kind=\"unary\",method=\"Range\"} 0\n"
            "# HELP b_ratio What b is.\n"
            "# TYPE b_ratio gauge\n"
            "b_ratio -1.5\n");
}

TEST(RegistryTest, HistogramsAreCumulative) {
  MetricRegistry registry;
  Histogram* histogram =
      registry.AddHistogram("h_seconds", "H.", ExponentialBounds(0.5, 2, 3), {{"To", "a"}});
  for (double value : {0.1, 0.5, 0.6, 2.0, 9.0}) histogram->Observe(value);
  EXPECT_EQ(registry.Render(),
            "# HELP h_seconds H.\n"
            "# TYPE h_seconds histogram\n"
            "h_seconds_bucket{To=\"a\",le=\"0.5\"} 2\n"
            "h_seconds_bucket{To=\"a\",le=\"1\"} 3\n"
            "h_seconds_bucket{To=\"a\",le=\"2\"} 4\n"
            "h_seconds_bucket{To=\"a\",le=\"+Inf\"} 5\n"
            "h_seconds_sum{To=\"a\"} 12.2\n"
            "h_seconds_count{To=\"a\"} 5\n");
}

TEST(RegistryTest, HistogramsWithoutLabelsHaveOnlyTheBound) {
  MetricRegistry registry;
  registry.AddHistogram("h", "H.", {1});
  EXPECT_THAT(
      registry.Render(),
      ::testing::HasSubstr("h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"));
}

TEST(RegistryTest, TextsAreEscaped) {
  MetricRegistry registry;
  registry.AddGauge("g", "a \"b\" \\ c\nd", {{"path", "a \"b\" \\ c\nd"}});
  EXPECT_EQ(registry.Render(),
            "# HELP g a \"b\" \\\\ c\\nd\n"
            "# TYPE g gauge\n"
            "g{path=\"a \\\"b\\\" \\\\ c\\nd\"} 0\n");
}

TEST(RegistryTest, NumbersAreWrittenAsPrometheusReadsThem) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},
      {1'572'864, "1572864"},
      {9'007'199'254'740'992, "9007199254740992"},
      {0.1, "0.1"},
      {-3, "-3"},
      {std::numeric_limits<double>::infinity(), "+Inf"},
      {-std::numeric_limits<double>::infinity(), "-Inf"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"}};
  for (const auto& [number, text] : cases) {
    MetricRegistry registry;
    registry.AddGauge("g", "G.")->Set(number);
    EXPECT_THAT(registry.Render(), ::testing::EndsWith(std::string("\ng ") + text + "\n"));
  }
}

TEST(RegistryTest, RefreshesRunBeforeEveryRender) {
  MetricRegistry registry;
  Counter* counter = registry.AddCounter("c_total", "C.");
  uint64_t elsewhere = 0;
  registry.BeforeRender([&] { counter->SetTotal(static_cast<double>(elsewhere)); });
  elsewhere = 7;
  EXPECT_THAT(registry.Render(), ::testing::HasSubstr("c_total 7\n"));
  elsewhere = 9;
  EXPECT_THAT(registry.Render(), ::testing::HasSubstr("c_total 9\n"));
}

TEST(RegistryDeathTest, MistakesInTheProgramAreSeenAtOnce) {
  MetricRegistry registry;
  registry.AddCounter("c_total", "C.", {{"a", "1"}});
  EXPECT_DEATH(registry.AddCounter("c_total", "C.", {{"a", "1"}}), "c_total");
  EXPECT_DEATH(registry.AddGauge("c_total", "C."), "c_total");
  EXPECT_DEATH(registry.AddGauge("1c", "C."), "1c");
  EXPECT_DEATH(registry.AddGauge("c", "C.", {{"a:b", "1"}}), "a:b");
}

}  // namespace
}  // namespace conclave::server
