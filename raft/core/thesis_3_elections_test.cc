// Chapter 3 of the thesis: terms (3.3), elections (3.4), the restriction on them (3.6.1), what is
// persisted for them (3.8), timing (3.9).
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

// ---- 3.3 Raft basics: terms. ----

TEST_F(ThesisTest, Thesis_3_3_WhoeverHearsOfALaterTermEntersItAsAFollower) {
  cluster_.Elect(k1);
  Say(k3, k1, 7, HeartbeatResponse{});
  EXPECT_EQ(TermOf(k1), Term(7));
  EXPECT_EQ(cluster_.status(k1).role, RoleName::kFollower);
  EXPECT_EQ(cluster_.status(k1).vote, kNoNode);
}

TEST_F(ThesisTest, Thesis_3_3_ACandidateStepsDownForALaterTerm) {
  cluster_.BecomeCandidate(k1, {k2});
  Say(k3, k1, 7, VoteResponse{.pre_vote = false, .granted = false});
  EXPECT_EQ(cluster_.status(k1).role, RoleName::kFollower);
  EXPECT_EQ(TermOf(k1), Term(7));
}

TEST_F(ThesisTest, Thesis_3_3_ARequestOfAnEarlierTermIsRefusedWithTheTermOfNow) {
  cluster_.Elect(k1);
  cluster_.Elect(k2);
  sent_.clear();
  Say(k1, k3, 1, Entries(0, 0, 1, 3));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ(sent_[0].term, Term(2));
  EXPECT_EQ(cluster_.log(k3).TermAt(LogIndex(2)), Term(2)) << "nothing of it is taken";
}

TEST_F(ThesisTest, Thesis_3_3_AnOldLeaderStepsDownForThatAnswer) {
  cluster_.Elect(k1);
  cluster_.Isolate(k1);
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  cluster_.Heal();
  cluster_.Wake(k1);
  cluster_.Exchange(k1, k3);
  EXPECT_FALSE(cluster_.core(k1).leading());
  EXPECT_EQ(TermOf(k1), Term(2));
}

TEST_F(ThesisTest, Thesis_3_3_ATermHasOneLeaderAtMost) {
  for (int election = 0; election < 6; ++election) {
    cluster_.Elect(NodeId(1 + election % 3));
    const Term term = TermOf(cluster_.Leader());
    for (NodeId member : cluster_.members()) EXPECT_EQ(TermOf(member), term);
  }
}

// ---- 3.4 Leader election. ----

TEST_F(ThesisTest, Thesis_3_4_AClusterElectsALeaderByItself) {
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }, Seconds(4)));
  cluster_.Settle();
  for (NodeId member : cluster_.members()) {
    EXPECT_EQ(cluster_.status(member).leader, cluster_.Leader());
    EXPECT_EQ(TermOf(member), Term(1));
  }
}

TEST_F(ThesisTest, Thesis_3_4_ElectionTimeoutsAreRandom) {
  std::set<Instant> drawn;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RecoveredState recovered;
    recovered.configuration.voters = {k1, k2, k3};
    Core core({.id = k1}, recovered, seed, Instant{});
    const Instant deadline = core.TakeOutput().next_deadline;
    EXPECT_GE(deadline, Instant(Seconds(1)));
    EXPECT_LT(deadline, Instant(Seconds(2)));
    drawn.insert(deadline);
  }
  EXPECT_GT(drawn.size(), 40u);
}

TEST_F(ThesisTest, Thesis_3_4_HeartbeatsKeepFollowersFromCampaigning) {
  cluster_.Elect(k1);
  cluster_.RunFor(Seconds(30));
  EXPECT_TRUE(cluster_.core(k1).leading());
  EXPECT_EQ(TermOf(k1), Term(1));
}

TEST_F(ThesisTest, Thesis_3_4_HeartbeatsGoOutByTheClock) {
  cluster_.Elect(k1);
  sent_.clear();
  cluster_.RunFor(Seconds(1));
  EXPECT_THAT(Sent<Heartbeat>(k2), SizeIs(10));
}

TEST_F(ThesisTest, Thesis_3_4_ASilentLeaderIsReplaced) {
  cluster_.Elect(k1);
  cluster_.Crash(k1);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }, Seconds(5)));
  EXPECT_NE(cluster_.Leader(), k1);
}

TEST_F(ThesisTest, Thesis_3_4_ACandidateVotesForItselfAndAsksTheOthers) {
  cluster_.BecomeCandidate(k1, {k2});
  EXPECT_EQ(cluster_.status(k1).vote, k1);
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
  EXPECT_EQ(cluster_.Underway(k1, k3), 1u);
}

