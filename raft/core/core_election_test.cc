// Elections, check-quorum and pre-vote, a test for each rule. The golden traces tell the same
// stories at length.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::IsEmpty;

constexpr NodeId k1{1}, k2{2}, k3{3};

TestCluster::Options Of(size_t voters, size_t learners = 0) {
  TestCluster::Options options;
  options.voters = voters;
  options.learners = learners;
  return options;
}

// For a vote, by a member whose log ends with this entry.
VoteRequest Ask(uint64_t last_index, uint64_t last_term) {
  return {.pre_vote = false,
          .transfer = false,
          .last_index = LogIndex(last_index),
          .last_term = Term(last_term)};
}

class ElectionTest : public testing::Test {
 protected:
  // What `from` would say to `to` if it were so.
  void Say(NodeId from, NodeId to, uint64_t term, const MessageBody& body) {
    cluster_.Inject({from, to, Term(term), body});
    while (cluster_.Deliver(from, to)) {
    }
  }
  void TearDown() override { EXPECT_THAT(cluster_.problems(), IsEmpty()); }

  TestCluster cluster_{Of(3)};
};

TEST_F(ElectionTest, AClusterElectsALeaderByItself_3_4) {
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }, Seconds(4)));
  cluster_.Settle();
  for (NodeId member : cluster_.members()) {
    EXPECT_EQ(cluster_.status(member).leader, cluster_.Leader());
    EXPECT_EQ(cluster_.status(member).term, Term(1));
  }
}

TEST_F(ElectionTest, TimeoutsAreBetweenOneAndTwoElectionTimeouts_3_4) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RecoveredState recovered;
    recovered.configuration.voters = {k1, k2, k3};
    Core core({.id = k1}, recovered, seed, Instant{});
    const Instant deadline = core.TakeOutput().next_deadline;
    EXPECT_GE(deadline, Instant(Seconds(1)));
    EXPECT_LT(deadline, Instant(Seconds(2)));
  }
}

TEST_F(ElectionTest, OnlyOneVotePerTerm_3_4) {
  Say(k2, k1, 5, VoteRequest{});
  Say(k3, k1, 5, VoteRequest{});
  cluster_.FinishWrite(k1);
  cluster_.FinishWrite(k1);
  EXPECT_EQ(cluster_.status(k1).vote, k2);
  EXPECT_EQ(cluster_.disk(k1).hard_state, (HardState{Term(5), k2}));
}

TEST_F(ElectionTest, AVoteIsRememberedThroughACrash_3_8) {
  Say(k2, k1, 5, VoteRequest{});
  cluster_.FinishWrite(k1);
  cluster_.Crash(k1);
  cluster_.Restart(k1);
  Say(k3, k1, 5, VoteRequest{});
  EXPECT_EQ(cluster_.status(k1).vote, k2);
}

TEST_F(ElectionTest, AVoteLeavesAfterItIsDurable_3_8) {
  Say(k2, k1, 5, VoteRequest{});
  EXPECT_EQ(cluster_.Underway(k1, k2), 0u);
  cluster_.FinishWrite(k1);
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
}

TEST_F(ElectionTest, ALogThatIsBehindGetsNoVote_3_6_1) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Crash(k1);
  cluster_.Advance(Seconds(3));  // nobody hears a leader any more
  Say(k3, k2, 9, Ask(1, 1));
  EXPECT_EQ(cluster_.status(k2).vote, kNoNode);
  Say(k3, k2, 10, Ask(2, 1));
  EXPECT_EQ(cluster_.status(k2).vote, k3);
}

TEST_F(ElectionTest, APreVoteChangesNothing_9_6) {
  Say(k2, k1, 5,
      VoteRequest{.pre_vote = true, .transfer = false, .last_index = {}, .last_term = {}});
  EXPECT_EQ(cluster_.status(k1).term, Term(0));
  EXPECT_EQ(cluster_.status(k1).vote, kNoNode);
  EXPECT_EQ(cluster_.writes_under_way(k1), 0u);
}

