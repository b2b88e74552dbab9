// Classical bugs of elections: two leaders in one term, leaders that lack what was committed,
// leaders that nobody needed to lose.
#include "raft/core/classical_bugs.h"

namespace conclave::raft {
namespace {

using enum SeededBug;

// Members 1 and 3 are candidates of term 1, and both of their requests are on the way to member 2.
void TwoCandidates(DrivenCluster& c) {
  c.BecomeCandidate(k1, {k2});
  c.BecomeCandidate(k3, {k2});
}

// 2 votes for 1, crashes before the vote is on its disk, and votes for 3. If the first vote has
// left, term 1 has two leaders.
TEST_F(ClassicalBugTest, AVoteLeavesBeforeItIsOnDisk) {
  Expect(kVoteBeforeSync, "left before durable: the vote of 2 for 1", [](DrivenCluster& c) {
    TwoCandidates(c);
    c.DeliverAll(k1, k2);
    c.Crash(k2);
    c.Restart(k2);
    c.Exchange(k3, k2);
    c.DeliverAll(k2, k1);
    c.Expect(c.core(k3).leading(), "3 has the votes of 2 and 3");
    c.Expect(!c.core(k1).leading(), "nobody may know of the vote that was forgotten");
  });
}

// The same with the vote that a candidate gives to itself: 1 asks for votes, forgets that it has
// campaigned, and votes for 3 in the same term.
TEST_F(ClassicalBugTest, ACandidateAsksBeforeItsOwnVoteIsOnDisk) {
  Expect(kCampaignBeforeSync, "left before durable: the vote of 1 for 1", [](DrivenCluster& c) {
    c.TimeOut(k1);
    c.Exchange(k1, k2);  // it is a candidate now, its disk has not written
    c.Exchange(k1, k2);
    c.Crash(k1);
    c.Restart(k1);
    c.Campaign(k3, {k1});
    c.Expect(c.core(k3).leading(), "3 has the votes of 1 and 3");
  });
}

// A candidate that has lost is a follower again, in the same term. If it then forgets for whom it
// has voted, it votes a second time.
TEST_F(ClassicalBugTest, AVoteIsForgottenByWhoeverStepsDown) {
  options_.voters = 4;
  Expect(kVoteClearedOnStepDown, "one vote per term: 1 votes for 1 and 2", [](DrivenCluster& c) {
    c.BecomeCandidate(k1, {k3, k4});
    c.BecomeCandidate(k2, {k3, k4});
    c.Delay(k2, k1);
    c.Exchange(k1, k3);
    c.Exchange(k2, k4);
    // The other two refuse member 1, so that it gives up.
    c.Exchange(k1, k4);
    c.Exchange(k1, k2);
    c.Expect(c.status(k1).role == RoleName::kFollower, "1 cannot win any more");
    c.DeliverLate(k2, k1);
    c.FinishWrites(k1);
    c.DeliverAll(k1, k2);
    c.Expect(!c.core(k2).leading(), "two of four votes are no majority");
  });
}

// x is committed by 1 and 2. Member 3 lacks it, and must not get the vote of 2.
TEST_F(ClassicalBugTest, AVoteForALogThatIsBehind) {
  Expect(kVoteForStaleLog, "leader completeness: 3 leads term 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.Crash(k1);
    c.DropAll(k1, k2);
    c.DropAll(k1, k3);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k3, {k2});
    c.Expect(!c.core(k3).leading(), "3 has no majority behind it");
    c.Campaign(k2, {k3});
    c.Expect(c.core(k2).leading(), "2 has everything");
  });
}

// As before, but the log of the candidate is longer, and ends in an earlier term.
TEST_F(ClassicalBugTest, LengthIsTakenForUpToDate) {
  Expect(kVoteForStaleLog, "leader completeness: 1 leads term 3", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k1);
    c.ProposeAll(k1, {"a", "b", "c"});
    c.FinishWrites(k1);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.FinishWrites(k2);
    c.Exchange(k2, k3);
    c.Expect(c.status(k2).commit == LogIndex(2), "the no-op of term 2 is committed");
    c.Crash(k2);
    c.Heal();
    c.Step(k3, PeerUnreachable{k2});
    c.TimeOut(k1);
    for (int attempt = 0; attempt < 2; ++attempt) c.Campaign(k1, {k3});
    c.Expect(!c.core(k1).leading(), "1 lacks 2/2");
  });
}

