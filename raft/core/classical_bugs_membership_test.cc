// Classical bugs of membership: majorities that do not overlap, members that count though they
// should not, and members that are gone and do not know it.
#include "raft/core/classical_bugs.h"

namespace conclave::raft {
namespace {

using enum SeededBug;

constexpr MemberChange Add(NodeId node) { return {MemberChangeKind::kAddVoter, node}; }
constexpr MemberChange Learn(NodeId node) { return {MemberChangeKind::kAddLearner, node}; }
constexpr MemberChange Remove(NodeId node) { return {MemberChangeKind::kRemove, node}; }

// Members 2 and 3 have heard nothing of what 1 has appended, and elect a leader among themselves.
void OldMajorityElects2(DrivenCluster& c) {
  c.DropAll(k1, k2);
  c.DropAll(k1, k3);
  c.LoseConnections(k1, {k2, k3});
  c.Campaign(k2, {k3});
  c.Expect(c.core(k2).leading(), "by all that 2 and 3 know they are a majority");
}

// Members 4 and 5 start, and member 1 has written what it proposed.
void Join4And5(DrivenCluster& c) {
  c.Join(k4, k1);
  c.Join(k5, k1);
  c.FinishWrites(k1);
}

// As often as it takes them to get all of the log.
void Exchange4And5(DrivenCluster& c) {
  for (int round = 0; round < 8; ++round) {
    c.Exchange(k1, k4);
    c.Exchange(k1, k5);
  }
}

// From {1, 2, 3} by way of 4 to 5 without waiting: {1, 4, 5} and {2, 3} are majorities.
TEST_F(ClassicalBugTest, TwoChangesOverlap) {
  Expect(kSecondChangeEarly, "leader completeness: 2 leads term 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeChange(k1, {Add(k4)});
    c.ProposeChange(k1, {Add(k5)});
    Join4And5(c);
    Exchange4And5(c);
    c.Expect(c.status(k1).commit == LogIndex(1), "two of four hold the first change");
    OldMajorityElects2(c);
  });
}

// The flaw that was found in the thesis in 2015. Member 1 has removed 4 and nobody knows; member 2,
// new in its term, removes 3. {1, 3} and {2, 4} are majorities.
TEST_F(ClassicalBugTest, ANewLeaderChangesTheMembershipAtOnce) {
  options_.voters = 4;
  Expect(kChangeBeforeOwnTermCommit, "leader completeness: 1 leads term 3", [](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeChange(k1, {Remove(k4)});
    c.FinishWrites(k1);
    for (NodeId other : {k2, k3, k4}) c.DropAll(k1, other);
    c.LoseConnections(k1, {k2, k3, k4});
    c.Campaign(k2, {k3, k4});
    c.ProposeChange(k2, {Remove(k3)});
    c.FinishWrites(k2);
    for (NodeId other : {k1, k3}) c.DropAll(k2, other);
    for (int round = 0; round < 3; ++round) c.Exchange(k2, k4);
    c.Expect(c.status(k2).commit == LogIndex(1), "two of four hold the no-op of term 2");
    c.Crash(k2);
    c.Crash(k1);
    c.Restart(k1);
    c.LoseConnections(k2, {k3, k4});
    for (int attempt = 0; attempt < 2; ++attempt) {
      c.FinishWrites(k1);
      if (!c.core(k1).leading()) c.Campaign(k1, {k3});
    }
    c.Expect(c.core(k1).leading(), "by its own log 1 needs 3 only");
  });
}

// From {1, 2, 3} to {1, 4, 5} in one step.
TEST_F(ClassicalBugTest, SeveralVotersChangeInOneStep) {
  Expect(kManyVotersAtOnce, "leader completeness: 2 leads term 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeChange(k1, {Remove(k2), Remove(k3), Add(k4), Add(k5)});
    c.Expect(c.core(k1).configuration().joint(), "both majorities count");
    Join4And5(c);
    Exchange4And5(c);
    c.Expect(c.status(k1).commit == LogIndex(1), "one of {1, 2, 3} has it");
    OldMajorityElects2(c);
  });
}

// The joint configuration is in the log, and an entry before it is committed. If it is left then,
// the new majority alone decides while the old one has never heard of it.
TEST_F(ClassicalBugTest, AJointConfigurationIsLeftBeforeItIsCommitted) {
  options_.config.append_entries_max = 1;
  Expect(kJointLeftEarly, "leader completeness: 2 leads term 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.ProposeChange(k1, {Remove(k2), Remove(k3), Add(k4), Add(k5)});
    Join4And5(c);
    // Of the old ones 2 gets x, and not the change.
    c.Deliver(k1, k2);
    c.FinishWrites(k2);
    c.DeliverAll(k2, k1);
    Exchange4And5(c);
    c.Expect(c.status(k1).commit == LogIndex(2), "x, and not the change");
    c.Expect(c.core(k1).configuration().joint(), "so it is not left");
    OldMajorityElects2(c);
  });
}

