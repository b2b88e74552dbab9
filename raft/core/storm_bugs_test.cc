// The storm can fail: each seeded bug of raft/core (raft/base/seeded_bug.h) makes it, within so
// many seeds. Bugs of what the storm does not have (clients, leases, real disks) are the
// simulator's, and two that need one rare interleaving are driven by hand.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/storm.h"

namespace conclave::raft {
namespace {

struct ProcessEnded {
  std::string what;
};

[[noreturn]] void ThrowProcessEnded(bool, std::string_view what) {
  throw ProcessEnded{std::string(what)};  // tidy: allow(exceptions) as SetSimulatedEnd asks
}

// What is wrong with the seed's run; nothing if it is as it should be.
std::optional<std::string> Problem(uint64_t seed) {
  try {
    Storm storm(seed);
    storm.Run(kStormEvents);
    if (storm.cluster().problems().empty() && !storm.Recovers()) return "does not recover";
    if (storm.cluster().problems().empty()) return std::nullopt;
    return storm.cluster().problems().front();
  } catch (const ProcessEnded& end) {  // tidy: allow(exceptions) as SetSimulatedEnd asks
    return end.what;
  }
}

class StormBugsTest : public testing::TestWithParam<SeededBug> {
 protected:
  void SetUp() override {
    SetSimulatedEnd(&ThrowProcessEnded);
    SetSeededBug(GetParam());
  }
  void TearDown() override {
    SetSeededBug(SeededBug::kNone);
    SetSimulatedEnd(nullptr);
  }
};

TEST_P(StormBugsTest, IsFound) {
  constexpr uint64_t kSeedsMax = 3000;
  for (uint64_t seed = 0; seed < kSeedsMax; ++seed) {
    const std::optional<std::string> problem = Problem(seed);
    if (!problem.has_value()) continue;
    RecordProperty("seeds", std::to_string(seed + 1));
    fmt::print("found by seed {}: {}\n", seed, *problem);
    return;
  }
  FAIL() << "not found by " << kSeedsMax << " seeds";
}

using enum SeededBug;
INSTANTIATE_TEST_SUITE_P(
    Bugs, StormBugsTest,
    testing::Values(kVoteBeforeSync, kCampaignBeforeSync, kVoteClearedOnStepDown, kVoteForStaleLog,
                    kTransferToLaggard, kMatchingSuffixTruncated, kConflictKept, kCommitNotClamped,
                    kHeartbeatCommitNotClamped, kAckBeforeSync, kAckedBeyondRequest,
                    kDurableKeptOnTruncation, kDurableBehindRewrite, kLeaderCountsUnsynced,
                    kMatchOnSend, kLearnerCounted, kLostAppendNotResent, kApplyBeforeDurable,
                    kCompactionTermLost, kReadWithoutRound, kReadJoinsRoundUnderWay,
                    kReadBeforeOwnTermCommit, kStaleEchoCounted, kSecondChangeEarly,
                    kManyVotersAtOnce, kJointLeftEarly, kMatchingLogDropped, kLostEntriesForgotten),
    [](const testing::TestParamInfo<SeededBug>& param) {
      return fmt::format("Bug{}", static_cast<int>(param.param));
    });

}  // namespace
}  // namespace conclave::raft