// Member 3 hears nothing and asks for pre-votes. Whoever hears the leader must not encourage it.
TEST_F(ClassicalBugTest, ADeafMemberBringsTheLeaderDown) {
  Expect(kNoPreVoteLease, "the leader was deposed", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Cut(k1, k3);
    c.Cut(k2, k3);
    c.RunFor(Seconds(5));
    // If its request was heeded, it is told so, and campaigns.
    c.Heal();
    c.Cut(k1, k3);
    c.RunFor(Seconds(5));
    c.Expect(c.core(k1).leading() && c.core(k1).term() == Term(1), "the leader was deposed");
  });
}

// A request for a real vote reaches a member that hears its leader: it must not even raise its
// term, for then its next answer would bring the leader down.
TEST_F(ClassicalBugTest, AVoteRequestTalksAFollowerOutOfItsLeader) {
  Expect(kNoPreVoteLease, "2 entered term 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.LoseConnections(k1, {k2, k3});
    c.BecomeCandidate(k3, {k2});
    c.Delay(k3, k2);
    c.Wake(k1);
    c.Exchange(k1, k2);
    c.DeliverLate(k3, k2);
    c.Expect(c.core(k2).term() == Term(1), "2 entered term 2");
    c.Expect(c.status(k2).leader == k1, "2 follows no more");
  });
}

// Nothing reaches the leader any more. If it goes on to lead, its followers are kept from electing
// somebody who can commit.
TEST_F(ClassicalBugTest, ALeaderThatHearsNobodyGoesOn) {
  Expect(kNoCheckQuorum, "nobody took over", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Cut(k2, k1);
    c.Cut(k3, k1);
    c.RunFor(Seconds(5));
    c.Expect(c.Leader() != kNoNode && c.Leader() != k1, "nobody took over");
  });
}

// The leader tells a member to campaign that lacks an entry. The others may not vote for it, but a
// follower that lacks the same does: the entry, which is committed, is lost.
TEST_F(ClassicalBugTest, LeadershipGoesToAMemberThatIsBehind) {
  Expect(kTransferToLaggard, "hands leadership to a member that is behind", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.DropAll(k1, k2);
    c.Step(k1, TransferRequested{k2});
    c.Expect(c.Underway(k1, k2) == 0, "2 must not be told yet");
    c.Settle();
    c.RunFor(Seconds(1));
    c.Expect(c.core(k2).leading(), "2 leads when it has everything");
    c.Expect(c.applied(k2) == std::vector<std::string>{"x"}, "with the entry");
  });
}

// ---- Without a switch. ----

// Member 2's grant arrives three times. It is one vote.
TEST_F(ClassicalBugTest, AVoteThatIsRepeatedCountsTwice) {
  options_.voters = 5;
  ExpectHarmless([](DrivenCluster& c) {
    c.BecomeCandidate(k1, {k2, k3});
    c.DeliverAll(k1, k2);
    c.FinishWrites(k2);
    c.Repeat(k2, k1);
    c.Repeat(k2, k1);
    c.DeliverAll(k2, k1);
    c.Expect(!c.core(k1).leading(), "two of five votes are no majority");
    c.Exchange(k1, k3);
    c.Expect(c.core(k1).leading(), "three of five are");
  });
}

// A vote of term 1 is late. In term 2 it must not count: its giver may have voted for another.
TEST_F(ClassicalBugTest, AVoteOfAnEarlierTermCounts) {
  options_.voters = 5;
  ExpectHarmless([](DrivenCluster& c) {
    c.BecomeCandidate(k1, {k2, k3});
    c.DeliverAll(k1, k3);
    c.FinishWrites(k3);
    c.Delay(k3, k1);
    c.BecomeCandidate(k1, {k2, k3});
    c.Expect(c.core(k1).term() == Term(2), "it campaigns again");
    c.Exchange(k1, k2);
    c.DeliverLate(k3, k1);
    c.Expect(!c.core(k1).leading(), "the late vote is of term 1");
  });
}

// A pre-vote is granted for the term that the candidate has entered by now. It is no vote: its
// giver has promised nothing and may vote for anybody.
TEST_F(ClassicalBugTest, APreVoteIsTakenForAVote) {
  options_.voters = 5;
  ExpectHarmless([](DrivenCluster& c) {
    c.TimeOut(k1);
    for (NodeId voter : {k2, k3, k4, k5}) c.DeliverAll(k1, voter);
    c.DeliverAll(k2, k1);
    c.DeliverAll(k3, k1);
    c.Expect(c.status(k1).role == RoleName::kCandidate, "three of five encourage it");
    c.FinishWrites(k1);
    c.DeliverAll(k4, k1);
    c.DeliverAll(k5, k1);
    c.Expect(!c.core(k1).leading(), "nobody has voted for it but itself");
  });
}

