// Members whose every move the test makes: good ones, and a bad one for each rule.
#include "jepsen-style-tests/sim/raft_invariants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "jepsen-style-tests/sim/raft_invariants_fixture.h"

namespace conclave::sim {
namespace {

using raft::AppendResponse;
using raft::Configuration;
using raft::Entry;
using raft::EntryKind;
using raft::HardState;
using raft::LogIndex;
using raft::NodeId;
using raft::Term;
using raft::VoteRequest;
using raft::VoteResponse;
using raft::WriteId;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// ---- What is right. ----

TEST_F(RaftInvariantsTest, ElectionReplicationAndApplyAreWell) {
  Commit2();
  b_.Commit(2);
  b_.Apply(1, "", 1);
  b_.Apply(2, "x", 2);
  b_.Look();
  EXPECT_THAT(rules_.problems(), IsEmpty());
  EXPECT_EQ(rules_.committed(), LogIndex(2));
  EXPECT_GT(rules_.checked(), 40U);
}

TEST_F(RaftInvariantsTest, ARestartMayFindWhatWasHandedOver) {
  Commit2();
  a_.Write({Command(3, 1, "y")});
  a_.Write({Command(4, 1, "z")});
  a_.disk().entries.push_back(Command(3, 1, "y"));  // the first of two writes
  a_.Restart();
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ARestartMayFindWhatReplacesDurableEntries) {
  Elect1();
  a_.WriteAndSync({Command(2, 1, "x"), Command(3, 1, "y")});
  c_.VoteFor(3, 2);
  b_.VoteFor(3, 2);
  a_.EnterTerm(2, 0);
  a_.Write({Noop(2, 2)});
  a_.disk().entries = {Noop(1, 1), Noop(2, 2)};
  a_.Restart();
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, AVoteThatNeverLeftMayBeForgotten) {
  b_.Write(HardState{Term(1), NodeId(1)}, {});
  b_.Restart();
  b_.VoteFor(3, 1);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ALateAcknowledgementOfAReplacedEntryIsWell) {
  Elect1();
  c_.EnterTerm(1, 0);
  c_.WriteAndSync({Noop(1, 1), Command(2, 1, "x")});
  c_.EnterTerm(2, 0);
  c_.WriteAndSync({Noop(1, 2)});
  c_.Acknowledge(1, 1, 2);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ASnapshotTakesThePlaceOfStateAndLog) {
  Commit2();
  a_.WriteAndSync({Command(3, 1, "y")});
  c_.EnterTerm(1, 0);
  c_.Install(2, 1, 2);
  c_.ResetLog(2, 1);
  c_.Acknowledge(1, 1, 2);
  c_.WriteAndSync({Command(3, 1, "y")});
  c_.Acknowledge(1, 1, 3);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ACrashBetweenASnapshotAndTheLogsResetIsWell) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Install(2, 1, 2);
  rules_.OnCrash(NodeId(3));
  c_.Start({.applied = 2, .installed = 2, .revision = 2});
  c_.view().log_starts_anew = true;
  c_.view().last_index = c_.view().durable = LogIndex(2);
  c_.Look();
  c_.ResetLog(2, 1);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ASnapshotOfWhatIsNotCommitted) {
  Elect1();
  a_.WriteAndSync({Command(2, 1, "x")});
  c_.Install(2, 1, 2);
  ExpectProblem("state machine safety", "3 installs a snapshot of entry 2 of term 1");
}

TEST_F(RaftInvariantsTest, ASnapshotWithAnotherRevision) {
  Commit2();
  c_.Install(2, 1, 7);
  ExpectProblem("state machine safety", "3 has revision 7 after entry 2, 2 was seen there");
}

TEST_F(RaftInvariantsTest, ASnapshotFromThePast) {
  Commit2();
  a_.Install(1, 1, 1);
  ExpectProblem("monotone", "1 goes from entry 2 to a snapshot of 1");
}

TEST_F(RaftInvariantsTest, ALogIsStartedAnewElsewhereThanTheStoreIs) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Install(2, 1, 2);
  c_.ResetLog(1, 1);
  ExpectProblem("durability", "3 starts its log anew after 1, its store is at 2");
}

TEST_F(RaftInvariantsTest, AnAcknowledgementLeavesBeforeTheLogsResetIsDurable) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Install(2, 1, 2);
  c_.Acknowledge(1, 1, 2);
  ExpectProblem("left before durable", "3 acknowledges 2 with a log up to 0 on its disk");
}

