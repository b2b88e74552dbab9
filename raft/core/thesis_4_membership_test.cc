// Chapter 4 of the thesis: changes of membership.
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

constexpr MemberChange Add(NodeId node) { return {MemberChangeKind::kAddVoter, node}; }
constexpr MemberChange Learn(NodeId node) { return {MemberChangeKind::kAddLearner, node}; }
constexpr MemberChange Remove(NodeId node) { return {MemberChangeKind::kRemove, node}; }

class MembershipThesisTest : public ThesisTest {
 protected:
  explicit MembershipThesisTest(const TestCluster::Options& options = Cluster(3))
      : ThesisTest(options) {}
  void SetUp() override { cluster_.Elect(k1); }

  const Configuration& ConfigurationOf(NodeId member) {
    return cluster_.core(member).configuration();
  }
  void ExpectRefused(RejectReason reason) {
    ASSERT_THAT(cluster_.proposals_failed, ElementsAre(Field(&ProposalFailed::reason, reason)));
    cluster_.proposals_failed.clear();
  }
};

// ---- 4.1 Safety. ----

TEST_F(MembershipThesisTest, Thesis_4_1_AConfigurationIsInForceAsSoonAsItIsInTheLog) {
  cluster_.ProposeChange(k1, {Add(k4)});
  EXPECT_TRUE(ConfigurationOf(k1).IsVoter(k4));
  EXPECT_EQ(CommitOf(k1), LogIndex(1)) << "it is not committed";
  cluster_.Deliver(k1, k2);
  EXPECT_TRUE(ConfigurationOf(k2).IsVoter(k4)) << "nor is it on this disk";
  EXPECT_FALSE(ConfigurationOf(k3).IsVoter(k4));
}

TEST_F(MembershipThesisTest, Thesis_4_1_TheNewConfigurationDecidesAboutItsOwnEntry) {
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(1)) << "two of four";
  cluster_.Exchange(k1, k3);
  EXPECT_EQ(CommitOf(k1), LogIndex(2)) << "three of four";
}

TEST_F(MembershipThesisTest, Thesis_4_1_OneChangeAtATime) {
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.ProposeChange(k1, {Add(k5)});
  ExpectRefused(RejectReason::kChangeUnderWay);
  cluster_.Settle();
  cluster_.ProposeChange(k1, {Add(k5)});
  EXPECT_TRUE(ConfigurationOf(k1).IsVoter(k5));
}

TEST_F(MembershipThesisTest, Thesis_4_1_NoChangeBeforeTheTermsFirstCommit) {
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  ASSERT_TRUE(cluster_.core(k2).leading());
  cluster_.ProposeChange(k2, {Add(k4)});
  ExpectRefused(RejectReason::kChangeUnderWay);
  cluster_.Settle();
  cluster_.ProposeChange(k2, {Add(k4)});
  EXPECT_TRUE(ConfigurationOf(k2).IsVoter(k4));
}

TEST_F(MembershipThesisTest, Thesis_4_1_ATruncationBringsBackTheConfigurationBefore) {
  cluster_.Isolate(k1);
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.FinishWrites(k1);
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  cluster_.Heal();
  cluster_.RunFor(Seconds(2));
  EXPECT_FALSE(ConfigurationOf(k1).Contains(k4));
}

TEST_F(MembershipThesisTest, Thesis_4_1_ARestartFindsTheNewestConfigurationOfTheLog) {
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.FinishWrites(k1);
  cluster_.Crash(k1);
  cluster_.Restart(k1);
  EXPECT_TRUE(ConfigurationOf(k1).IsVoter(k4));
}

TEST_F(MembershipThesisTest, Thesis_4_1_EntriesOfALeaderThatIsNoMemberAreTaken) {
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.Join(k4, k1);
  cluster_.Settle();
  cluster_.RunFor(Milliseconds(300));
  cluster_.Crash(k1);
  cluster_.Crash(k2);
  cluster_.Restart(k2);
  cluster_.Elect(k4);
  cluster_.Propose(k4, "x");
  cluster_.Settle();
  EXPECT_EQ(cluster_.applied(k3), Commands{"x"});
}

