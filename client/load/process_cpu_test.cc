#include "client/load/process_cpu.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

namespace conclave::client {
namespace {

TEST(ProcessCpuTest, SumsUserAndSystemTicks) {
  constexpr const char* kStat =
      "42 (a name) S 1 42 42 0 -1 4194560 7 8 9 10 150 25 3 4 20 0 5 0 99";
  const auto used = ParseCpuTime(kStat, 100);
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(*used, std::chrono::milliseconds(1750));
}

TEST(ProcessCpuTest, ProgramNameMayHoldParenthesesAndSpaces) {
  constexpr const char* kStat = "42 (x) 7 (y)) S 1 42 42 0 -1 4194560 7 8 9 10 1 2 3 4 20 0 5 0 99";
  const auto used = ParseCpuTime(kStat, 100);
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(*used, std::chrono::milliseconds(30));
}

TEST(ProcessCpuTest, RefusesWhatIsNoStat) {
  EXPECT_EQ(ParseCpuTime("", 100).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseCpuTime("42 (a) S 1", 100).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ProcessCpuTest, OwnTimeGrowsWithWork) {
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

TEST(ProcessCpuTest, AnAbsentProcessIsNotFound) {
  EXPECT_EQ(CpuTimeOf({1 << 30}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace conclave::client
