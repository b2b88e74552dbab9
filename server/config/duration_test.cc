#include "server/config/duration.h"

#include <gtest/gtest.h>

#include <limits>

namespace conclave::server {
namespace {

TEST(DurationTest, GoSyntaxIsRead) {
  struct Case {
    const char* text;
    int64_t nanoseconds;
  };
  const Case cases[] = {{"0", 0},
                        {"0s", 0},
                        {"100ms", 100'000'000},
                        {"5s", 5'000'000'000},
                        {"1h30m", 5'400'000'000'000},
                        {"1m1ms", 60'001'000'000},
                        {"1.5s", 1'500'000'000},
                        {".5us", 500},
                        {"2.s", 2'000'000'000},
                        {"3\u00b5s", 3'000},
                        {"-7ns", -7},
                        {"+7ns", 7},
                        {"0.1234567890123456789s", 123'456'789},
                        {"9223372036854775807ns", std::numeric_limits<int64_t>::max()}};
  for (const Case& c : cases) {
    const absl::StatusOr<Duration> duration = ParseDuration(c.text);
    ASSERT_TRUE(duration.ok()) << c.text;
    EXPECT_EQ(duration->count(), c.nanoseconds) << c.text;
  }
}

TEST(DurationTest, OtherTextsAreRefused) {
  for (const char* text : {"", "5", "s", ".s", "-", "5 s", "5S", "1d", "5s3", "1e3s", "--5s",
                           "9223372036854775808ns", "3000000h", "99999999999999999999s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(DurationTest, PrintedOnesAreReadBack) {
  struct Case {
    int64_t nanoseconds;
    const char* text;
  };
  const Case cases[] = {{0, "0s"},
                        {7'200'000'000'000, "2h"},
                        {90'000'000'000, "1m30s"},
                        {1'500'000'000, "1s500ms"},
                        {-60'000'000'001, "-1m1ns"}};
  for (const Case& c : cases) {
    EXPECT_EQ(FormatDuration(Duration(c.nanoseconds)), c.text);
    EXPECT_EQ(ParseDuration(c.text)->count(), c.nanoseconds);
  }
}

}  // namespace
}  // namespace conclave::server
