#include "jepsen-style-tests/workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/cluster_checks.h"
#include "jepsen-style-tests/workload/health.h"
#include "jepsen-style-tests/workload/test_world.h"

namespace conclave::sim {
namespace {

using Workloads = std::vector<std::unique_ptr<Workload>>;

// Leads workloads through their life in a healthy cluster.
class Life {
 public:
  explicit Life(uint64_t seed)
      : test_(seed), session_(&test_.world(), &test_.history(), PatientSession(), Random(seed)) {
    EXPECT_TRUE(test_.RunUntilLed());
    leaders_.Begin();
  }

  TestWorld& test() { return test_; }

  void Load(const Workloads& workloads, Duration at_least) {
    for (const auto& workload : workloads) workload->Start();
    test_.Run(at_least);
    const auto enough = [&] {
      bool all = EnoughForClusterChecks(test_.history());
      for (const auto& workload : workloads) all = all && workload->Enough();
      return all;
    };
    EXPECT_TRUE(test_.RunUntil(enough, Seconds(120)));
    for (const auto& workload : workloads) workload->StopLoad();
    const auto idle = [&] {
      bool all = true;
      for (const auto& workload : workloads) all = all && workload->idle();
      return all;
    };
    EXPECT_TRUE(test_.RunUntil(idle, Seconds(60)));
  }

  std::vector<checker::Report> Judge(const Workloads& workloads) {
    for (const auto& workload : workloads) {
      EXPECT_TRUE(test_.RunUntilDone(workload->FinalReads(session_), Seconds(60)));
    }
    RunFacts facts;
    for (const bool serializable : {false, true}) {
      EXPECT_TRUE(test_.RunUntilDone(ReadFinalStates(session_, serializable, facts.final_states),
                                     Seconds(60)));
    }
    leaders_.End();
    facts.healthy = leaders_.intervals();
    std::vector<checker::Report> reports = CheckEverything(test_.world(), test_.history(), facts);
    for (const auto& workload : workloads) {
      for (checker::Report& report : workload->Check()) reports.push_back(std::move(report));
    }
    EXPECT_EQ(test_.world().Problems(), std::vector<std::string>());
    return reports;
  }

 private:
  TestWorld test_;
  LeaderWatch leaders_{&test_.world()};
  Session session_;
};

void ExpectPass(const std::vector<checker::Report>& reports) {
  for (const checker::Report& report : reports) {
    EXPECT_TRUE(report.passed()) << ToString(report) << "\n" << report.explanation;
  }
}

class WorkloadTest : public testing::TestWithParam<WorkloadEntry> {};

// Each alone, but with a register next to it if it changes nothing itself.
TEST_P(WorkloadTest, PassesInAHealthyCluster) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed);
    Workloads workloads;
    const auto add = [&](const WorkloadEntry& entry) {
      workloads.push_back(
          entry.make(&life.test().world(), &life.test().history(), Random(seed * 31)));
    };
    add(GetParam());
    if (GetParam().needs_company) add({.name = "register", .make = MakeRegister});
    life.Load(workloads, Seconds(20));
    ExpectPass(life.Judge(workloads));
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(All, WorkloadTest,
                         testing::ValuesIn(AllWorkloads().begin(), AllWorkloads().end()),
                         [](const auto& entry) {
                           std::string name(entry.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(WorkloadsTest, SeveralTogether) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed);
    Random random(seed);
    const Workloads workloads = DrawWorkloads(&life.test().world(), &life.test().history(), random);
    life.Load(workloads, Seconds(15));
    ExpectPass(life.Judge(workloads));
  }
}

TEST(WorkloadsTest, TheSameSeedIsTheSameRun) {
  const auto hash = [](uint64_t seed) {
    Life life(seed);
    Random random(seed);
    const Workloads workloads = DrawWorkloads(&life.test().world(), &life.test().history(), random);
    life.Load(workloads, Seconds(5));
    return life.test().world().trace().hash();
  };
  EXPECT_EQ(hash(3), hash(3));
  EXPECT_NE(hash(3), hash(4));
}

TEST(WorkloadsTest, MayBeDestroyedAtAnyMoment) {
  Life life(5);
  Workloads workloads;
  for (const WorkloadEntry& entry : AllWorkloads()) {
    workloads.push_back(entry.make(&life.test().world(), &life.test().history(), Random(5)));
    workloads.back()->Start();
  }
  life.test().Run(Milliseconds(3210));
  workloads.clear();
  life.test().Run(Seconds(12));
}

TEST(HealthTest, ProbeServesThroughEveryMemberOrSaysWhoDoesNot) {
  TestWorld test(2);
  LivenessProbe all(&test.world(), &test.history(), {0, 1, 2}, Random(1));
  EXPECT_TRUE(test.RunUntil([&] { return all.done(); }, Seconds(20)));
  EXPECT_GT(all.served_ns(), 0);

  test.world().EndMember(1, EndOfProcess::kKill);
  LivenessProbe again(&test.world(), &test.history(), {0, 1}, Random(1));
  test.Run(Seconds(20));
  EXPECT_FALSE(again.done());
  EXPECT_EQ(again.Unserved(), "m2: connection refused");
}

TEST(HealthTest, LeaderWatchEndsAnIntervalWithItsLeader) {
  TestWorld test(2);
  LeaderWatch leaders(&test.world());
  ASSERT_TRUE(test.RunUntilLed());
  leaders.Begin();
  test.Run(Seconds(3));
  test.world().EndMember(test.world().leader()->id().value() - 1, EndOfProcess::kKill);
  test.Run(Seconds(10));
  leaders.End();
  ASSERT_EQ(leaders.intervals().size(), 2u);
  EXPECT_GE(leaders.intervals()[0].to_ns - leaders.intervals()[0].from_ns,
            Milliseconds(2500).count());
  EXPECT_GT(leaders.intervals()[1].from_ns, leaders.intervals()[0].to_ns);
}

}  // namespace
}  // namespace conclave::sim