TEST_F(ThesisTest, Thesis_3_4_OnlyOneVotePerTerm) {
  Say(k2, k1, 5, VoteRequest{});
  Say(k3, k1, 5, VoteRequest{});
  cluster_.FinishWrites(k1);
  EXPECT_EQ(cluster_.status(k1).vote, k2);
  EXPECT_EQ(cluster_.disk(k1).hard_state, (HardState{Term(5), k2}));
}

TEST_F(ThesisTest, Thesis_3_4_TheSameCandidateMayAskAgain) {
  Say(k2, k1, 5, VoteRequest{});
  Say(k2, k1, 5, VoteRequest{});
  cluster_.FinishWrites(k1);
  EXPECT_THAT(Sent<VoteResponse>(k2), ElementsAre(Field(&VoteResponse::granted, true),
                                                  Field(&VoteResponse::granted, true)));
  cluster_.DropAll(k1, k2);
}

TEST_F(ThesisTest, Thesis_3_4_ANewTermBringsANewVote) {
  Say(k2, k1, 5, VoteRequest{});
  Say(k3, k1, 6, VoteRequest{});
  EXPECT_EQ(cluster_.status(k1).vote, k3);
}

TEST_F(FiveVotersThesisTest, Thesis_3_4_AMajorityOfTheFullClusterWins) {
  cluster_.Crash(k4);
  cluster_.Crash(k5);
  cluster_.BecomeCandidate(k1, {k2, k3});
  cluster_.Exchange(k1, k2);
  EXPECT_FALSE(cluster_.core(k1).leading()) << "two of five";
  cluster_.Exchange(k1, k3);
  EXPECT_TRUE(cluster_.core(k1).leading());
}

TEST(FourVotersThesisTest, Thesis_3_4_HalfIsNotAMajority) {
  DrivenCluster cluster(Cluster(4));
  cluster.Crash(k3);
  cluster.Crash(k4);
  EXPECT_FALSE(cluster.RunUntil([&] { return cluster.Leader() != kNoNode; }, Seconds(20)));
  cluster.Restart(k3);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Leader() != kNoNode; }, Seconds(20)));
  EXPECT_EQ(cluster.Verdict(), "");
}

TEST_F(ThesisTest, Thesis_3_4_ANewLeaderSpeaksToEverybodyAtOnce) {
  cluster_.Campaign(k1, {k2});
  ASSERT_TRUE(cluster_.core(k1).leading());
  sent_.clear();
  cluster_.DropAll(k1, k3);
  cluster_.Wake(k1);
  EXPECT_THAT(Sent<Heartbeat>(k3), SizeIs(1));
}

TEST_F(ThesisTest, Thesis_3_4_ACandidateFollowsTheLeaderOfItsTerm) {
  cluster_.BecomeCandidate(k1, {k2});
  Say(k3, k1, 1, Heartbeat{});
  EXPECT_EQ(cluster_.status(k1).role, RoleName::kFollower);
  EXPECT_EQ(cluster_.status(k1).leader, k3);
  cluster_.DropAll(k1, k3);
}

TEST_F(ThesisTest, Thesis_3_4_ACandidateIgnoresALeaderOfAnEarlierTerm) {
  cluster_.BecomeCandidate(k1, {k2});
  cluster_.BecomeCandidate(k1, {k2});
  ASSERT_EQ(TermOf(k1), Term(2));
  Say(k3, k1, 1, Heartbeat{});
  EXPECT_EQ(cluster_.status(k1).role, RoleName::kCandidate);
  cluster_.DropAll(k1, k3);
}

TEST_F(ThesisTest, Thesis_3_4_WithoutAWinnerANewElectionBegins) {
  cluster_.BecomeCandidate(k1, {k2});
  cluster_.DropAll(k1, k2);
  cluster_.DropAll(k1, k3);
  cluster_.BecomeCandidate(k1, {k2});
  EXPECT_EQ(TermOf(k1), Term(2));
  cluster_.Exchange(k1, k2);
  EXPECT_TRUE(cluster_.core(k1).leading());
}

// ---- 3.6.1 Election restriction. ----

class RestrictionThesisTest : public ThesisTest {
 protected:
  // The log of member 2 is 1/1 2/1 3/4, and nobody leads.
  void SetUp() override {
    Say(k3, k2, 1, Entries(0, 0, 1, 2));
    cluster_.FinishWrites(k2);
    Say(k3, k2, 4, Entries(2, 1, 4, 1));
    cluster_.FinishWrites(k2);
    cluster_.DropAll(k2, k3);
    cluster_.Advance(Seconds(5));
  }

