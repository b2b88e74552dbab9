// Classical bugs of the log: entries that replace committed ones, holes, and answers that say more
// than is true.
#include "raft/base/random.h"
#include "raft/core/classical_bugs.h"

namespace conclave::raft {
namespace {

using enum SeededBug;
using Commands = std::vector<std::string>;

// Thesis figure 3.7. Member 1 replicates 2/1 to 2 and crashes; 5 writes 2/2 and crashes; 1 comes
// back in term 3 and brings 2/1 to a majority. If that counted as committed, member 5 could still
// win and replace it.
void FigureThreePointSeven(DrivenCluster& c) {
  c.Elect(k1);
  c.Propose(k1, "x");
  c.FinishWrites(k1);
  c.Exchange(k1, k2);
  c.Crash(k1);
  for (NodeId other : {k2, k3, k4, k5}) c.DropAll(k1, other);
  c.LoseConnections(k1, {k2, k3, k4, k5});
  c.Campaign(k5, {k3, k4});
  c.FinishWrites(k5);
  c.Crash(k5);
  for (NodeId other : {k1, k2, k3, k4}) c.DropAll(k5, other);
  c.Restart(k1);
  c.Campaign(k1, {k2, k3});  // it learns of term 2
  c.FinishWrites(k1);
  c.Campaign(k1, {k2, k3});
  c.Expect(c.core(k1).leading() && c.core(k1).term() == Term(3), "1 leads term 3");
  c.Exchange(k1, k2);
  // One entry a request: 3 gets 2/1 without the 3/3 behind it.
  for (int step = 0; step < 2; ++step) {
    c.Deliver(k1, k3);
    c.FinishWrites(k3);
    c.DeliverAll(k3, k1);
  }
  c.Expect(c.log(k3).TermAt(LogIndex(2)) == Term(1), "2/1 is on the disks of 1, 2 and 3");
}

TEST_F(ClassicalBugTest, AnEntryOfAnEarlierTermIsCommittedByCounting) {
  options_.voters = 5;
  options_.config.append_entries_max = 1;
  Expect(kOldTermCommitted, "leader completeness: 5 leads", [](DrivenCluster& c) {
    FigureThreePointSeven(c);
    c.Crash(k1);
    for (NodeId other : {k2, k3, k4, k5}) c.DropAll(k1, other);
    c.Restart(k5);
    c.LoseConnections(k1, {k2, k3, k4});
    for (int attempt = 0; attempt < 3; ++attempt) {
      c.FinishWrites(k5);
      if (!c.core(k5).leading()) c.Campaign(k5, {k2, k3, k4});
    }
    c.Expect(c.core(k5).leading(), "5 wins with the later last term");
  });
}

// The other branch of the figure: once 3/3 is committed with it, member 5 cannot win any more.
TEST_F(ClassicalBugTest, AnEntryOfAnEarlierTermIsCommittedWithOneOfItsOwn) {
  options_.voters = 5;
  options_.config.append_entries_max = 1;
  ExpectHarmless([](DrivenCluster& c) {
    FigureThreePointSeven(c);
    c.FinishWrites(k1);
    for (int step = 0; step < 3; ++step) {
      for (NodeId voter : {k2, k3}) c.Exchange(k1, voter);
    }
    c.Expect(c.status(k1).commit == LogIndex(3), "3/3 and all before it");
    c.Crash(k1);
    c.Restart(k5);
    c.LoseConnections(k1, {k2, k3, k4});
    for (int attempt = 0; attempt < 3; ++attempt) {
      c.FinishWrites(k5);
      c.Campaign(k5, {k2, k3, k4});
    }
    c.Expect(!c.core(k5).leading(), "only 4 may vote for it");
  });
}

// A copy of an old request reaches member 2 when it has more, which the leader has committed by it.
// If it truncates, the entries are gone with the leader.
TEST_F(ClassicalBugTest, ALateRequestTruncatesWhatMatches) {
  Expect(kMatchingSuffixTruncated, "leader completeness: 2 leads", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "a");
    c.Repeat(k1, k2);
    c.Delay(k1, k2, 1);
    c.ProposeAll(k1, {"b", "c"});
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.Expect(c.status(k1).commit == LogIndex(4), "1 and 2 have it");
    c.DropAll(k1, k2);
    c.DeliverLate(k1, k2);
    c.FinishWrites(k2);
    c.Crash(k1);
    c.DropAll(k1, k3);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.Expect(c.core(k2).leading(), "2 has the best log");
    c.Expect(c.core(k2).last_index() == LogIndex(5), "with b and c in it");
  });
}

