// The checkers of etcd's semantics accept what a correct store may do, and say so only when enough
// of it was done.
#include "jepsen-style-tests/checker/generated_history.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace conclave::checker {
namespace {

std::vector<Report> CheckAll(const GeneratedHistory& history) {
  return {history.log.Check(),
          CheckRevisions(history.operations, history.log, history.oracle_options),
          CheckWatches(history.watchers, history.log, history.watch_options),
          CheckLeases(history.leases, history.log),
          CheckLocks(history.locks, history.log),
          CheckDurability(history.operations, history.log, history.final_states),
          CheckStateHashes(history.hashes)};
}

TEST(GeneratedHistory, CorrectHistoriesPass) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    for (const Report& report : CheckAll(GenerateHistory(seed))) {
      ASSERT_EQ(report.verdict, Verdict::kPass)
          << "seed " << seed << ", " << ToString(report) << "\n"
          << report.explanation;
      EXPECT_GT(report.checked, 0u) << ToString(report);
    }
  }
}

TEST(GeneratedHistory, TooLittleIsInvalid) {
  for (const Report& report : CheckAll(GeneratedHistory())) {
    EXPECT_EQ(report.verdict, Verdict::kInvalid) << ToString(report);
    EXPECT_NE(report.explanation, "") << ToString(report);
  }
}

// Recorders that see only events know neither lease ends nor compactions.
TEST(GeneratedHistory, LeaseEndsAreFoundInTheLog) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    GeneratedHistory history = GenerateHistory(seed);
    const std::set<int64_t> lease_deletes = *history.oracle_options.lease_deletes;
    history.oracle_options.lease_deletes.reset();
    history.watch_options.compact_revisions.reset();
    std::set<int64_t> others;
    for (int64_t revision = 2; revision <= history.log.last_revision(); ++revision) {
      if (!lease_deletes.contains(revision)) others.insert(revision);
    }
    history.leases.ends = LeaseEndsOf(history.log, others);
    history.leases.keyless_ends_known = false;
    EXPECT_EQ(history.leases.ends.size(), lease_deletes.size());
    for (const Report& report : CheckAll(history)) {
      ASSERT_EQ(report.verdict, Verdict::kPass)
          << "seed " << seed << ", " << ToString(report) << "\n"
          << report.explanation;
    }
  }
}

}  // namespace
}  // namespace conclave::checker
