// The tests that damage a valid history in one known way and hold the checker to its name. Used by
// the *_mutators_test.cc files, each with a table of mutators; any lane. A mutator picks its place
// so that the damage is an anomaly, and of that name, whatever else the history holds.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/valid_histories.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "raft/base/random.h"

namespace conclave::checker {

template <typename History>
struct Mutator {
  std::string damage;   // a name for the test
  std::string anomaly;  // what the checker must call it
  // False if the history has no place for it.
  std::function<bool(Random*, History*)> apply;
  Traffic traffic = {};

  friend void PrintTo(const Mutator& mutator, std::ostream* out) { *out << mutator.damage; }
};

template <typename History>
std::string NameOf(const testing::TestParamInfo<Mutator<History>>& info) {
  return info.param.damage;
}

// Over many seeds: `make` gives a history that passes `check`, which the mutator then damages.
template <typename History>
void ExpectDetected(const Mutator<History>& mutator,
                    const std::function<History(const Traffic&, Random*)>& make,
                    const std::function<Report(const History&)>& check) {
  constexpr uint64_t kSeeds = 50;
  uint64_t damaged = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random = Random(seed).Stream(mutator.damage);
    History history = make(mutator.traffic, &random);
    const Report before = check(history);
    ASSERT_TRUE(before.passed()) << "seed " << seed << ": " << ToString(before) << "\n"
                                 << before.explanation;
    if (!mutator.apply(&random, &history)) continue;
    ++damaged;
    const Report after = check(history);
    ASSERT_EQ(after.verdict, Verdict::kFail) << "seed " << seed;
    ASSERT_EQ(after.anomaly, mutator.anomaly) << "seed " << seed << ":\n" << after.explanation;
    ASSERT_FALSE(after.explanation.empty());
  }
  EXPECT_GE(damaged, kSeeds * 3 / 4) << "too few histories had a place for the damage";
}

// One of the candidates; nullopt if there is none.
template <typename T>
std::optional<T> PickOne(const std::vector<T>& candidates, Random* random) {
  if (candidates.empty()) return std::nullopt;
  return candidates[random->Below(candidates.size())];
}

}  // namespace conclave::checker
