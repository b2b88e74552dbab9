#include "raft/base/probe.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace conclave {
namespace {

using testing::ElementsAre;
using testing::Pair;

void TakeRarePath(bool taken) {
  if (taken) SIM_REACHED("test.rare");
}

[[maybe_unused]] void NeverCalled() { SIM_REACHED("test.never"); }

// The library under test has probes of its own; only this file's are looked at.
std::vector<std::pair<std::string, uint64_t>> TestProbes() {
  std::vector<std::pair<std::string, uint64_t>> found;
  for (const ProbeCount& probe : Probes()) {
    if (probe.name.starts_with("test.")) found.emplace_back(probe.name, probe.count);
  }
  return found;
}

TEST(ProbeTest, CountsAndListsWhatWasNeverReached) {
  ResetProbes();
  EXPECT_THAT(TestProbes(), ElementsAre(Pair("test.never", 0), Pair("test.rare", 0)));
  TakeRarePath(false);
  TakeRarePath(true);
  TakeRarePath(true);
  EXPECT_THAT(TestProbes(), ElementsAre(Pair("test.never", 0), Pair("test.rare", 2)));
  ResetProbes();
  EXPECT_THAT(TestProbes(), ElementsAre(Pair("test.never", 0), Pair("test.rare", 0)));
}

TEST(ProbeTest, MarksOfOneNameShareACounter) {
  ResetProbes();
  TakeRarePath(true);
  SIM_REACHED("test.rare");
  EXPECT_THAT(TestProbes(), ElementsAre(Pair("test.never", 0), Pair("test.rare", 2)));
}

TEST(ProbeTest, AreListedByName) {
  const std::vector<ProbeCount> probes = Probes();
  EXPECT_TRUE(std::is_sorted(probes.begin(), probes.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
}

}  // namespace
}  // namespace conclave