// Member 1 has an entry of term 1 where the leader of term 2 has another. It must go.
TEST_F(ClassicalBugTest, AConflictingEntryIsKept) {
  Expect(kConflictKept, "log matching|commit without quorum|state machine safety",
         [](DrivenCluster& c) {
           c.Elect(k1);
           c.Isolate(k1);
           c.Propose(k1, "gone");
           c.FinishWrites(k1);
           c.LoseConnections(k1, {k2, k3});
           c.Campaign(k2, {k3});
           c.Heal();
           c.Propose(k2, "kept");
           c.RunFor(Seconds(2));
           c.Expect(c.applied(k1) == Commands{"kept"}, "1 has what 2 has");
         });
}

// Member 1 has 3/1 of its own after an entry that matches. A request that ends before it says that
// 3 is committed; that is another entry 3.
void TailOfItsOwn(DrivenCluster& c) {
  c.Elect(k1);
  c.Propose(k1, "both");
  c.FinishWrites(k1);
  for (NodeId other : {k2, k3}) c.Exchange(k1, other);
  c.Settle();
  c.Isolate(k1);
  c.Propose(k1, "gone");
  c.FinishWrites(k1);
  c.LoseConnections(k1, {k2, k3});
  c.Campaign(k2, {k3});
}

// The leader of term 2 asks from further back than it must: one entry, after the first.
void SendFromTheBeginning(DrivenCluster& c) {
  c.Heal();
  AppendRequest request;
  request.prev_index = LogIndex(1);
  request.prev_term = Term(1);
  request.commit = c.status(k2).commit;
  request.entries = {*c.log(k2).Find(LogIndex(2))};
  c.Step(k1, Received{{k2, k1, Term(2), request}});
}

TEST_F(ClassicalBugTest, ACommitIndexIsTakenBeyondWhatIsShown) {
  Expect(kCommitNotClamped, "state machine safety: 1 believes another entry 3",
         [](DrivenCluster& c) {
           TailOfItsOwn(c);
           c.FinishWrites(k2);
           c.Exchange(k2, k3);
           c.Expect(c.status(k2).commit == LogIndex(3), "3/2 is committed");
           SendFromTheBeginning(c);
         });
}

TEST_F(ClassicalBugTest, AHeartbeatCommitsWhatItCannotKnow) {
  Expect(kHeartbeatCommitNotClamped, "state machine safety: 1 believes another entry 3",
         [](DrivenCluster& c) {
           TailOfItsOwn(c);
           c.FinishWrites(k2);
           c.Exchange(k2, k3);
           c.Heal();
           c.Wake(k2);
           c.Exchange(k2, k1);
         });
}

// The request shows that the logs agree up to 1. If member 1 acknowledges all that it has, the
// leader takes 3/1 for its own 3/2 and commits what is on one disk.
TEST_F(ClassicalBugTest, MoreIsAcknowledgedThanWasShown) {
  Expect(kAckedBeyondRequest, "commit without quorum: 2 commits 3 of term 2", [](DrivenCluster& c) {
    TailOfItsOwn(c);
    c.FinishWrites(k2);
    c.DropAll(k2, k3);
    SendFromTheBeginning(c);
    c.FinishWrites(k1);
    c.DeliverAll(k1, k2);
    c.Expect(c.status(k2).commit == LogIndex(2), "3/2 is on the disk of 2 alone");
  });
}

