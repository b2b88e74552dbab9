// What this core adds to the thesis about elections; the thesis's own rules have their tests in
// thesis_3_elections_test.cc and its neighbours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::IsEmpty;

class ElectionTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_THAT(cluster_.problems(), IsEmpty()); }

  TestCluster cluster_{TestCluster::Options{}};
};

TEST_F(ElectionTest, ALostConnectionToTheLeaderShortensTheWait) {
  cluster_.Elect(k1);
  cluster_.Crash(k1);
  const Instant crashed = cluster_.now();
  for (NodeId member : {k2, k3}) cluster_.Step(member, PeerUnreachable{k1});
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }));
  EXPECT_LT(cluster_.now() - crashed, Milliseconds(300));
}

TEST_F(ElectionTest, OneLostConnectionDisturbsNobody) {
  cluster_.Elect(k1);
  cluster_.Step(k3, PeerUnreachable{k1});
  cluster_.RunFor(Seconds(2));
  EXPECT_TRUE(cluster_.core(k1).leading());
  EXPECT_EQ(cluster_.status(k1).term, Term(1));
}

TEST(SingleVoterTest, LeadsAtOnceButNotBeforeItsVoteIsDurable) {
  TestCluster::Options options;
  options.voters = 1;
  TestCluster cluster(options);
  cluster.WakeDue();
  EXPECT_FALSE(cluster.core(k1).leading());
  cluster.FinishWrite(k1);
  EXPECT_TRUE(cluster.core(k1).leading());
  EXPECT_EQ(cluster.now(), Instant(Seconds(1))) << "no time has passed";
  cluster.RunFor(Seconds(3));
  EXPECT_EQ(cluster.NextDeadline(), kNever) << "nobody to keep in touch with";
}

}  // namespace
}  // namespace conclave::raft