TEST_F(MembershipThesisTest, Thesis_4_1_AVoteIsGrantedToACandidateThatIsNoMember) {
  cluster_.Crash(k1);
  cluster_.Advance(Seconds(3));
  Say(k5, k2, 9, AskForVote(1, 1));
  EXPECT_EQ(cluster_.status(k2).vote, k5);
}

// ---- 4.2.1 Catching up new servers. ----

TEST_F(MembershipThesisTest, Thesis_4_2_1_ALearnerGetsEntriesAndCountsForNothing) {
  cluster_.ProposeChange(k1, {Learn(k4)});
  cluster_.Join(k4, k1);
  cluster_.Settle();
  cluster_.Crash(k2);
  cluster_.Crash(k3);
  cluster_.Propose(k1, "x");
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k4);
  EXPECT_EQ(cluster_.core(k4).last_index(), LogIndex(3));
  EXPECT_EQ(CommitOf(k1), LogIndex(2));
}

TEST(LearnerThesisTest, Thesis_4_2_1_LearnersNeitherCampaignNorKeepALeader) {
  DrivenCluster cluster(Cluster(1, 2));
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.core(k1).leading(); }, Seconds(1)));
  cluster.Isolate(k1);
  cluster.RunFor(Seconds(10));
  EXPECT_TRUE(cluster.core(k1).leading()) << "it needs no learner";
  EXPECT_EQ(cluster.status(k2).role, RoleName::kFollower);
  EXPECT_EQ(cluster.status(k2).leader, kNoNode) << "it has stopped to believe in its leader";
}

TEST_F(MembershipThesisTest, Thesis_4_2_1_ALearnerIsPromotedByAChange) {
  cluster_.ProposeChange(k1, {Learn(k4)});
  cluster_.Join(k4, k1);
  cluster_.Settle();
  cluster_.ProposeChange(k1, {Add(k4)});
  cluster_.Settle();
  EXPECT_TRUE(ConfigurationOf(k4).IsVoter(k4));
  EXPECT_FALSE(ConfigurationOf(k4).IsLearner(k4));
}

// ---- 4.2.2 Removing the current leader. ----

TEST_F(MembershipThesisTest, Thesis_4_2_2_ALeaderThatIsRemovedDoesNotCountItself) {
  cluster_.ProposeChange(k1, {Remove(k1)});
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(1));
  EXPECT_TRUE(cluster_.core(k1).leading()) << "it goes on until that is decided";
}

TEST_F(MembershipThesisTest, Thesis_4_2_2_AndStepsDownWhenThatIsCommitted) {
  cluster_.ProposeChange(k1, {Remove(k1)});
  cluster_.Settle();
  EXPECT_FALSE(cluster_.core(k1).leading());
  EXPECT_TRUE(cluster_.Leader() == k2 || cluster_.Leader() == k3) << "it has handed over";
  cluster_.RunFor(Seconds(10));
  EXPECT_EQ(cluster_.status(k1).role, RoleName::kFollower);
}

// ---- 4.2.3 Disruptive servers. ----

TEST_F(MembershipThesisTest, Thesis_4_2_3_WhoHearsALeaderIsNotTalkedOutOfIt) {
  Say(k3, k2, 7, AskForVote(9, 6));
  Say(k3, k1, 7, AskForVote(9, 6));
  EXPECT_EQ(TermOf(k2), Term(1));
  EXPECT_TRUE(cluster_.core(k1).leading());
}

TEST_F(MembershipThesisTest, Thesis_4_2_3_WhoHasNotHeardOneForAnElectionTimeoutListens) {
  cluster_.Crash(k1);
  cluster_.Advance(Seconds(1));
  Say(k3, k2, 7, AskForVote(9, 6));
  EXPECT_EQ(cluster_.status(k2).vote, k3);
}