// Member 2 crashes with the entry acknowledged and not on its disk.
TEST_F(ClassicalBugTest, AnEntryIsAcknowledgedBeforeItIsOnDisk) {
  Expect(kAckBeforeSync, "left before durable: 2 acknowledges 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    c.DeliverAll(k1, k2);
    c.DeliverAll(k2, k1);
    c.Expect(c.status(k1).commit == LogIndex(1), "one disk has it");
    c.Crash(k2);
    c.Restart(k2);
  });
}

// A conflict removes what was durable. If that is forgotten, an acknowledgement of the new entries
// can leave before they are on disk.
TEST_F(ClassicalBugTest, DurabilityOutlivesATruncation) {
  Expect(kDurableKeptOnTruncation, "durable", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k1);
    c.ProposeAll(k1, {"a", "b", "c"});
    c.FinishWrites(k1);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.Heal();
    c.Wake(k2);
    c.Exchange(k2, k1);
    c.DeliverAll(k2, k1);
    c.Expect(c.core(k1).durable() == LogIndex(1), "2/2 is not on its disk yet");
  });
}

// The write of 3/1 and 4/1 is under way when 3/2 takes the place of 3/1. When the first write is
// done, entry 3 is not durable: the second one has yet to replace it.
TEST_F(ClassicalBugTest, AnOvertakenWriteMakesItsEntriesDurable) {
  options_.voters = 5;
  Expect(kDurableBehindRewrite, "durable although the write is under way", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "a");
    c.Settle();
    c.ProposeAll(k1, {"b", "c"});
    c.DeliverAll(k1, k3);
    c.Isolate(k1);
    c.LoseConnections(k1, {k2, k3, k4, k5});
    c.Campaign(k2, {k4, k5});
    c.Drop(k2, k3);  // its request for a vote
    c.DeliverAll(k2, k3);
    c.Expect(c.writes_under_way(k3) == 2, "one write for each leader's entries");
    c.FinishWrite(k3);
    c.Expect(c.core(k3).durable() == LogIndex(2), "3/1 is not in the log any more");
    c.FinishWrite(k3);
    c.Expect(c.core(k3).durable() == LogIndex(3), "3/2 is");
  });
}

// One follower has the entry, the leader's own write is under way: one disk of three.
TEST_F(ClassicalBugTest, TheLeaderCountsItselfBeforeItsDisk) {
  Expect(kLeaderCountsUnsynced, "commit without quorum: 1 commits 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.Exchange(k1, k2);
    c.Crash(k1);
    c.Restart(k1);
    c.Expect(c.core(k1).last_index() == LogIndex(1), "its disk never had it");
  });
}

// What was sent is on its way, or lost. It is not what the peer holds.
TEST_F(ClassicalBugTest, WhatWasSentIsTakenForWhatIsHeld) {
  Expect(kMatchOnSend, "commit without quorum: 1 commits 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.DropAll(k1, k2);
    c.DropAll(k1, k3);
    c.FinishWrites(k1);
    c.Expect(c.status(k1).commit == LogIndex(1), "nobody else has it");
  });
}

// Both learners and the leader have the entry, the other two voters do not: they could elect a
// leader without it.
TEST_F(ClassicalBugTest, LearnersCountForACommit) {
  options_.learners = 2;
  Expect(kLearnerCounted, "commit without quorum: 1 commits 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    for (NodeId learner : {k4, k5}) c.Exchange(k1, learner);
    c.Expect(c.status(k1).commit == LogIndex(1), "one of three voters has it");
  });
}

// The request to member 3 is lost, the news of its commit as well, and nothing else is proposed.
TEST_F(ClassicalBugTest, ALostRequestIsNeverSentAgain) {
  Expect(kLostAppendNotResent, "3 never got it", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.DropAll(k1, k3);
    c.RunFor(Seconds(5));
    c.Expect(c.applied(k3) == Commands{"x"}, "3 never got it");
  });
}

