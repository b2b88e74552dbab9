#include "raft/base/seeded_bug.h"

#include <set>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace conclave {
namespace {

using testing::MatchesRegex;

#if !CONCLAVE_SIMULATION
static_assert(!SEEDED_BUG(kVoteBeforeSync), "no bug in production, and none at run time");
#endif

TEST(SeededBugTest, EveryBugHasItsOwnNumberAndName) {
  int last_number = 0;
  std::set<std::string_view> names;
  for (const SeededBugEntry& entry : SeededBugs()) {
    EXPECT_GT(static_cast<int>(entry.bug), last_number) << entry.name;
    last_number = static_cast<int>(entry.bug);
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
  }
  EXPECT_GE(last_number, 34);
}

TEST(SeededBugTest, EveryBugSaysWhatItIsAndWhatShouldFindIt) {
  for (const SeededBugEntry& entry : SeededBugs()) {
    EXPECT_THAT(std::string(entry.name), MatchesRegex("[a-z]+(-[a-z]+)+"));
    EXPECT_FALSE(entry.description.empty()) << entry.name;
    EXPECT_FALSE(entry.checker.empty()) << entry.name;
  }
}

TEST(SeededBugTest, IsFoundByNameAndByNumber) {
  EXPECT_EQ(FindSeededBug("vote-before-sync"), SeededBug::kVoteBeforeSync);
  EXPECT_EQ(FindSeededBug("1"), SeededBug::kVoteBeforeSync);
  EXPECT_EQ(FindSeededBug("ack-before-sync"), SeededBug::kAckBeforeSync);
  for (const char* unknown : {"", "0", "01", "none", "kVoteBeforeSync", "10000"}) {
    EXPECT_EQ(FindSeededBug(unknown), std::nullopt) << unknown;
  }
}

#if CONCLAVE_SIMULATION
TEST(SeededBugTest, OnlyTheOneSwitchedOnIsThere) {
  EXPECT_EQ(ActiveSeededBug(), SeededBug::kNone);
  EXPECT_FALSE(SEEDED_BUG(kVoteBeforeSync));
  SetSeededBug(SeededBug::kVoteBeforeSync);
  EXPECT_TRUE(SEEDED_BUG(kVoteBeforeSync));
  EXPECT_FALSE(SEEDED_BUG(kAckBeforeSync));
  SetSeededBug(SeededBug::kNone);
  EXPECT_FALSE(SEEDED_BUG(kVoteBeforeSync));
}
#endif

}  // namespace
}  // namespace conclave
