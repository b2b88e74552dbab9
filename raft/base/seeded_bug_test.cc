#include "raft/base/seeded_bug.h"

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace conclave {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

#if !CONCLAVE_SIMULATION
static_assert(!SEEDED_BUG(kVoteBeforeSync), "no bug in production, and none at run time");
#endif

// vote-before-sync is kVoteBeforeSync.
std::string EnumeratorOf(std::string_view name) {
  std::string enumerator = "k";
  bool capital = true;
  for (const char c : name) {
    if (c != '-') enumerator += capital ? static_cast<char>(c - 'a' + 'A') : c;
    capital = c == '-';
  }
  return enumerator;
}

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

// What the simulator cannot find is found by a test that switches it on.
TEST(SeededBugTest, AUnitTestThatFindsOneIsThere) {
  constexpr std::string_view kUnitTest = "unit test: ";
  for (const SeededBugEntry& entry : SeededBugs()) {
    if (!entry.checker.starts_with(kUnitTest)) continue;
    const std::string path(entry.checker.substr(kUnitTest.size()));
    std::ifstream file(CONCLAVE_SOURCE_DIR "/" + path);
    const std::string source{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(source, HasSubstr("SeededBug::" + EnumeratorOf(entry.name))) << path;
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
