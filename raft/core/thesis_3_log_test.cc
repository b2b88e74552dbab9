// Chapter 3 of the thesis: replication (3.5), commitment (3.6.2, 3.6.3), crashes (3.7, 3.8),
// leadership transfer (3.10).
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

// Member 1 leads term 1.
class LedThesisTest : public ThesisTest {
 protected:
  explicit LedThesisTest(const TestCluster::Options& options = Cluster(3)) : ThesisTest(options) {}
  void SetUp() override {
    cluster_.Elect(k1);
    sent_.clear();
  }
};

// ---- 3.5 Log replication. ----

TEST_F(LedThesisTest, Thesis_3_5_EverybodyAppliesTheSameInTheSameOrder) {
  cluster_.Propose(k1, "x");
  cluster_.Propose(k1, "y");
  cluster_.Settle();
  for (NodeId member : cluster_.members())
    EXPECT_EQ(cluster_.applied(member), (Commands{"x", "y"}));
}

TEST_F(LedThesisTest, Thesis_3_5_AnEntryIsCommittedWhenAMajorityHasIt) {
  cluster_.Propose(k1, "x");
  cluster_.FinishWrites(k1);
  EXPECT_EQ(CommitOf(k1), LogIndex(1));
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(2));
}

TEST_F(LedThesisTest, Thesis_3_5_ACommitCarriesAllEntriesBeforeIt) {
  cluster_.Propose(k1, "x");
  cluster_.Propose(k1, "y");
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(3));
}

TEST_F(LedThesisTest, Thesis_3_5_FollowersLearnOfCommitsFromTheNextMessage) {
  cluster_.Propose(k1, "x");
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k2), LogIndex(1));
  cluster_.DeliverAll(k1, k2);
  EXPECT_EQ(CommitOf(k2), LogIndex(2));
}

TEST_F(LedThesisTest, Thesis_3_5_ARequestThatDoesNotFitIsRefused) {
  Say(k1, k2, 1, Entries(5, 1, 1, 1));
  EXPECT_THAT(Sent<AppendResponse>(k1),
              ElementsAre(AllOf(Field(&AppendResponse::accepted, false),
                                Field(&AppendResponse::index, LogIndex(5)),
                                Field(&AppendResponse::hint_index, LogIndex(1)))));
  EXPECT_EQ(cluster_.core(k2).last_index(), LogIndex(1));
  cluster_.DropAll(k2, k1);
}

TEST_F(LedThesisTest, Thesis_3_5_AnEntryThatConflictsGoesWithAllThatFollow) {
  cluster_.Isolate(k1);
  cluster_.ProposeAll(k1, {"a", "b", "c"});
  cluster_.FinishWrites(k1);
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  cluster_.Heal();
  cluster_.RunFor(Seconds(2));
  EXPECT_EQ(cluster_.core(k1).last_index(), LogIndex(2));
  EXPECT_EQ(cluster_.log(k1).TermAt(LogIndex(2)), Term(2));
}

TEST_F(LedThesisTest, Thesis_3_5_WhatMatchesStays) {
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.Settle();
  Say(k1, k2, 1, Entries(0, 0, 1, 1));  // an old request comes late
  EXPECT_EQ(cluster_.core(k2).last_index(), LogIndex(3));
  cluster_.DropAll(k2, k1);
}

TEST_F(LedThesisTest, Thesis_3_5_AnAnswerSaysNoMoreThanItsRequestShowed) {
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.Settle();
  sent_.clear();
  Say(k1, k2, 1, Entries(1, 1, 1, 0));
  EXPECT_THAT(Sent<AppendResponse>(k1), ElementsAre(Field(&AppendResponse::index, LogIndex(1))));
}

TEST_F(LedThesisTest, Thesis_3_5_ALeaderNeverRewritesItsOwnLog) {
  cluster_.Isolate(k1);
  cluster_.Propose(k1, "x");
  const Entry before = *cluster_.log(k1).Find(LogIndex(2));
  cluster_.Propose(k1, "y");
  cluster_.FinishWrites(k1);
  EXPECT_EQ(*cluster_.log(k1).Find(LogIndex(2)), before);
}

