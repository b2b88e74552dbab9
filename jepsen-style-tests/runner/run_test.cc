#include "jepsen-style-tests/runner/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "raft/base/check.h"
#include "raft/base/with_seeded_bug.h"

namespace conclave::sim {
namespace {

using ::testing::_;
using ::testing::Contains;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr uint64_t kSeed = 2;

TEST(RunTest, ASoundClusterPassesAndTellsWhatHappened) {
  const RunResult result = RunSeed(kSeed, {});
  EXPECT_EQ(result.seed, kSeed);
  EXPECT_EQ(result.verdict, checker::Verdict::kPass) << result.explanation;
  EXPECT_EQ(result.failed_by, "");
  EXPECT_EQ(result.explanation, "");
  EXPECT_THAT(result.reports, Not(IsEmpty()));
  for (const checker::Report& report : result.reports) EXPECT_TRUE(report.passed());
  EXPECT_THAT(result.options, HasSubstr("voters"));
  EXPECT_THAT(result.options, HasSubstr("workload  "));
  EXPECT_THAT(result.last_lines, Not(IsEmpty()));
  EXPECT_GT(result.simulated_s, 10.0);
  EXPECT_GT(result.events, 1000u);
  EXPECT_GT(result.operations, 10u);
  EXPECT_THAT(result.probes, Contains(Pair(_, 0u))) << "those not reached are told too";
  EXPECT_THAT(result.probes, Contains(Pair(_, Gt(0u))));
}

TEST(RunTest, TheSameSeedGivesTheSameTrace) {
  constexpr uint64_t kSeeds = 6;
  std::vector<RunResult> first;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) first.push_back(RunSeed(seed, {}));
  // In another order, so that each follows on other runs than before.
  for (uint64_t seed = kSeeds; seed >= 1; --seed) {
    SCOPED_TRACE(seed);
    const RunResult again = RunSeed(seed, {});
    const RunResult& before = first[seed - 1];
    EXPECT_EQ(again.trace_hash, before.trace_hash);
    EXPECT_EQ(again.events, before.events);
    EXPECT_EQ(again.operations, before.operations);
    EXPECT_EQ(again.simulated_s, before.simulated_s);
    EXPECT_EQ(again.last_lines, before.last_lines);
    EXPECT_EQ(again.faults, before.faults);
    EXPECT_EQ(again.probes, before.probes);
  }
}

TEST(RunTest, AnotherSeedGivesAnotherTrace) {
  EXPECT_NE(RunSeed(kSeed, {}).trace_hash, RunSeed(kSeed + 1, {}).trace_hash);
}

TEST(RunTest, PrintingChangesNothing) {
  std::vector<std::string> printed;
  const auto print = [&](std::string_view line) { printed.emplace_back(line); };
  const RunResult loud = RunSeed(kSeed, {.print = print});
  EXPECT_EQ(loud.trace_hash, RunSeed(kSeed, {}).trace_hash);
  ASSERT_THAT(printed, Not(IsEmpty()));
  EXPECT_EQ(printed.front(), loud.options);
  EXPECT_THAT(printed, Contains(HasSubstr("m1 starts")));
  EXPECT_EQ(printed.back(), loud.last_lines.back());
}

TEST(RunTest, AfterARunTheProcessEndsItselfAsUsual) {
  RunSeed(kSeed, {});
  EXPECT_EXIT(Fatal("of the process itself"), ::testing::ExitedWithCode(1),
              "of the process itself");
}

TEST(RunTest, ASeededBugFailsByTheNameOfItsRuleEachTimeAlike) {
  constexpr uint64_t kSeedsMax = 20;
  const uint64_t sound_hash = RunSeed(kSeed, {}).trace_hash;
  {
    const WithSeededBug bug(SeededBug::kAckBeforeSync);
    uint64_t seed = 1;
    RunResult result = RunSeed(seed, {});
    while (result.verdict == checker::Verdict::kPass && seed < kSeedsMax) {
      result = RunSeed(++seed, {});
    }
    EXPECT_EQ(result.verdict, checker::Verdict::kFail);
    EXPECT_THAT(result.failed_by, StartsWith("raft: left before durable"));
    EXPECT_THAT(result.explanation, HasSubstr(result.failed_by));
    const RunResult again = RunSeed(seed, {});
    EXPECT_EQ(again.failed_by, result.failed_by);
    EXPECT_EQ(again.trace_hash, result.trace_hash);
  }
  EXPECT_EQ(RunSeed(kSeed, {}).trace_hash, sound_hash) << "nothing of the bug is left";
}

}  // namespace
}  // namespace conclave::sim
