// The seeded bugs of resets and of damage, each found by the tests of this folder: a log that was
// not damaged reads as it was written, and no damage makes it say something wrong.
#include <gtest/gtest.h>

#include "raft/base/seeded_bug.h"
#include "raft/wal/wal_stored_log.h"

namespace conclave::raft {
namespace {

void FillConflict(StoredLog& log) {
  for (int i = 0; i < 9; ++i) log.WriteNext(1);
  log.Write(ResetTo(5, 3));
  log.WriteUnheard(TaskOf(HardState{Term(3), NodeId(1)}));
}

void FillUnfinishedReset(StoredLog& log) {
  for (int i = 0; i < 9; ++i) log.WriteNext(1);
  log.WriteAndLose(ResetTo(20, 3));
}

struct Case {
  SeededBug bug;
  void (*fill)(StoredLog&);
};

class WalSeededBugTest : public ::testing::TestWithParam<Case> {
 protected:
  ~WalSeededBugTest() override { SetSeededBug(SeededBug::kNone); }

  // Readings that are not as they should be.
  static int Mistakes(void (*fill)(StoredLog&)) {
    StoredLog log;
    fill(log);
    int mistakes = log.Judge(*log.Image()) != Verdict::kExact;
    for (const uint64_t segment : log.segments()) {
      const size_t size = log.Image()->Contents(log.path(segment)).size();
      for (uint64_t offset = 0; offset < size; ++offset) {
        if (!log.LeavesTrace(segment, offset + 1)) continue;
        const std::unique_ptr<MemoryFileSystem> image = log.Image();
        image->FlipBits(log.path(segment), offset, 1);
        mistakes += log.Judge(*image) == Verdict::kWrong;
      }
    }
    return mistakes;
  }
};

TEST_P(WalSeededBugTest, IsFound) {
  EXPECT_EQ(Mistakes(GetParam().fill), 0);
  SetSeededBug(GetParam().bug);
  EXPECT_GT(Mistakes(GetParam().fill), 0);
}

INSTANTIATE_TEST_SUITE_P(All, WalSeededBugTest,
                         ::testing::Values(Case{SeededBug::kResetKeepsConflict, FillConflict},
                                           Case{SeededBug::kDroppedBeforeReset,
                                                FillUnfinishedReset},
                                           Case{SeededBug::kDamageTakenForComplete, FillPlain},
                                           Case{SeededBug::kHardStateBeforeDamage, FillReplaced},
                                           Case{SeededBug::kLossNotKept, FillLost},
                                           Case{SeededBug::kDamagedRecordsSkipped, FillReplaced},
                                           Case{SeededBug::kDamageTakenForTornTail, FillReplaced}),
                         [](const auto& test) {
                           std::string name;
                           for (const SeededBugEntry& entry : SeededBugs()) {
                             if (entry.bug == test.param.bug) name = entry.name;
                           }
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace conclave::raft