TEST_F(RaftInvariantsTest, ALogIsLetGoOfThatWasApplied) {
  Commit2();
  a_.Release(2, 1);
  EXPECT_THAT(rules_.problems(), IsEmpty());
  a_.disk().snapshot_index = LogIndex(1);  // no write leaves this
  a_.disk().snapshot_term = Term(1);
  a_.disk().entries = {Command(2, 1, "x")};
  rules_.OnCrash(NodeId(1));
  a_.Start(/*applied=*/2);
  ExpectProblem("durability", "1 has a log from 1 to 2 that its writes cannot have left");
}

// ---- Elections. ----

TEST_F(RaftInvariantsTest, TwoLeadersInOneTerm) {
  Elect1();
  c_.EnterTerm(1, 3);
  c_.Lead();
  ExpectProblem("election safety", "1 and 3 lead term 1");
}

TEST_F(RaftInvariantsTest, TwoMembersSpeakAsLeaders) {
  a_.Send(2, 1, raft::Heartbeat{});
  c_.Send(2, 1, raft::AppendRequest{});
  ExpectProblem("election safety", "1 and 3 lead term 1");
}

TEST_F(RaftInvariantsTest, LeadsWithoutAQuorumOfVotes) {
  a_.EnterTerm(1, 1);
  learner_.VoteFor(1, 1);
  a_.Lead();
  ExpectProblem("election safety", "1 leads term 1 without the votes of a quorum");
}

TEST_F(RaftInvariantsTest, LeadsOnAVoteThatIsNotDurable) {
  b_.VoteFor(1, 1);
  c_.VoteFor(1, 1);
  a_.Write(HardState{Term(1), NodeId(1)}, {});
  a_.view().term = Term(1);
  a_.Lead();
  ExpectProblem("election safety", "1 leads term 1 without a durable vote");
}

TEST_F(RaftInvariantsTest, VotesTwiceAcrossARestart) {
  b_.VoteFor(1, 1);
  b_.disk().hard_state = {};
  rules_.OnWiped(NodeId(2));
  b_.Start();
  b_.VoteFor(3, 1);
  ExpectProblem("one vote per term", "2 votes for 1 and 3 in term 1");
}

TEST_F(RaftInvariantsTest, TakesItsVoteBack) {
  b_.VoteFor(1, 1);
  b_.EnterTerm(1, 0);
  ExpectProblem("one vote per term", "2 writes a vote for 0 after one for 1 in term 1");
}

TEST_F(RaftInvariantsTest, TermGoesBack) {
  b_.EnterTerm(5, 0);
  b_.EnterTerm(4, 0);
  ExpectProblem("monotone", "2 writes term 4 after term 5");
  ExpectProblem("monotone", "2 goes from term 5 to 4");
}

TEST_F(RaftInvariantsTest, ANewLeaderLacksACommittedEntry) {
  Commit2();
  c_.EnterTerm(2, 3);
  b_.VoteFor(3, 2);
  c_.Lead();
  ExpectProblem("leader completeness", "3 leads term 2 without committed entry 2 of term 1");
}

// Whose votes were long on their way: it leads a term that the others have left behind.
TEST_F(RaftInvariantsTest, ALateLeaderNeedNotHoldWhatLaterTermsCommitted) {
  c_.EnterTerm(2, 3);
  b_.VoteFor(3, 2);
  a_.EnterTerm(3, 1);
  b_.VoteFor(1, 3);
  a_.Lead();
  for (Puppet* member : {&a_, &b_}) member->WriteAndSync({Noop(1, 3)});
  b_.Acknowledge(1, 3, 1);
  a_.Commit(1);
  c_.Lead();
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, LeadershipIsHandedToAMemberThatIsBehind) {
  Commit2();
  a_.Send(2, 1, raft::TimeoutNow{});
  EXPECT_THAT(rules_.problems(), IsEmpty());
  a_.Send(3, 1, raft::TimeoutNow{});
  ExpectProblem("transfer", "1 hands leadership to 3, which does not hold entry 2");
}

