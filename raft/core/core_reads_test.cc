// What this core adds to the thesis about reads; the rules of section 6.4 have their tests in
// thesis_6_clients_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

class ReadsTest : public testing::Test {
 protected:
  void SetUp() override { cluster_.Elect(k1); }
  void TearDown() override { EXPECT_THAT(cluster_.problems(), IsEmpty()); }

  TestCluster cluster_{TestCluster::Options{}};
};

TEST_F(ReadsTest, ARoundRidesOnEntriesAndItsEchoDoesNotWaitForTheDisk) {
  cluster_.requests().OnReadRequested(k1, ReadId(1));
  cluster_.StepOnly(k1, ReadRequested{ReadId(1)});
  cluster_.Propose(k1, "x");
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
  cluster_.Deliver(k1, k2);
  ASSERT_GT(cluster_.writes_under_way(k2), 0u);
  cluster_.Deliver(k2, k1);
  EXPECT_THAT(cluster_.reads_ready, SizeIs(1));
}

TEST_F(ReadsTest, ARoundWhoseMessagesAreLostIsRepeatedByHeartbeats) {
  cluster_.Read(k1);
  cluster_.Drop(k1, k2);
  cluster_.Drop(k1, k3);
  cluster_.RunFor(Milliseconds(150));
  EXPECT_THAT(cluster_.reads_ready, SizeIs(1));
}

TEST_F(ReadsTest, AFollowersReadFailsWithItsLeader) {
  const ReadId read = cluster_.Read(k2);
  cluster_.Drop(k2, k1);
  cluster_.Elect(k3);
  EXPECT_THAT(cluster_.reads_failed, ElementsAre(Field(&ReadFailed::read, read)));
}

TEST_F(ReadsTest, AFollowersReadWithoutAnAnswerFailsInTheEnd) {
  const ReadId read = cluster_.Read(k2);
  cluster_.Drop(k2, k1);
  cluster_.RunFor(Milliseconds(900));
  EXPECT_THAT(cluster_.reads_failed, IsEmpty());
  cluster_.RunFor(Milliseconds(1000));
  EXPECT_THAT(cluster_.reads_failed, ElementsAre(Field(&ReadFailed::read, read)));
  EXPECT_EQ(cluster_.status(k2).leader, k1) << "the leader is none the worse";
}

TEST_F(ReadsTest, WithoutALeaderReadsFailAtOnce) {
  cluster_.Crash(k1);
  cluster_.Step(k2, PeerUnreachable{k1});
  cluster_.TimeOut(k2);
  cluster_.Read(k2);
  EXPECT_THAT(cluster_.reads_failed, SizeIs(1));
}

TEST(SingleVoterReadsTest, NeedNobodyButOnlyAfterTheFirstCommit) {
  TestCluster::Options options;
  options.voters = 1;
  TestCluster cluster(options);
  cluster.WakeDue();
  cluster.FinishWrite(k1);
  cluster.Read(k1);
  EXPECT_THAT(cluster.reads_ready, IsEmpty());
  cluster.FinishWrite(k1);
  EXPECT_THAT(cluster.reads_ready, SizeIs(1));
  cluster.reads_ready.clear();
  cluster.Read(k1);
  EXPECT_THAT(cluster.reads_ready, SizeIs(1));
  EXPECT_THAT(cluster.problems(), IsEmpty());
}

}  // namespace
}  // namespace conclave::raft