TEST_F(LedThesisTest, Thesis_3_5_ALeaderTriesUntilEveryFollowerHasEverything) {
  cluster_.Crash(k3);
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.RunFor(Seconds(20));
  cluster_.Restart(k3);
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.applied(k3), (Commands{"a", "b"}));
}

TEST_F(LedThesisTest, Thesis_3_5_ANewLeaderAsksFirstWhereItsOwnLogEnds) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.LoseConnections(k1, {k2, k3});
  sent_.clear();
  cluster_.Campaign(k2, {k3});
  EXPECT_THAT(Sent<AppendRequest>(k3), ElementsAre(Field(&AppendRequest::prev_index, LogIndex(2))));
}

TEST_F(LedThesisTest, Thesis_3_5_ARefusalSkipsAWholeTerm) {
  cluster_.Isolate(k1);
  cluster_.ProposeAll(k1, {"a", "b", "c", "d", "e"});
  cluster_.FinishWrites(k1);
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  cluster_.ProposeAll(k2, {"f", "g", "h", "i", "j", "k"});
  cluster_.FinishWrites(k2);
  cluster_.Exchange(k2, k3);
  cluster_.Exchange(k2, k3);
  cluster_.Heal();
  sent_.clear();
  cluster_.RunFor(Milliseconds(300));
  size_t refusals = 0;
  for (const AppendResponse& response : Sent<AppendResponse>(k2)) refusals += !response.accepted;
  EXPECT_LE(refusals, 2u);
  EXPECT_EQ(cluster_.core(k1).last_index(), cluster_.core(k2).last_index());
}

TEST_F(LedThesisTest, Thesis_3_5_ACommitIndexIsBoundedByWhatIsKnownToMatch) {
  cluster_.Isolate(k1);
  cluster_.Propose(k1, "gone");
  cluster_.FinishWrites(k1);
  cluster_.Settle();
  cluster_.Elect(k2);
  AppendRequest request = Entries(1, 1, 2, 0);
  request.commit = LogIndex(2);
  Say(k2, k1, 2, request);
  EXPECT_EQ(CommitOf(k1), LogIndex(1));
  cluster_.DropAll(k1, k2);
}

TEST_F(LedThesisTest, Thesis_3_5_AHeartbeatSpeaksOnlyOfCommitsThatMatch) {
  cluster_.Isolate(k3);
  cluster_.Propose(k1, "a");
  cluster_.Settle();
  sent_.clear();
  cluster_.Wake(k1);
  EXPECT_THAT(Sent<Heartbeat>(k3), ElementsAre(Field(&Heartbeat::commit, LogIndex(1))));
}

// ---- 3.6.2 Committing entries from previous terms. ----

// Thesis figure 3.7 (c): leader 1 of term 3 has brought 2/1 to 2 and 3, and its own 3/3 to nobody.
class PreviousTermThesisTest : public ThesisTest {
 protected:
  PreviousTermThesisTest() : ThesisTest(OneEntryARequest()) {}

  static TestCluster::Options OneEntryARequest() {
    TestCluster::Options options = Cluster(5);
    options.config.append_entries_max = 1;
    return options;
  }

  void SetUp() override {
    cluster_.Elect(k1);
    cluster_.Propose(k1, "x");
    cluster_.FinishWrites(k1);
    cluster_.Exchange(k1, k2);
    cluster_.Crash(k1);
    cluster_.Restart(k1);
    cluster_.LoseConnections(k1, {k2, k3, k4, k5});
    cluster_.Campaign(k1, {k2, k3});
    ASSERT_EQ(TermOf(k1), Term(2));
    for (int step = 0; step < 2; ++step) {
      cluster_.Deliver(k1, k3);
      cluster_.FinishWrites(k3);
      cluster_.DeliverAll(k3, k1);
    }
    ASSERT_EQ(cluster_.log(k3).last_index(), LogIndex(2));
  }
};

TEST_F(PreviousTermThesisTest, Thesis_3_6_2_OnlyEntriesOfTheOwnTermAreCommittedByCounting) {
  cluster_.Exchange(k1, k2);
  EXPECT_EQ(CommitOf(k1), LogIndex(0)) << "2/1 is on three of five, and that proves nothing";
}