// It is behind in a term that the target has left: nobody heeds it.
TEST_F(RaftInvariantsTest, ADeposedLeaderHandsOverWhatIsNoLongerItsOwn) {
  Commit2();
  c_.EnterTerm(2, 2);
  c_.Look();
  a_.Send(3, 1, raft::TimeoutNow{});
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

// ---- Logs. ----

TEST_F(RaftInvariantsTest, TheSameEntryWithOtherBytes) {
  Elect1();
  a_.Write({Command(2, 1, "x")});
  b_.Write({Noop(1, 1), Command(2, 1, "y")});
  ExpectProblem("log matching", "2 has another entry 2 of term 1");
}

TEST_F(RaftInvariantsTest, TheSameEntryAfterAnother) {
  a_.Write({Noop(1, 1), Command(2, 2, "x")});
  b_.Write({Noop(1, 2), Command(2, 2, "x")});
  ExpectProblem("log matching", "2 has another entry 2 of term 2");
}

TEST_F(RaftInvariantsTest, AcknowledgesAnotherEntryThanTheLeaders) {
  Elect1();
  c_.EnterTerm(1, 0);
  c_.WriteAndSync({Noop(1, 0)});
  c_.Acknowledge(1, 1, 1);
  ExpectProblem("log matching", "3 acknowledges 1 to 1 and has another entry there");
}

TEST_F(RaftInvariantsTest, ACoreBelievesInALogThatItNeverWrote) {
  Elect1();
  a_.view().last_index = LogIndex(2);
  a_.Look();
  ExpectProblem("durability", "the log of 1 ends at 2, what it wrote at 1");
}

// ---- What leaves before its write. ----

TEST_F(RaftInvariantsTest, AVoteLeavesBeforeItIsDurable) {
  b_.Write(HardState{Term(1), NodeId(1)}, {});
  b_.Send(1, 1, VoteResponse{.pre_vote = false, .granted = true});
  ExpectProblem("left before durable", "the vote of 2 for 1 in term 1");
}

TEST_F(RaftInvariantsTest, ACandidatesRequestLeavesBeforeItsOwnVoteIsDurable) {
  b_.Write(HardState{Term(1), NodeId(2)}, {});
  b_.Send(1, 1, VoteRequest{});
  ExpectProblem("left before durable", "the vote of 2 for 2 in term 1");
}

TEST_F(RaftInvariantsTest, PreVotesAndRefusalsPromiseNothing) {
  VoteRequest asks;
  asks.pre_vote = true;
  b_.Send(1, 7, asks);
  b_.Send(1, 7, VoteResponse{.pre_vote = true, .granted = true});
  b_.Send(1, 7, VoteResponse{.pre_vote = false, .granted = false});
  b_.Send(1, 7, AppendResponse{});
  b_.Send(1, 7, raft::HeartbeatResponse{});
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, AnAcknowledgementLeavesBeforeItsEntriesAreDurable) {
  Elect1();
  b_.Write({Noop(1, 1)});
  b_.Acknowledge(1, 1, 1);
  ExpectProblem("left before durable", "2 acknowledges 1 with a log up to 0 on its disk");
}

TEST_F(RaftInvariantsTest, AnAcknowledgementLeavesBeforeItsTermIsDurable) {
  b_.Write(HardState{Term(1), NodeId(0)}, {});
  b_.Acknowledge(1, 1, 0);
  ExpectProblem("left before durable", "2 acknowledges in term 1 with term 0 on its disk");
}

// ---- Commits. ----

TEST_F(RaftInvariantsTest, CommitsWhatIsOnTooFewDisks) {
  Elect1();
  b_.Write({Noop(1, 1)});
  a_.Commit(1);
  ExpectProblem("commit without quorum", "1 commits 1 of term 1, not on the disks");
}

TEST_F(RaftInvariantsTest, CountsALearner) {
  Elect1();
  learner_.EnterTerm(1, 0);
  learner_.WriteAndSync({Noop(1, 1)});
  learner_.Acknowledge(1, 1, 1);
  a_.Commit(1);
  ExpectProblem("commit without quorum", "1 commits 1 of term 1, not on the disks");
}

TEST_F(RaftInvariantsTest, CommitsAnEntryOfAnEarlierTermByCounting) {
  Elect1();
  b_.WriteAndSync({Noop(1, 1)});
  a_.EnterTerm(2, 1);
  c_.VoteFor(1, 2);
  a_.Lead();
  a_.WriteAndSync({Noop(2, 2)});
  EXPECT_THAT(rules_.problems(), IsEmpty());
  a_.Commit(1);
  ExpectProblem("commit without quorum", "1 commits 1 of term 1 by counting in term 2");
}

TEST_F(RaftInvariantsTest, AFollowerBelievesAnotherEntryToBeCommitted) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.WriteAndSync({Noop(1, 1), Noop(2, 0)});
  c_.Commit(2);
  ExpectProblem("state machine safety", "3 believes another entry 2 to be committed");
}

