#include "client/load/process_usage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

namespace conclave::client {
namespace {

TEST(ProcessUsageTest, SumsUserAndSystemTicks) {
  constexpr const char* kStat =
      "42 (a name) S 1 42 42 0 -1 4194560 7 8 9 10 150 25 3 4 20 0 5 0 99";
  const auto used = ParseCpuTime(kStat, 100);
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(*used, std::chrono::milliseconds(1750));
}

TEST(ProcessUsageTest, ProgramNameMayHoldParenthesesAndSpaces) {
  constexpr const char* kStat = "42 (x) 7 (y)) S 1 42 42 0 -1 4194560 7 8 9 10 1 2 3 4 20 0 5 0 99";
  const auto used = ParseCpuTime(kStat, 100);
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(*used, std::chrono::milliseconds(30));
}

TEST(ProcessUsageTest, RefusesWhatIsNoStat) {
  EXPECT_EQ(ParseCpuTime("", 100).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseCpuTime("42 (a) S 1", 100).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ProcessUsageTest, OwnTimeGrowsWithWork) {
  const std::vector<int> self{static_cast<int>(getpid())};
  const auto before = CpuTimeOf(self);
  ASSERT_TRUE(before.ok());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  auto after = before;
  while (after.ok() && *after <= *before && std::chrono::steady_clock::now() < deadline) {
    after = CpuTimeOf(self);
  }
  ASSERT_TRUE(after.ok());
  EXPECT_GT(*after, *before);
}

TEST(ProcessUsageTest, AnAbsentProcessIsNotFound) {
  EXPECT_EQ(CpuTimeOf({1 << 30}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ProcessUsageTest, DeviceBytesAreThoseWritten) {
  constexpr const char* kIo =
      "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 4096\n"
      "cancelled_write_bytes: 7\n";
  const auto bytes = ParseDeviceBytes(kIo);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, 4096u);
  EXPECT_EQ(ParseDeviceBytes("rchar: 1\n").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseDeviceBytes("a: 1\nwrite_bytes: x\n").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DeviceBytesOf({1 << 30}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace conclave::client