TEST_F(ElectionTest, ACutMemberStaysInItsTerm_9_6) {
  cluster_.Elect(k1);
  cluster_.Isolate(k3);
  cluster_.RunFor(Seconds(30));
  EXPECT_EQ(cluster_.status(k3).role, RoleName::kPreCandidate);
  EXPECT_EQ(cluster_.status(k3).term, Term(1));
  cluster_.Heal();
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.status(k3).leader, k1);
  EXPECT_EQ(cluster_.status(k1).term, Term(1));
}

TEST_F(ElectionTest, WhoHearsALeaderIsNotTalkedOutOfIt_4_2_3) {
  cluster_.Elect(k1);
  Say(k3, k2, 7, Ask(9, 6));
  Say(k3, k1, 7, Ask(9, 6));
  EXPECT_EQ(cluster_.status(k2).term, Term(1));
  EXPECT_TRUE(cluster_.core(k1).leading());
}

TEST_F(ElectionTest, ALeaderWithoutAQuorumStepsDownAfterAnElectionTimeout_6_2) {
  cluster_.Elect(k1);
  cluster_.Isolate(k1);
  cluster_.RunFor(Milliseconds(899));
  EXPECT_TRUE(cluster_.core(k1).leading());
  cluster_.RunFor(Milliseconds(200));
  EXPECT_FALSE(cluster_.core(k1).leading());
  EXPECT_EQ(cluster_.status(k1).term, Term(1));
}

TEST_F(ElectionTest, ALeaderThatHearsOneOfTwoOthersGoesOn_6_2) {
  cluster_.Elect(k1);
  cluster_.Crash(k3);
  cluster_.RunFor(Seconds(10));
  EXPECT_TRUE(cluster_.core(k1).leading());
}

TEST_F(ElectionTest, AStaleLeaderLearnsOfTheLaterTermFromTheAnswer_3_3) {
  cluster_.Elect(k1);
  // Member 3 has campaigned for real and lost: it is stuck in a later term and follows nobody.
  Say(k2, k3, 4, HeartbeatResponse{});
  ASSERT_EQ(cluster_.status(k3).term, Term(4));
  cluster_.RunFor(Milliseconds(200));
  EXPECT_FALSE(cluster_.status(k1).term < Term(4)) << "the heartbeat's answer carries the term";
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }));
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.status(k3).leader, cluster_.Leader());
}

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

TEST(LearnerTest, LearnersNeitherCampaignNorCount_4_2_1) {
  TestCluster cluster(Of(1, 2));
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.core(k1).leading(); }, Seconds(1)));
  cluster.Isolate(k1);
  cluster.RunFor(Seconds(10));
  EXPECT_TRUE(cluster.core(k1).leading()) << "it needs no learner";
  EXPECT_EQ(cluster.status(k2).role, RoleName::kFollower);
  EXPECT_EQ(cluster.status(k2).leader, kNoNode) << "it has stopped to believe in its leader";
}

TEST(SingleVoterTest, LeadsAtOnceButNotBeforeItsVoteIsDurable) {
  TestCluster cluster(Of(1));
  cluster.WakeDue();
  EXPECT_FALSE(cluster.core(k1).leading());
  cluster.FinishWrite(k1);
  EXPECT_TRUE(cluster.core(k1).leading());
  EXPECT_EQ(cluster.now(), Instant(Seconds(1))) << "no time has passed";
  cluster.RunFor(Seconds(3));
  EXPECT_EQ(cluster.NextDeadline(), kNever) << "nobody to keep in touch with";
}

TEST(FourVotersTest, HalfIsNotAMajority) {
  TestCluster cluster(Of(4));
  cluster.Crash(k3);
  cluster.Crash(NodeId(4));
  EXPECT_FALSE(cluster.RunUntil([&] { return cluster.Leader() != kNoNode; }, Seconds(20)));
  cluster.Restart(k3);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Leader() != kNoNode; }, Seconds(20)));
}

}  // namespace
}  // namespace conclave::raft