// The followers commit an entry before it is on the leader's disk. If the leader applies it then,
// its state machine may hold on disk what its log has lost.
TEST_F(ClassicalBugTest, WhatIsCommittedIsAppliedBeforeItIsOnDisk) {
  Expect(kApplyBeforeDurable, "left before durable: 1 applies entry 2", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    for (NodeId follower : {k2, k3}) c.Exchange(k1, follower);
    c.Expect(!c.Apply(k1), "it is not on this disk");
    c.FinishWrites(k1);
    c.Expect(c.Apply(k1), "now it is");
  });
}

// The log is let go up to an entry of term 1 and later up to one of term 2. Whoever is asked
// whether it matches after that needs the right term of the last entry that is gone.
TEST_F(ClassicalBugTest, TheTermOfTheLastForgottenEntryIsLost) {
  Expect(kCompactionTermLost, "2 does not follow", [](DrivenCluster& c) {
    c.Elect(k1);
    c.RunFor(Seconds(1));
    c.Compact(k1, LogIndex(1));
    c.Elect(k2);
    c.Elect(k1);
    c.RunFor(Seconds(1));
    c.Compact(k1, LogIndex(3));
    c.Propose(k1, "x");
    c.DropAll(k1, k2);
    c.Step(k1, PeerUnreachable{k2});
    c.RunFor(Seconds(5));
    c.Expect(c.applied(k2) == Commands{"x"}, "2 does not follow");
  });
}

// A command was passed on in term 1. Its proposer has given it up, since term 3 has begun without
// it, and has made it again.
TEST_F(ClassicalBugTest, ACommandOfAnEarlierTermIsTaken) {
  Expect(kProposalTakenInLaterTerm, "x was committed in term 3, where it was not proposed",
         [](DrivenCluster& c) {
           c.Elect(k1);
           c.Propose(k3, "x");
           c.Delay(k3, k1);
           c.Elect(k2);
           c.Elect(k1);
           c.DeliverLate(k3, k1);
           c.Settle();
           c.Expect(c.applied(k1).empty(), "it would be carried out twice");
         });
}

// ---- Without a switch. ----

// Member 1 was replaced and does not know it. Its request reaches a member of the later term.
TEST_F(ClassicalBugTest, ALeaderOfAnEarlierTermIsObeyed) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "old");
    c.Delay(k1, k3);
    c.FinishWrites(k1);
    c.DropAll(k1, k2);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.FinishWrites(k2);
    c.Exchange(k2, k3);
    c.Expect(c.status(k2).commit == LogIndex(2), "2/2 is committed by 2 and 3");
    c.DeliverLate(k1, k3);
    c.Expect(c.log(k3).TermAt(LogIndex(2)) == Term(2), "2/1 must not replace it");
    c.DeliverAll(k3, k1);
    c.Expect(!c.core(k1).leading(), "the answer tells 1 of term 2");
  });
}

// Member 2 acknowledges 4/1 in term 1, the answer is slow. In term 2 its log is cut; in term 3
// member 1 leads again, and the answer arrives. It speaks of a log that is no more.
TEST_F(ClassicalBugTest, AnAcknowledgementOfAnEarlierTermCounts) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeAll(k1, {"a", "b", "c"});
    c.DeliverAll(k1, k2);
    c.FinishWrites(k2);
    c.Delay(k2, k1);
    c.DropAll(k1, k3);
    c.Crash(k1);
    c.Restart(k1);  // its disk has nothing of them
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k3, {k1});
    c.FinishWrites(k3);
    c.Exchange(k3, k1);
    c.Exchange(k3, k2);
    c.Exchange(k3, k2);
    c.Settle();
    c.Elect(k1);
    const LogIndex before = c.status(k1).peers[0].match;
    c.DeliverLate(k2, k1);
    c.Expect(c.status(k1).peers[0].match == before, "the old answer must not count");
  });
}

