// How the tests of classical Raft bugs are run. Each builds by hand the interleaving of events in
// which an implementation with that bug loses data or elects two leaders, and expects that ours
// does not. Where the bug can be switched on (raft/base/seeded_bug.h) the same interleaving is run
// with it, in a process of its own, and must be noticed: so that the test is known to be able to
// fail. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "raft/base/seeded_bug.h"
#include "raft/core/driven_cluster.h"

namespace conclave::raft {

class ClassicalBugTest : public testing::Test {
 protected:
  using Scenario = std::function<void(DrivenCluster&)>;

  // The code as it is: nothing is found wrong.
  void ExpectHarmless(const Scenario& scenario) const { EXPECT_EQ(VerdictOf(scenario), ""); }

  // With the bug: a checker, an invariant or a CHECK says `words` (a regular expression).
  void ExpectNoticed(SeededBug bug, const Scenario& scenario, const std::string& words) const {
    EXPECT_DEATH(
        {
          SetSeededBug(bug);
          const std::string verdict = VerdictOf(scenario);
          std::fputs(verdict.c_str(), stderr);
          if (!verdict.empty()) std::abort();
        },
        words);
  }

  // Both.
  void Expect(SeededBug bug, const std::string& words, const Scenario& scenario) const {
    ExpectHarmless(scenario);
    ExpectNoticed(bug, scenario, words);
  }

  TestCluster::Options options_;

 private:
  std::string VerdictOf(const Scenario& scenario) const {
    DrivenCluster cluster(options_);
    scenario(cluster);
    return cluster.Verdict();
  }
};

}  // namespace conclave::raft
