// Linearizable reads and leadership transfer, a test for each rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

constexpr NodeId k1{1}, k2{2}, k3{3};

class ReadsTest : public testing::Test {
 protected:
  void SetUp() override { cluster_.Elect(k1); }
  void TearDown() override { EXPECT_THAT(cluster_.problems(), IsEmpty()); }

  TestCluster cluster_{TestCluster::Options{}};
};

TEST_F(ReadsTest, AQuorumMustStillFollow_6_4) {
  const ReadId read = cluster_.Read(k1);
  EXPECT_THAT(cluster_.reads_ready, IsEmpty());
  cluster_.Deliver(k1, k2);
  cluster_.Deliver(k2, k1);
  ASSERT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, read)));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(1));
}

TEST_F(ReadsTest, ReadsOfOneDrainShareARound_6_4) {
  cluster_.ReadAll(k1, 3);
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
  cluster_.Settle();
  EXPECT_THAT(cluster_.reads_ready, SizeIs(3));
}

TEST_F(ReadsTest, AReadIsNotAnsweredByTheRoundThatBeganBeforeIt_6_4) {
  cluster_.Read(k1);
  const ReadId late = cluster_.Read(k1);
  cluster_.Deliver(k1, k2);
  cluster_.Deliver(k2, k1);
  EXPECT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, late - 1)));
  cluster_.Deliver(k1, k2);
  cluster_.Deliver(k2, k1);
  EXPECT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, late)));
}

TEST_F(ReadsTest, ANewLeaderCommitsInItsTermFirst_6_4) {
  cluster_.Crash(k3);
  cluster_.Step(k1, TransferRequested{k2});
  cluster_.Deliver(k1, k2);
  cluster_.FinishWrite(k2);
  cluster_.Deliver(k2, k1);
  cluster_.FinishWrite(k1);
  cluster_.Deliver(k1, k2);
  ASSERT_TRUE(cluster_.core(k2).leading());
  cluster_.Read(k2);
  EXPECT_EQ(cluster_.Underway(k2, k1), 1u) << "the no-op; no round begins yet";
  cluster_.Settle();
  ASSERT_THAT(cluster_.reads_ready, SizeIs(1));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(2));
}

TEST_F(ReadsTest, ARoundRidesOnEntriesAndItsEchoDoesNotWaitForTheDisk_6_4) {
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

TEST_F(ReadsTest, ACutLeaderFailsItsReadsWhenItStepsDown_6_2) {
  cluster_.Isolate(k1);
  cluster_.Read(k1);
  cluster_.Read(k1);
  cluster_.TimeOut(k1);
  EXPECT_THAT(cluster_.reads_failed, SizeIs(2));
}

TEST_F(ReadsTest, AFollowerAsksTheLeader_6_4) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  const ReadId read = cluster_.Read(k2);
  cluster_.Settle();
  ASSERT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, read)));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(2));
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

// ---- Leadership transfer. ----

class TransferTest : public ReadsTest {};

TEST_F(TransferTest, TheTargetLeadsWithoutWaiting_3_10) {
  const Instant before = cluster_.now();
  cluster_.Step(k1, TransferRequested{k3});
  cluster_.Settle();
  EXPECT_EQ(cluster_.Leader(), k3);
  EXPECT_EQ(cluster_.now(), before);
  EXPECT_EQ(cluster_.status(k1).leader, k3);
}

TEST_F(TransferTest, TheTargetIsBroughtUpToDateFirst_3_10) {
  cluster_.Propose(k1, "x");
  cluster_.Step(k1, TransferRequested{k2});
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u) << "no TimeoutNow yet";
  cluster_.Settle();
  EXPECT_EQ(cluster_.Leader(), k2);
  EXPECT_THAT(cluster_.applied(k3), ElementsAre("x"));
}

TEST_F(TransferTest, NoProposalsMeanwhile_3_10) {
  cluster_.Step(k1, TransferRequested{k2});
  cluster_.Propose(k1, "x");
  EXPECT_THAT(cluster_.proposals_failed,
              ElementsAre(Field(&ProposalFailed::reason, RejectReason::kTransferring)));
}

TEST_F(TransferTest, ItEndsAfterAnElectionTimeout_3_10) {
  cluster_.Crash(k3);
  cluster_.Step(k1, TransferRequested{k3});
  cluster_.RunFor(Milliseconds(950));
  EXPECT_EQ(cluster_.status(k1).transferee, k3);
  cluster_.RunFor(Milliseconds(100));
  EXPECT_EQ(cluster_.status(k1).transferee, kNoNode);
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  EXPECT_THAT(cluster_.applied(k2), ElementsAre("x"));
}

TEST_F(TransferTest, WithoutATargetTheMostUpToDateVoterIsChosen_3_10) {
  cluster_.Propose(k1, "x");
  cluster_.Drop(k1, k2);
  cluster_.Deliver(k1, k3);
  cluster_.FinishWrite(k3);
  cluster_.Deliver(k3, k1);
  cluster_.Step(k1, TransferRequested{kNoNode});
  EXPECT_EQ(cluster_.status(k1).transferee, k3);
}

TEST_F(TransferTest, NobodyElseIsHandedLeadership_3_10) {
  cluster_.Step(k1, TransferRequested{k1});
  cluster_.Step(k1, TransferRequested{NodeId(9)});
  cluster_.Step(k2, TransferRequested{k3});
  EXPECT_EQ(cluster_.status(k1).transferee, kNoNode);
  EXPECT_EQ(cluster_.Underway(k1, k2) + cluster_.Underway(k2, k3), 0u);
}

TEST_F(TransferTest, OnlyTheLeadersWordCounts_3_10) {
  cluster_.Inject({k3, k2, Term(1), TimeoutNow{}});
  cluster_.Deliver(k3, k2);
  EXPECT_EQ(cluster_.status(k2).role, RoleName::kFollower);
}

}  // namespace
}  // namespace conclave::raft