// A refusal that is overtaken by an acknowledgement must not take the peer's match back: what it
// has acknowledged counts already for what is committed.
TEST_F(ClassicalBugTest, ALateRefusalTakesAnAcknowledgementBack) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "a");
    c.Propose(k1, "b");
    c.Deliver(k1, k2, 1);
    c.Delay(k2, k1);
    c.Exchange(k1, k2);
    c.FinishWrites(k1);
    const PeerStatus before = c.status(k1).peers[0];
    c.Expect(before.match == LogIndex(2), "a is acknowledged");
    c.DeliverLate(k2, k1);
    const PeerStatus after = c.status(k1).peers[0];
    c.Expect(after.match == before.match && after.next > after.match, "it still is");
    c.RunFor(Seconds(1));
    c.Expect(c.applied(k2) == Commands{"a", "b"}, "and b arrives");
  });
}

// Requests overtake each other. Whatever the order, no log may have a hole.
TEST_F(ClassicalBugTest, ALogGetsAHole) {
  for (size_t first = 0; first < 3; ++first) {
    for (size_t second = 0; second < 2; ++second) {
      ExpectHarmless([&](DrivenCluster& c) {
        c.Elect(k1);
        for (const char* command : {"a", "b", "c"}) c.Propose(k1, command);
        c.Deliver(k1, k2, first);
        c.Deliver(k1, k2, second);
        c.Deliver(k1, k2);
        const Disk& log = c.log(k2);
        for (LogIndex index(1); index <= log.last_index(); ++index) {
          c.Expect(log.Find(index) != nullptr && log.Find(index)->index == index, "a hole");
        }
        c.RunFor(Seconds(1));
        c.Expect(c.applied(k2) == Commands{"a", "b", "c"}, "everything arrives in the end");
      });
    }
  }
}

// The commit index in a late message is lower than what the follower knows. It must not fall.
TEST_F(ClassicalBugTest, TheCommitIndexFalls) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Wake(k1);
    c.Delay(k1, k2);
    c.DropAll(k1, k3);
    c.Propose(k1, "x");
    c.Settle();
    c.Expect(c.status(k2).commit == LogIndex(2), "x is committed");
    c.DeliverLate(k1, k2);  // it says 1
    c.Expect(c.status(k2).commit == LogIndex(2), "and stays so");
  });
}

// Requests that overtake each other are refused for want of those before them. One that lags behind
// is brought up to date by a few messages an entry, not by windows that beget windows.
TEST_F(ClassicalBugTest, AWindowThatIsRefusedIsSentAgainAndAgain) {
  options_.config.append_entries_max = 1;
  Expect(SeededBug::kRefusedWindowReopened, "messages beget messages", [](DrivenCluster& c) {
    constexpr size_t kEntries = 100;
    constexpr size_t kMessagesMax = 10 * kEntries;
    c.Elect(k1);
    c.Isolate(k3);
    for (size_t i = 0; i < kEntries; ++i) c.Propose(k1, std::to_string(i));
    c.Settle();
    c.Heal();
    c.LoseConnections(k1, {k3});
    c.Wake(k1);
    Random random(1);
    size_t sent = 0;
    while (c.status(k3).last_index < c.status(k1).last_index && sent < kMessagesMax) {
      const size_t there = c.Underway(k1, k3);
      const size_t back = c.Underway(k3, k1);
      if (there + back == 0) c.Wake(k1);
      if (there > 0) sent += c.Deliver(k1, k3, random.Below(there));
      c.FinishWrites(k3);
      if (back > 0) c.Deliver(k3, k1, random.Below(back));
    }
    c.Expect(sent + c.Underway(k1, k3) < kMessagesMax, "messages beget messages");
  });
}

// A leader is elected, crashes and is elected again: its second term must not reuse places that the
// first has filled.
TEST_F(ClassicalBugTest, ARestartedLeaderWritesOverItsOwnEntries) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.FinishWrites(k1);
    c.Exchange(k1, k2);
    c.Expect(c.status(k1).commit == LogIndex(2), "x is committed");
    c.Crash(k1);
    c.Restart(k1);
    c.LoseConnections(k1, {k2, k3});
    c.Elect(k1);
    c.Expect(c.log(k1).TermAt(LogIndex(2)) == Term(1), "x is still where it was");
    c.Expect(c.applied(k3) == Commands{"x"}, "and everybody has it");
  });
}

}  // namespace
}  // namespace conclave::raft
