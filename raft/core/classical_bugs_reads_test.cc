// Classical bugs of linearizable reads: a leader that answers from the past. Every scenario ends
// with a read that came after a newer value was committed.
#include "raft/core/classical_bugs.h"

namespace conclave::raft {
namespace {

using enum SeededBug;

constexpr char kMissed[] = "a read of 1 at 1 misses 3, committed before it came";

// 2 leads term 2 with the vote of 3 and commits up to 3. Member 1 leads term 1 and knows nothing of
// it: of what it sends nothing has arrived, but it is not lost either.
void ReplaceMember1(DrivenCluster& c) {
  c.LoseConnections(k1, {k2, k3});
  c.BecomeCandidate(k2, {k3});
  c.Exchange(k2, k3);
  c.Propose(k2, "new");
  c.FinishWrites(k2);
  for (int round = 0; round < 2; ++round) c.Exchange(k2, k3);
  c.Expect(c.status(k2).commit == LogIndex(3), "the new value is committed");
  c.Expect(c.core(k1).leading(), "1 does not know it");
}

TEST_F(ClassicalBugTest, ALeaderReadsWithoutAskingAnybody) {
  Expect(kReadWithoutRound, kMissed, [](DrivenCluster& c) {
    c.Elect(k1);
    ReplaceMember1(c);
    c.Read(k1);
    c.Expect(c.reads_ready.empty(), "it must not answer");
  });
}

// By its own clock it heard from everybody a moment ago. They have lost their connection to it and
// did not wait.
TEST_F(ClassicalBugTest, ALeaderTrustsALeaseThatNobodyKeeps) {
  Expect(kLeaseReadUnbounded, kMissed, [](DrivenCluster& c) {
    c.Elect(k1);
    ReplaceMember1(c);
    c.Read(k1);
    c.Wake(k1);
    c.Expect(c.reads_ready.empty(), "it must not answer");
  });
}

// Member 2 echoed the first round before it became leader itself. The echo arrives during the
// second.
TEST_F(ClassicalBugTest, AnEchoOfAnEarlierRoundCounts) {
  Expect(kStaleEchoCounted, kMissed, [](DrivenCluster& c) {
    c.Elect(k1);
    c.Read(k1);
    c.DeliverAll(k1, k2);
    c.Delay(k2, k1);
    c.Exchange(k1, k3);
    ReplaceMember1(c);
    c.reads_ready.clear();
    c.Read(k1);
    c.DeliverLate(k2, k1);
    c.Expect(c.reads_ready.empty(), "it says nothing about the second round");
  });
}

// A round is under way, and member 2 has echoed it. A read that comes now needs the next.
TEST_F(ClassicalBugTest, AReadJoinsARoundThatHasBegun) {
  Expect(kReadJoinsRoundUnderWay, kMissed, [](DrivenCluster& c) {
    c.Elect(k1);
    c.Read(k1);
    c.DeliverAll(k1, k2);
    c.Delay(k2, k1);
    c.DropAll(k1, k3);
    ReplaceMember1(c);
    const ReadId late = c.Read(k1);
    c.DeliverLate(k2, k1);
    for (const ReadReady& ready : c.reads_ready) {
      c.Expect(ready.read != late, "the round began before the read came");
    }
  });
}

// Member 2 becomes leader with x in its log and without the news that it is committed. Both others
// follow it, so a round would succeed.
TEST_F(ClassicalBugTest, ANewLeaderReadsBeforeItHasCommitted) {
  Expect(kReadBeforeOwnTermCommit, "a read index before the first commit of the term",
         [](DrivenCluster& c) {
           c.Elect(k1);
           c.Propose(k1, "x");
           c.FinishWrites(k1);
           c.Exchange(k1, k2);
           c.Expect(c.status(k1).commit == LogIndex(2), "x is committed");
           c.DropAll(k1, k2);
           c.DropAll(k1, k3);
           c.LoseConnections(k1, {k2, k3});
           c.Campaign(k2, {k3});
           c.Read(k2);
           c.Wake(k2);
           c.DeliverAll(k2, k3);
           c.DeliverAll(k3, k2);
           c.Expect(c.reads_ready.empty(), "its first entry is not committed yet");
         });
}

// ---- Without a switch. ----

// A follower's question reaches a leader of another term than the one it was meant for. The index
// is as good, but whoever asked has given the read up with the old leader.
TEST_F(ClassicalBugTest, AReadIsAnsweredTwice) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Read(k3);
    c.Delay(k3, k1);
    c.Elect(k2);
    c.Elect(k1);
    c.Expect(c.reads_failed.size() == 1, "it failed with its leader");
    c.reads_ready.clear();
    c.DeliverLate(k3, k1);
    c.Settle();
    c.Expect(c.reads_ready.empty(), "and is not answered any more");
  });
}

// The leader's answer to a read comes when the reader has been a leader itself.
TEST_F(ClassicalBugTest, AnAnswerOfAnEarlierLeaderCounts) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Read(k2);
    c.DeliverAll(k2, k1);
    c.Exchange(k1, k3);
    c.Expect(c.Underway(k1, k2) == 2, "the round and the answer");
    c.Delay(k1, k2, 1);
    c.Elect(k2);
    c.reads_ready.clear();
    c.DeliverLate(k1, k2);
    c.Expect(c.reads_ready.empty(), "it failed when the leader changed");
  });
}

// A read index is handed out before it is applied here. Whoever reads must wait for it.
TEST_F(ClassicalBugTest, AReadIndexIsAheadOfTheStateMachine) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.Read(k1);
    c.Exchange(k1, k2);
    c.Expect(c.reads_ready.size() == 1, "the round is echoed");
    c.Expect(c.reads_ready.front().index > c.status(k1).applied, "x is not applied yet");
  });
}

// A learner echoes rounds like everybody, but it has no say in who leads: the voters may have
// replaced the leader without it.
TEST_F(ClassicalBugTest, LearnersConfirmARound) {
  options_.learners = 2;
  Expect(kLearnerCounted, "answered by learners", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Read(k1);
    c.Wake(k1);  // its heartbeats carry the round to everybody
    for (NodeId learner : {k4, k5}) c.Exchange(k1, learner);
    c.Expect(c.reads_ready.empty(), "answered by learners");
  });
}

}  // namespace
}  // namespace conclave::raft