TEST_F(PreviousTermThesisTest, Thesis_3_6_2_AnEntryOfTheOwnTermCommitsThoseBeforeIt) {
  cluster_.FinishWrites(k1);
  for (int step = 0; step < 3; ++step) {
    for (NodeId follower : {k2, k3}) cluster_.Exchange(k1, follower);
  }
  EXPECT_EQ(CommitOf(k1), LogIndex(3));
}

TEST_F(ThesisTest, Thesis_3_6_2_ALeaderBeginsItsTermWithANoOp) {
  cluster_.Campaign(k1, {k2});
  const Entry* first = cluster_.log(k1).Find(LogIndex(1));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->kind, EntryKind::kNoop);
  EXPECT_EQ(first->term, Term(1));
}

TEST_F(LedThesisTest, Thesis_3_6_2_WhatWasCommittedIsAppliedUnderANewLeaderWithoutCommands) {
  cluster_.Propose(k1, "x");
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  cluster_.Crash(k1);
  cluster_.DropAll(k1, k2);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; }));
  cluster_.Settle();
  EXPECT_EQ(cluster_.applied(k3), Commands{"x"});
}

// ---- 3.6.3 Safety argument. ----

TEST_F(FiveVotersThesisTest, Thesis_3_6_3_WhatIsCommittedOutlivesAnyTwoOfFive) {
  for (uint64_t one = 1; one <= 5; ++one) {
    for (uint64_t other = one + 1; other <= 5; ++other) {
      DrivenCluster cluster(Cluster(5));
      cluster.Elect(k1);
      cluster.Propose(k1, "x");
      cluster.FinishWrites(k1);
      for (NodeId follower : {k2, k3}) cluster.Exchange(k1, follower);
      cluster.Crash(NodeId(one));
      cluster.Crash(NodeId(other));
      cluster.RunFor(Seconds(10));
      ASSERT_NE(cluster.Leader(), kNoNode);
      EXPECT_EQ(cluster.applied(cluster.Leader()), Commands{"x"}) << one << " and " << other;
      EXPECT_EQ(cluster.Verdict(), "");
    }
  }
}

// ---- 3.7 Follower and candidate crashes. ----