// Member 4 is removed without knowing it, hears nobody, and asks for votes for ever. It is refused
// twice over: the others hear their leader, and their logs have the entry that removed it.
TEST_F(ClassicalBugTest, ARemovedMemberBringsTheLeaderDown) {
  options_.voters = 4;
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k4);
    c.ProposeChange(k1, {Remove(k4)});
    c.Settle();
    c.Heal();
    c.RunFor(Seconds(20));
    c.Expect(c.core(k1).leading() && c.core(k1).term() == Term(1), "the leader was deposed");
  });
}

// The leader tells a learner to campaign, or counts it: not with one that has a vote by now.
TEST_F(ClassicalBugTest, APromotedLearnerThatDoesNotKnowItRefusesItsVote) {
  options_.learners = 1;
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k4);
    c.ProposeChange(k1, {Add(k4)});
    c.Settle();
    c.Heal();
    c.Expect(!c.core(k4).configuration().IsVoter(k4), "4 thinks that it is a learner");
    c.Crash(k1);
    c.Crash(k3);
    c.Restart(k3);
    c.LoseConnections(k1, {k2, k3, k4});
    // Three of {1, 2, 3, 4} are needed, so the vote of 4 is.
    c.Campaign(k2, {k3, k4});
    c.Expect(c.core(k2).leading(), "whoever is asked votes: the candidate knows why it asks");
  });
}

// A new member has an empty log and is in no configuration that it knows. Without its vote the
// cluster that has just added it may be stuck.
TEST_F(ClassicalBugTest, ANewVoterWithoutALogRefusesItsVote) {
  options_.voters = 1;
  ExpectHarmless([](DrivenCluster& c) {
    c.TimeOut(k1);
    c.Settle();
    c.ProposeChange(k1, {Add(k2)});
    c.Settle();
    c.Crash(k1);
    c.Restart(k1);
    c.Join(k2, k1);
    c.Expect(c.RunUntil([&] { return c.Leader() == k1; }, Seconds(10)), "1 needs the vote of 2");
    c.RunFor(Seconds(1));
    c.Expect(c.core(k2).configuration().IsVoter(k2), "and brings it everything");
  });
}

// A leader that removes itself must not count its own disk for that.
TEST_F(ClassicalBugTest, ARemovedLeaderCountsItself) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeChange(k1, {Remove(k1)});
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.Expect(c.status(k1).commit == LogIndex(1), "one of {2, 3} has it");
    c.Exchange(k1, k3);
    c.Expect(!c.core(k1).leading(), "it is done, and 1 leads no longer");
    c.Settle();
    c.Expect(c.Leader() == k2 || c.Leader() == k3, "the others need not wait");
  });
}

// A leader that has just removed itself dies before anybody has heard of it. By its own log it has
// no vote, but the others still need it: it may hold what is committed.
TEST_F(ClassicalBugTest, AMemberWhoseRemovalIsUndecidedDoesNotCampaign) {
  options_.voters = 2;
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.Settle();
    c.ProposeChange(k1, {Remove(k1)});
    c.FinishWrites(k1);
    c.Crash(k1);
    c.DropAll(k1, k2);
    c.Restart(k1);
    c.LoseConnections(k1, {k2});
    c.Expect(c.RunUntil([&] { return c.Leader() != kNoNode; }, Seconds(20)), "nobody leads");
  });
}

// An uncommitted change goes with its entry. The configuration before it counts again.
TEST_F(ClassicalBugTest, AConfigurationOutlivesItsEntry) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k1);
    c.ProposeChange(k1, {Add(k4)});
    c.FinishWrites(k1);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.Heal();
    c.RunFor(Seconds(2));
    c.Expect(!c.core(k1).configuration().Contains(k4), "4 was never a member");
    c.Crash(k1);
    c.Restart(k1);
    c.Expect(!c.core(k1).configuration().Contains(k4), "nor after a restart");
    c.RunFor(Seconds(1));
    c.Elect(k1);
    c.Propose(k1, "x");
    c.Crash(k3);
    c.Settle();
    c.Expect(c.applied(k1) == std::vector<std::string>{"x"}, "two of three are enough again");
  });
}

// The one that leadership is being handed to is removed meanwhile.
TEST_F(ClassicalBugTest, LeadershipIsHandedToWhoHasNoVote) {
  options_.learners = 1;
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Step(k1, TransferRequested{k4});
    c.Expect(c.status(k1).transferee == kNoNode, "a learner cannot lead");
    c.ProposeChange(k1, {Remove(k3), Learn(k5)});
    c.Settle();
    c.Step(k1, TransferRequested{k3});
    c.Expect(c.status(k1).transferee == kNoNode, "3 is no member any more");
    c.Step(k1, TransferRequested{kNoNode});
    c.Expect(c.status(k1).transferee == k2, "only 2 can");
  });
}

}  // namespace
}  // namespace conclave::raft