TEST_F(RaftInvariantsTest, AFollowerBelievesWhatItDoesNotHoldToBeCommitted) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Commit(2);
  ExpectProblem("state machine safety", "3 believes 2 to be committed, its log ends at 0");
}

TEST_F(RaftInvariantsTest, CommitGoesBack) {
  Commit2();
  a_.Commit(1);
  ExpectProblem("monotone", "1 goes from commit 2 to 1");
}

TEST_F(RaftInvariantsTest, CountsOnEntriesThatAreNotDurable) {
  Elect1();
  b_.Write({Noop(1, 1)});
  b_.view().durable = LogIndex(1);
  b_.Look();
  ExpectProblem("durability", "2 counts on entry 1 of term 1, which is not on its disk");
}

TEST_F(RaftInvariantsTest, CountsOnReplacedEntries) {
  b_.WriteAndSync({Noop(1, 1), Command(2, 1, "x")});
  b_.Write({Noop(2, 2)});
  b_.view().durable = LogIndex(2);
  b_.Look();
  ExpectProblem("durability", "2 counts on entry 2 of term 2, which is not on its disk");
}

// ---- The state machine. ----

TEST_F(RaftInvariantsTest, AppliesOutOfOrder) {
  Commit2();
  b_.Apply(2, "x", 2);
  ExpectProblem("state machine safety", "2 applies 2 after 0");
}

TEST_F(RaftInvariantsTest, AppliesTwice) {
  Commit2();
  a_.Apply(2, "x", 3);
  ExpectProblem("state machine safety", "1 applies 2 after 2");
}

TEST_F(RaftInvariantsTest, AppliesOtherBytes) {
  Commit2();
  b_.Apply(1, "", 1);
  b_.Apply(2, "y", 2);
  ExpectProblem("state machine safety", "2 applies another entry 2");
}

TEST_F(RaftInvariantsTest, AppliesWhatNoQuorumHas) {
  Elect1();
  a_.Apply(1, "", 1);
  ExpectProblem("commit without quorum", "1 commits 1");
}

TEST_F(RaftInvariantsTest, AppliesBeforeItIsDurableThere) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Write({Noop(1, 1)});
  c_.Apply(1, "", 1);
  ExpectProblem("left before durable", "3 applies entry 1 of term 1, not on its disk");
}

TEST_F(RaftInvariantsTest, RevisionsDiffer) {
  Commit2();
  b_.Apply(1, "", 1);
  b_.Apply(2, "x", 3);
  ExpectProblem("state machine safety", "2 has revision 3 after entry 2, 2 was seen there");
}

TEST_F(RaftInvariantsTest, RevisionGoesBack) {
  Commit2();
  b_.Apply(1, "", 1);
  b_.Apply(2, "x", 0);
  ExpectProblem("monotone", "2 goes from revision 1 to 0");
}

// ---- Crashes. ----

TEST_F(RaftInvariantsTest, ARecoveredLogLacksADurableEntry) {
  Commit2();
  b_.disk().entries.pop_back();
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
}

TEST_F(RaftInvariantsTest, ARecoveredLogHasAnotherEntry) {
  Commit2();
  b_.disk().entries.back() = Command(2, 1, "y");
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
  ExpectProblem("log matching", "2 has another entry 2 of term 1");
}

TEST_F(RaftInvariantsTest, ARecoveredLogHasWhatWasNeverWritten) {
  Commit2();
  b_.disk().entries.push_back(Command(3, 1, "y"));
  b_.Restart();
  ExpectProblem("durability", "2 has a log from 0 to 3 that its writes cannot have left");
}

TEST_F(RaftInvariantsTest, WhatIsLeftOfADamagedLogMayHaveBeenReplaced) {
  b_.EnterTerm(1, 0);
  b_.WriteAndSync({Command(1, 1, "old")});
  b_.EnterTerm(2, 0);
  b_.WriteAndSync({Noop(1, 2), Command(2, 2, "x")});
  b_.Damage({Command(1, 1, "old")});
  b_.disk().entries = {Command(1, 1, "old")};
  b_.disk().lost_through = LogIndex(2);
  b_.Restart();
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsTest, ALogSaysThatItLostLessThanItHeld) {
  Commit2();
  b_.Damage({});
  b_.disk().entries.clear();
  b_.disk().lost_through = LogIndex(1);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 1 of term 1, which was durable");
}