TEST_F(LedThesisTest, Thesis_3_7_ARepeatedRequestDoesNoHarm) {
  cluster_.Propose(k1, "x");
  cluster_.Repeat(k1, k2);
  cluster_.Settle();
  EXPECT_EQ(cluster_.core(k2).last_index(), LogIndex(2));
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

TEST_F(LedThesisTest, Thesis_3_7_AFollowerThatCrashesBeforeItAnswersIsAskedAgain) {
  cluster_.Propose(k1, "x");
  cluster_.DeliverAll(k1, k2);
  cluster_.Crash(k2);
  cluster_.Restart(k2);
  cluster_.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

// ---- 3.8 Persisted state and server restarts. ----

TEST_F(LedThesisTest, Thesis_3_8_AFollowerAnswersAfterItsDisk) {
  cluster_.Propose(k1, "a");
  sent_.clear();
  cluster_.Deliver(k1, k2);
  EXPECT_THAT(Sent<AppendResponse>(k1), IsEmpty());
  cluster_.FinishWrite(k2);
  EXPECT_THAT(Sent<AppendResponse>(k1), ElementsAre(Field(&AppendResponse::index, LogIndex(2))));
}

TEST_F(LedThesisTest, Thesis_3_8_TheLogSurvivesACrashAndTheCommitIndexNeedNot) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Crash(k2);
  cluster_.Restart(k2);
  EXPECT_EQ(cluster_.core(k2).last_index(), LogIndex(2));
  EXPECT_EQ(CommitOf(k2), LogIndex(0));
  cluster_.RunFor(Milliseconds(300));
  EXPECT_EQ(CommitOf(k2), LogIndex(2));
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

TEST_F(LedThesisTest, Thesis_3_8_WhatTheStateMachineHoldsIsNotAppliedAgain) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Compact(k2, LogIndex(2));
  cluster_.Crash(k2);
  cluster_.Restart(k2);
  EXPECT_EQ(CommitOf(k2), LogIndex(2));
  cluster_.RunFor(Milliseconds(300));
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

TEST_F(LedThesisTest, Thesis_3_8_AllMembersMayRestartAtOnce) {
  cluster_.ProposeAll(k1, {"x", "y"});
  cluster_.Settle();
  for (NodeId member : cluster_.members()) cluster_.Crash(member);
  for (NodeId member : cluster_.members()) cluster_.Restart(member);
  cluster_.RunFor(Seconds(5));
  for (NodeId member : cluster_.members())
    EXPECT_EQ(cluster_.applied(member), (Commands{"x", "y"}));
}

// ---- 3.10 Leadership transfer extension. ----

TEST_F(LedThesisTest, Thesis_3_10_TheTargetLeadsWithoutWaiting) {
  const Instant before = cluster_.now();
  cluster_.Step(k1, TransferRequested{k3});
  cluster_.Settle();
  EXPECT_EQ(cluster_.Leader(), k3);
  EXPECT_EQ(cluster_.now(), before);
  EXPECT_EQ(cluster_.status(k1).leader, k3);
}

TEST_F(LedThesisTest, Thesis_3_10_TheTargetIsBroughtUpToDateFirst) {
  cluster_.Propose(k1, "x");
  cluster_.Step(k1, TransferRequested{k2});
  EXPECT_THAT(Sent<TimeoutNow>(k2), IsEmpty());
  cluster_.Settle();
  EXPECT_EQ(cluster_.Leader(), k2);
  EXPECT_EQ(cluster_.applied(k3), Commands{"x"});
}

TEST_F(LedThesisTest, Thesis_3_10_TheLeaderTakesNoProposalsMeanwhile) {
  cluster_.Step(k1, TransferRequested{k2});
  cluster_.Propose(k1, "x");
  EXPECT_THAT(cluster_.proposals_failed,
              ElementsAre(Field(&ProposalFailed::reason, RejectReason::kTransferring)));
}

TEST_F(LedThesisTest, Thesis_3_10_ATransferEndsAfterAnElectionTimeout) {
  cluster_.Crash(k3);
  cluster_.Step(k1, TransferRequested{k3});
  cluster_.RunFor(Milliseconds(950));
  EXPECT_EQ(cluster_.status(k1).transferee, k3);
  cluster_.RunFor(Milliseconds(100));
  EXPECT_EQ(cluster_.status(k1).transferee, kNoNode);
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

TEST_F(LedThesisTest, Thesis_3_10_WithoutATargetTheMostUpToDateVoterIsChosen) {
  cluster_.Propose(k1, "x");
  cluster_.Drop(k1, k2);
  cluster_.Exchange(k1, k3);
  cluster_.Step(k1, TransferRequested{kNoNode});
  EXPECT_EQ(cluster_.status(k1).transferee, k3);
}

TEST_F(LedThesisTest, Thesis_3_10_NobodyElseIsHandedLeadership) {
  cluster_.Step(k1, TransferRequested{k1});
  cluster_.Step(k1, TransferRequested{NodeId(9)});
  cluster_.Step(k2, TransferRequested{k3});
  EXPECT_EQ(cluster_.status(k1).transferee, kNoNode);
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(LedThesisTest, Thesis_3_10_OnlyTheLeadersWordCounts) {
  Say(k3, k2, 1, TimeoutNow{});
  EXPECT_EQ(cluster_.status(k2).role, RoleName::kFollower);
}

TEST_F(LedThesisTest, Thesis_3_10_TheTargetsRequestsInterruptALiveLeader) {
  cluster_.Step(k1, TransferRequested{k2});
  cluster_.DeliverAll(k1, k2);
  cluster_.FinishWrites(k2);
  ASSERT_THAT(Sent<VoteRequest>(k3), ElementsAre(Field(&VoteRequest::transfer, true)));
  cluster_.Exchange(k2, k3);
  EXPECT_TRUE(cluster_.core(k2).leading()) << "3 has heard its leader a moment ago";
}

}  // namespace
}  // namespace conclave::raft
