#include "client/bench/bench_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace conclave::client {
namespace {

using testing::HasSubstr;

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

BenchResult TwoIntervals() {
  BenchResult result;
  result.elapsed = std::chrono::seconds(2);
  result.operations = 200;
  for (int i = 1; i <= 200; ++i) result.latency.Record(i * 10'000);
  result.intervals = {{1.0, 50, 500'000, 900'000, 1'000'000},
                      {2.0, 150, 400'000, 800'000, 2'000'000}};
  return result;
}

TEST(BenchPageTest, HasThreePlotsAndTheTable) {
  const std::string page = ToPage(BenchOptions(), TwoIntervals());
  EXPECT_EQ(Count(page, "<svg"), 3u);
  EXPECT_EQ(Count(page, "</svg>"), 3u);
  EXPECT_EQ(Count(page, "<polyline"), 5u);
  EXPECT_THAT(page, HasSubstr("per second"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf")));
}

TEST(BenchPageTest, NothingMeasuredIsStillAPage) {
  const std::string page = ToPage(BenchOptions(), BenchResult());
  EXPECT_EQ(Count(page, "</svg>"), 3u);
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf")));
}

TEST(BenchPageTest, AnErrorTextCannotBreakThePage) {
  BenchResult result = TwoIntervals();
  result.first_error = "<b>&";
  EXPECT_THAT(ToPage(BenchOptions(), result), HasSubstr("&lt;b>&amp;"));
}

}  // namespace
}  // namespace conclave::client