TEST_F(RaftInvariantsTest, TheRestOfALogHasAnotherEntry) {
  Commit2();
  b_.Damage({Noop(1, 1)});
  b_.disk().entries.pop_back();
  b_.disk().entries.front() = Command(1, 1, "y");
  b_.disk().lost_through = LogIndex(2);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 1 of term 1, which was durable");
  ExpectProblem("log matching", "2 has another entry 1 of term 1");
}

TEST_F(RaftInvariantsTest, AVoteIsLostWithTheEntries) {
  Commit2();
  b_.VoteFor(1, 3);
  b_.Damage({Noop(1, 1)});
  b_.disk().hard_state.vote = raft::kNoNode;
  b_.disk().entries.pop_back();
  b_.disk().lost_through = LogIndex(2);
  b_.Restart();
  ExpectProblem("durability", "2 has term 3 and vote 0, but term 3 and vote 1 were durable");
}

TEST_F(RaftInvariantsTest, TheHardStateWentBack) {
  b_.VoteFor(1, 3);
  b_.disk().hard_state.vote = raft::kNoNode;
  b_.Restart();
  ExpectProblem("durability", "2 has term 3 and vote 0, but term 3 and vote 1 were durable");
}

TEST_F(RaftInvariantsTest, TheStoreIsAheadOfWhatIsCommitted) {
  Elect1();
  b_.WriteAndSync({Noop(1, 1)});
  rules_.OnCrash(NodeId(2));
  b_.Start(/*applied=*/1);
  ExpectProblem("durability", "the store of 2 holds entry 1, which was never committed");
}

TEST_F(RaftInvariantsTest, TheStoreIsBehindTheLog) {
  Commit2();
  a_.Release(2, 1);
  a_.disk().snapshot_index = LogIndex(2);
  a_.disk().snapshot_term = Term(1);
  a_.disk().entries = {};
  a_.Restart();
  ExpectProblem("durability", "the store of 1 ends at 0, its log has 3 to 2");
}

// The new state and the old log, as a crash leaves them between the two.
TEST_F(RaftInvariantsTest, ALogFromBeforeAnAppliedStateIsALogThatLostItsEnd) {
  Commit2();
  c_.disk().hard_state = {.term = Term(1), .vote = raft::kNoNode};
  rules_.OnCrash(NodeId(3));
  c_.Start({.applied = 2, .installed = 0, .revision = 2});
  ExpectProblem("durability", "the store of 3 ends at 2, its log has 1 to 0");
}

TEST_F(RaftInvariantsTest, ALogIsLetGoThatIsNotApplied) {
  Commit2();
  b_.Release(2, 1);
  ExpectProblem("durability", "2 lets go of its log up to 2, applied is 0");
}

// ---- A real core. ----

TEST(RaftInvariantsCoreTest, ACoreThatLeadsAloneKeepsEveryRule) {
  const NodeId id(1);
  const Configuration alone{.voters = {id}, .outgoing = {}, .learners = {}};
  RaftInvariants rules;
  raft::WalContents recovered;
  recovered.configuration = alone;
  rules.OnStart(id, recovered, {.applied = 0, .installed = 0, .revision = 1});
  raft::RecoveredState state;
  state.configuration = alone;
  raft::CoreConfig config;
  config.id = id;
  raft::Core core(config, state, /*seed=*/1, Instant(Seconds(1)));
  core.Step(Instant(Seconds(1)), raft::Woke{});
  for (int writes = 0; writes < 2; ++writes) {
    const raft::Output output = core.TakeOutput();
    ASSERT_TRUE(output.append.has_value());
    rules.OnAppend(id, *output.append);
    rules.AfterEvent(id, core);
    rules.OnDurable(id, output.append->write);
    core.Step(Instant(Seconds(1)), raft::Appended{output.append->write});
  }
  const raft::Output output = core.TakeOutput();
  ASSERT_EQ(output.apply.size(), 1U);
  rules.OnApply(id, 1, "", 1);
  rules.AfterEvent(id, core);
  EXPECT_THAT(rules.problems(), IsEmpty());
  EXPECT_EQ(rules.committed(), LogIndex(1));
}

}  // namespace
}  // namespace conclave::sim
