// Chapters 9 and 10 of the thesis: pre-vote (9.6), the leader's disk in parallel with the followers
// (10.2.1), batching and pipelining (10.2.2).
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

VoteRequest PreVote(uint64_t last_index, uint64_t last_term) {
  VoteRequest request = AskForVote(last_index, last_term);
  request.pre_vote = true;
  return request;
}

// ---- 9.6 Preventing disruptions when a server rejoins the cluster. ----

TEST_F(ThesisTest, Thesis_9_6_APreVoteChangesNothing) {
  Say(k2, k1, 5, PreVote(0, 0));
  EXPECT_EQ(TermOf(k1), Term(0));
  EXPECT_EQ(cluster_.status(k1).vote, kNoNode);
  EXPECT_EQ(cluster_.writes_under_way(k1), 0u);
  EXPECT_THAT(Sent<VoteResponse>(k2), SizeIs(1));
}

TEST_F(ThesisTest, Thesis_9_6_APreVoteIsGrantedToSeveral) {
  Say(k2, k1, 5, PreVote(0, 0));
  Say(k3, k1, 5, PreVote(0, 0));
  for (NodeId candidate : {k2, k3}) {
    const std::deque<Message> answers = cluster_.Link(k1, candidate);
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_TRUE(std::get<VoteResponse>(answers[0].body).granted);
    cluster_.DropAll(k1, candidate);
  }
}

TEST_F(ThesisTest, Thesis_9_6_APreVoteIsRefusedToALogThatIsBehind) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Crash(k1);
  cluster_.Advance(Seconds(3));
  sent_.clear();
  Say(k3, k2, 9, PreVote(1, 1));
  const std::vector<VoteResponse> answers = Sent<VoteResponse>(k3);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_FALSE(answers[0].granted);
}

TEST_F(ThesisTest, Thesis_9_6_WhoHearsALeaderDoesNotEncourageAnybody) {
  cluster_.Elect(k1);
  sent_.clear();
  Say(k3, k2, 9, PreVote(9, 8));
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(ThesisTest, Thesis_9_6_ACutMemberStaysInItsTerm) {
  cluster_.Elect(k1);
  cluster_.Isolate(k3);
  cluster_.RunFor(Seconds(30));
  EXPECT_EQ(cluster_.status(k3).role, RoleName::kPreCandidate);
  EXPECT_EQ(TermOf(k3), Term(1));
  cluster_.Heal();
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.status(k3).leader, k1);
  EXPECT_EQ(TermOf(k1), Term(1));
}

// ---- 10.2.1 Writing to the leader's disk in parallel. ----

TEST_F(ThesisTest, Thesis_10_2_1_TheLeadersDiskAndTheFollowersWorkAtTheSameTime) {
  cluster_.Elect(k1);
  sent_.clear();
  cluster_.Propose(k1, "x");
  EXPECT_EQ(cluster_.writes_under_way(k1), 1u);
  EXPECT_THAT(Sent<AppendRequest>(k2), SizeIs(1));
}

TEST_F(ThesisTest, Thesis_10_2_1_TheLeaderCountsItselfOnlyWhenDurable) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "x");
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(1)) << "only one disk has it";
  cluster_.FinishWrite(k1);
  EXPECT_EQ(CommitOf(k1), LogIndex(2));
}

TEST_F(ThesisTest, Thesis_10_2_1_FollowersAloneMayCommitAndTheLeaderAppliesLater) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "x");
  for (NodeId follower : {k2, k3}) cluster_.Exchange(k1, follower);
  EXPECT_EQ(CommitOf(k1), LogIndex(2));
  EXPECT_FALSE(cluster_.Apply(k1)) << "it is not durable here";
  cluster_.FinishWrite(k1);
  EXPECT_TRUE(cluster_.Apply(k1));
}

// ---- 10.2.2 Batching and pipelining. ----

TEST_F(ThesisTest, Thesis_10_2_2_WhatIsProposedInOneDrainIsOneWriteAndOneRequest) {
  cluster_.Elect(k1);
  sent_.clear();
  cluster_.ProposeAll(k1, {"a", "b", "c"});
  EXPECT_EQ(cluster_.writes_under_way(k1), 1u);
  const std::vector<AppendRequest> requests = Sent<AppendRequest>(k2);
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(requests[0].entries, SizeIs(3));
}

TEST_F(ThesisTest, Thesis_10_2_2_RequestsDoNotWaitForAnswers) {
  cluster_.Elect(k1);
  sent_.clear();
  cluster_.Propose(k1, "a");
  cluster_.Propose(k1, "b");
  const std::vector<AppendRequest> requests = Sent<AppendRequest>(k2);
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_EQ(requests[1].prev_index, LogIndex(2));
}

TEST_F(ThesisTest, Thesis_10_2_2_OneAnswerStandsForAllBeforeIt) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "a");
  cluster_.Propose(k1, "b");
  cluster_.FinishWrites(k1);
  cluster_.DeliverAll(k1, k2);
  cluster_.FinishWrites(k2);
  cluster_.Drop(k2, k1);  // the answer to the first
  cluster_.DeliverAll(k2, k1);
  EXPECT_EQ(CommitOf(k1), LogIndex(3));
}

TEST_F(ThesisTest, Thesis_10_2_2_AFollowerTakesRequestsThatOvertakeEachOther) {
  cluster_.Elect(k1);
  cluster_.Propose(k1, "a");
  cluster_.Propose(k1, "b");
  cluster_.Deliver(k1, k2, 1);
  cluster_.Deliver(k1, k2);
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.applied(k2), (Commands{"a", "b"}));
}

}  // namespace
}  // namespace conclave::raft