  bool Votes(uint64_t term, uint64_t last_index, uint64_t last_term) {
    Say(k1, k2, term, AskForVote(last_index, last_term));
    return cluster_.status(k2).vote == k1 && TermOf(k2) == Term(term);
  }
};

TEST_F(RestrictionThesisTest, Thesis_3_6_1_ALogWithAnEarlierLastTermIsBehind) {
  EXPECT_FALSE(Votes(9, 99, 3));
}

TEST_F(RestrictionThesisTest, Thesis_3_6_1_ALogWithALaterLastTermIsNot) {
  EXPECT_TRUE(Votes(9, 1, 5));
}

TEST_F(RestrictionThesisTest, Thesis_3_6_1_OfTheSameLastTermTheLongerIsBetter) {
  EXPECT_FALSE(Votes(9, 2, 4));
  EXPECT_TRUE(Votes(10, 3, 4));
  EXPECT_TRUE(Votes(11, 4, 4));
}

TEST_F(RestrictionThesisTest, Thesis_3_6_1_ARefusalLeavesTheVoteFree) {
  EXPECT_FALSE(Votes(9, 1, 1));
  EXPECT_EQ(cluster_.status(k2).vote, kNoNode);
  EXPECT_TRUE(Votes(9, 3, 4));
}

TEST_F(ThesisTest, Thesis_3_6_1_WhatIsCommittedIsInTheLogOfEveryLaterLeader) {
  cluster_.Elect(k1);
  cluster_.Isolate(k3);
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Crash(k1);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }));
  EXPECT_EQ(cluster_.Leader(), k2);
}

// ---- 3.8 Persisted state. ----

TEST_F(ThesisTest, Thesis_3_8_AVoteIsRememberedThroughACrash) {
  Say(k2, k1, 5, VoteRequest{});
  cluster_.FinishWrites(k1);
  cluster_.Crash(k1);
  cluster_.Restart(k1);
  Say(k3, k1, 5, VoteRequest{});
  EXPECT_EQ(cluster_.status(k1).vote, k2);
}

TEST_F(ThesisTest, Thesis_3_8_AVoteLeavesAfterItIsDurable) {
  Say(k2, k1, 5, VoteRequest{});
  EXPECT_EQ(cluster_.Underway(k1, k2), 0u);
  cluster_.FinishWrite(k1);
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
}

TEST_F(ThesisTest, Thesis_3_8_ATermIsRememberedThroughACrash) {
  Say(k2, k1, 5, Heartbeat{});
  cluster_.FinishWrites(k1);
  cluster_.Crash(k1);
  cluster_.Restart(k1);
  EXPECT_EQ(TermOf(k1), Term(5));
  cluster_.DropAll(k1, k2);
}

TEST_F(ThesisTest, Thesis_3_8_TermAndVoteAreOneRecord) {
  RecoveredState recovered;
  recovered.configuration.voters = {k1, k2, k3};
  Core core({.id = k1}, recovered, 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(5), VoteRequest{}}});
  const Output output = core.TakeOutput();
  ASSERT_TRUE(output.append.has_value());
  EXPECT_EQ(output.append->hard_state, (HardState{Term(5), k2}));
  EXPECT_THAT(output.messages, IsEmpty());
  EXPECT_THAT(output.append->after_durable, SizeIs(1));
}

// ---- 3.9 Timing and availability. ----

TEST_F(FiveVotersThesisTest, Thesis_3_9_AMajorityIsEnoughToGoOn) {
  cluster_.Elect(k1);
  cluster_.Crash(k4);
  cluster_.Crash(k5);
  cluster_.Propose(k1, "x");
  cluster_.RunFor(Seconds(5));
  EXPECT_TRUE(cluster_.core(k1).leading());
  EXPECT_EQ(cluster_.applied(k3), Commands{"x"});
}

TEST_F(FiveVotersThesisTest, Thesis_3_9_WithoutAMajorityNothingIsLostAndNothingHappens) {
  cluster_.Elect(k1);
  for (NodeId member : {k3, k4, k5}) cluster_.Crash(member);
  cluster_.Propose(k1, "x");
  cluster_.RunFor(Seconds(10));
  EXPECT_EQ(cluster_.Leader(), kNoNode);
  EXPECT_THAT(cluster_.applied(k1), IsEmpty());
  cluster_.Restart(k3);
  cluster_.RunFor(Seconds(10));
  EXPECT_NE(cluster_.Leader(), kNoNode);
}

}  // namespace
}  // namespace conclave::raft