TEST_F(MembershipThesisTest, Thesis_4_2_3_ARemovedMemberDisturbsNobody) {
  cluster_.Isolate(k3);
  cluster_.ProposeChange(k1, {Remove(k3)});
  cluster_.Settle();
  cluster_.Heal();
  cluster_.RunFor(Seconds(30));
  EXPECT_TRUE(cluster_.core(k1).leading());
  EXPECT_EQ(TermOf(k1), Term(1));
}

// ---- 4.3 Arbitrary changes by joint consensus. ----

class JointThesisTest : public MembershipThesisTest {
 protected:
  // {1, 2, 3} is to become {1, 4, 5}; nobody has heard of it yet.
  void SetUp() override {
    cluster_.Elect(k1);
    cluster_.ProposeChange(k1, {Remove(k2), Remove(k3), Add(k4), Add(k5)});
    cluster_.Join(k4, k1);
    cluster_.Join(k5, k1);
    cluster_.FinishWrites(k1);
  }

  void ExchangeAll(const std::vector<NodeId>& members) {
    for (int round = 0; round < 4; ++round) {
      for (NodeId member : members) cluster_.Exchange(k1, member);
    }
  }
};

TEST_F(JointThesisTest, Thesis_4_3_SeveralVotersChangeThroughAJointConfiguration) {
  EXPECT_THAT(ConfigurationOf(k1).voters, ElementsAre(k1, k4, k5));
  EXPECT_THAT(ConfigurationOf(k1).outgoing, ElementsAre(k1, k2, k3));
}

TEST_F(JointThesisTest, Thesis_4_3_TheNewMajorityAloneDecidesNothing) {
  ExchangeAll({k4, k5});
  EXPECT_EQ(CommitOf(k1), LogIndex(1));
}

TEST_F(JointThesisTest, Thesis_4_3_TheOldMajorityAloneDecidesNothing) {
  ExchangeAll({k2, k3});
  EXPECT_EQ(CommitOf(k1), LogIndex(1));
}

TEST_F(JointThesisTest, Thesis_4_3_BothTogetherDoAndTheLeaderLeavesTheJointOne) {
  ExchangeAll({k2, k4});
  EXPECT_GE(CommitOf(k1), LogIndex(2));
  EXPECT_FALSE(ConfigurationOf(k1).joint());
  EXPECT_THAT(ConfigurationOf(k1).voters, ElementsAre(k1, k4, k5));
}

TEST_F(JointThesisTest, Thesis_4_3_AnElectionNeedsBothMajorities) {
  ExchangeAll({k4, k5});
  cluster_.Crash(k1);
  cluster_.LoseConnections(k1, {k2, k3, k4, k5});
  cluster_.Campaign(k4, {k5});
  EXPECT_FALSE(cluster_.core(k4).leading());
  cluster_.Campaign(k4, {k2, k3, k5});
  EXPECT_TRUE(cluster_.core(k4).leading());
}

TEST_F(JointThesisTest, Thesis_4_3_ANewLeaderFinishesWhatItFinds) {
  ExchangeAll({k4, k5});
  cluster_.Crash(k1);
  cluster_.LoseConnections(k1, {k2, k3, k4, k5});
  cluster_.Elect(k4);
  cluster_.RunFor(Seconds(1));
  EXPECT_FALSE(ConfigurationOf(k4).joint());
  EXPECT_THAT(ConfigurationOf(k5).voters, ElementsAre(k1, k4, k5));
}

TEST_F(MembershipThesisTest, Thesis_4_3_OneVoterNeedsNoJointConfiguration) {
  cluster_.ProposeChange(k1, {Add(k4), Learn(k5)});
  EXPECT_FALSE(ConfigurationOf(k1).joint());
}

}  // namespace
}  // namespace conclave::raft