// A real vote of term 1 must not count as the encouragement to enter term 2, either.
TEST_F(ClassicalBugTest, AVoteIsTakenForAPreVote) {
  options_.voters = 5;
  ExpectHarmless([](DrivenCluster& c) {
    c.BecomeCandidate(k1, {k2, k3});
    for (NodeId voter : {k2, k3}) {
      c.DeliverAll(k1, voter);
      c.FinishWrites(voter);
    }
    c.TimeOut(k1);
    c.Expect(c.status(k1).role == RoleName::kPreCandidate, "it begins anew");
    c.DeliverAll(k2, k1);
    c.DeliverAll(k3, k1);
    c.Expect(c.status(k1).role == RoleName::kPreCandidate, "nobody was asked about term 2 yet");
    c.Expect(c.core(k1).term() == Term(1), "and it has not begun");
  });
}

// Two members wait for the same election with the same patience: only chance keeps them from
// colliding for ever.
TEST_F(ClassicalBugTest, SplitVotesGoOnForEver) {
  options_.voters = 4;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    options_.seed = seed;
    ExpectHarmless([](DrivenCluster& c) {
      c.Expect(c.RunUntil([&] { return c.Leader() != kNoNode; }, Seconds(10)),
               "nobody was elected");
    });
  }
}

// A member that is told of a later term by a mere answer must write it down before it says anything
// that holds in it; and after a crash it must still know that term.
TEST_F(ClassicalBugTest, ATermThatWasAnsweredInIsForgotten) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k3);
    c.Elect(k2);
    c.Propose(k2, "x");
    c.Settle();
    c.Crash(k1);
    c.Restart(k1);
    c.Expect(c.core(k1).term() == c.core(k2).term(), "the term of what it acknowledged");
    // The request of the leader before does not get through any more.
    c.Inject({k3, k1, Term(1), Heartbeat{}});
    c.DeliverAll(k3, k1);
    c.Expect(c.status(k1).leader == kNoNode, "nobody leads an earlier term");
    c.DropAll(k1, k3);
  });
}

// ---- Leader priority. ----

// Until a new leader may hand over to whom it likes better.
constexpr Duration kPreferenceComes = Seconds(12);

class LeaderPriorityTest : public ClassicalBugTest {
 protected:
  LeaderPriorityTest() { options_.leader_priorities = {{k1, 1}, {k3, 2}}; }
};

TEST_F(LeaderPriorityTest, APreferredMemberDoesNotSayThatItIs) {
  Expect(SeededBug::kPriorityNotTold, "1 goes on", [](DrivenCluster& c) {
    c.Elect(k1);
    c.RunFor(Seconds(5));
    c.Expect(c.Leader() == k1, "a leader is left in peace for a while");
    c.RunFor(kPreferenceComes);
    c.Expect(c.Leader() == k3, "1 goes on");
    c.RunFor(kPreferenceComes);
    c.Expect(c.Leader() == k3, "nobody is preferred to 3");
  });
}

// While the new leader is being brought up to date nobody's writes are taken.
TEST_F(LeaderPriorityTest, LeadershipIsPromisedToWhoLagsBehind) {
  Expect(SeededBug::kPreferredLaggard, "promised to 3", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Crash(k3);
    c.Propose(k1, "x");
    c.Settle();
    c.RunFor(kPreferenceComes);
    c.Restart(k3);
    c.Wake(k1);
    // It answers the heartbeat, but nothing that brings it entries arrives.
    for (int i = 0; i < 2; ++i) c.Deliver(k1, k3);
    c.DeliverAll(k3, k1);
    c.Expect(c.status(k1).transferee == kNoNode, "promised to 3");
    c.Heal();
    c.RunFor(Seconds(3));
    c.Expect(c.Leader() == k3, "3 has caught up and leads");
  });
}

// Whoever could not lead is preferred to nobody: each try would cost a second of writes. Member 3
// lacks nothing that is committed, for member 2 is down.
TEST_F(LeaderPriorityTest, AMemberWithAStalledDiskIsPreferred) {
  Expect(SeededBug::kDiskStallIgnored, "leadership is promised to 3", [](DrivenCluster& c) {
    c.Elect(k1);
    c.RunFor(kPreferenceComes - Seconds(4));
    c.Crash(k2);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    bool promised = false;
    for (int beat = 0; beat < 60; ++beat) {
      c.Advance(Milliseconds(100));
      c.WakeDue();
      c.DeliverAll(k1, k3);
      c.DeliverAll(k3, k1);
      promised |= c.status(k1).transferee != kNoNode;
    }
    c.Expect(!promised, "leadership is promised to 3");
    c.Expect(c.Leader() == k1, "1 leads on");
  });
}

}  // namespace
}  // namespace conclave::raft
