// Classical bugs of snapshots, of disks that have lost what they promised, and of disks that hang.
#include "raft/core/classical_bugs.h"

namespace conclave::raft {
namespace {

using enum SeededBug;
using Commands = std::vector<std::string>;

// Member 3 has been down while 1 and 2 committed four commands. Leader 1 has let its log go, but
// for the last of them; member 2 has not, and does not know that they are committed. Member 3 has
// been offered the state of 1 and wants it.
void OfferTo3(DrivenCluster& c) {
  c.Elect(k1);
  c.Crash(k3);
  c.ProposeAll(k1, {"a", "b", "c", "d"});
  c.FinishWrites(k1);
  c.Exchange(k1, k2);
  c.ApplyAll(k1);
  c.Compact(k1, LogIndex(5));
  c.DropAll(k1, k3);
  c.Restart(k3);
  for (int beat = 0; beat < 5 && !c.wanted(k3).has_value(); ++beat) {
    c.Wake(k1);
    c.DropAll(k1, k2);
    for (int turn = 0; turn < 3; ++turn) c.Exchange(k1, k3);
    c.ApplyAll(k3);
  }
  c.Expect(c.wanted(k3).has_value(), "3 wants the state of 1");
}

class SnapshotBugTest : public ClassicalBugTest {
 protected:
  SnapshotBugTest() { options_.config.tail_entries_max = 1; }
};

// While 3 fetches the state, 2 becomes leader and brings it everything as entries. 3 acknowledges
// an entry that comes after the state. If the state then takes the place of the log, that is gone.
TEST_F(SnapshotBugTest, AStateReplacesALogThatHoldsMore) {
  Expect(kMatchingLogDropped, "leader completeness: 1 leads term 3", [](DrivenCluster& c) {
    OfferTo3(c);
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k2, {k3});
    c.FinishWrites(k2);
    for (int turn = 0; turn < 2; ++turn) c.Exchange(k2, k3);
    c.Expect(c.status(k2).commit == LogIndex(6), "the no-op of term 2 is on 2 and 3");
    c.DropAll(k2, k3);
    c.FetchSnapshot(k3);
    c.ApplyAll(k3);
    c.FinishWrites(k3);
    c.Crash(k2);
    c.LoseConnections(k2, {k1, k3});
    c.DropAll(k2, k1);
    c.TimeOut(k1);
    for (int attempt = 0; attempt < 2; ++attempt) {
      c.FinishWrites(k1);
      if (!c.core(k1).leading()) c.Campaign(k1, {k3});
    }
    c.Expect(!c.core(k1).leading(), "1 lacks 6/2");
  });
}

// Whatever comes between the installation of a state and the reset of the log, a crash leaves
// something that works.
TEST_F(SnapshotBugTest, ACrashLeavesAMixOfOldAndNew) {
  for (int crash_after = 0; crash_after < 4; ++crash_after) {
    ExpectHarmless([&](DrivenCluster& c) {
      OfferTo3(c);
      if (crash_after > 0) c.FetchSnapshot(k3);
      if (crash_after > 1) c.ApplyAll(k3);
      if (crash_after > 2) c.FinishWrites(k3);
      c.Crash(k3);
      c.Restart(k3);
      c.RunFor(Seconds(3));
      c.Expect(c.applied(k3) == Commands{"a", "b", "c", "d"}, "3 has everything once");
      c.Elect(k3);
      c.Propose(k3, "e");
      c.Settle();
      c.Expect(c.applied(k1) == Commands{"a", "b", "c", "d", "e"}, "and can lead");
    });
  }
}

// While a state is being installed there is no log to append to: entries are not acknowledged, and
// nobody gets a vote that could not be written.
TEST_F(SnapshotBugTest, EntriesAreTakenDuringAnInstallation) {
  ExpectHarmless([](DrivenCluster& c) {
    OfferTo3(c);
    c.FetchSnapshot(k3);
    c.Propose(k1, "e");
    const size_t writes = c.writes_under_way(k3);
    c.DeliverAll(k1, k3);
    c.Expect(c.writes_under_way(k3) == writes, "nothing is written yet");
    c.ApplyAll(k3);
    c.FinishWrites(k3);
    c.RunFor(Seconds(2));
    c.Expect(c.applied(k3) == Commands{"a", "b", "c", "d", "e"}, "it comes again");
  });
}

// An offer is repeated and comes late. What member 3 has reached by then must stay.
TEST_F(SnapshotBugTest, AnOldOfferTakesAMemberBack) {
  ExpectHarmless([](DrivenCluster& c) {
    OfferTo3(c);
    c.Inject({k1, k3, Term(1), SnapshotOffer{.index = LogIndex(4)}});
    c.Delay(k1, k3, c.Underway(k1, k3) - 1);
    c.FetchSnapshot(k3);
    c.ApplyAll(k3);
    c.FinishWrites(k3);
    c.RunFor(Seconds(1));
    c.Propose(k1, "e");
    c.RunFor(Seconds(1));
    c.DeliverLate(k1, k3);
    c.Expect(!c.wanted(k3).has_value(), "nothing is fetched again");
    c.Expect(c.applied(k3).size() == 5, "and nothing is lost");
  });
}

// ---- Lost entries. ----

// x is committed by 1 and 2. The disk of 2 loses it, and 1 is down.
void Member2LosesX(DrivenCluster& c) {
  c.Elect(k1);
  c.Isolate(k3);
  c.Propose(k1, "x");
  c.Settle();
  c.Crash(k2);
  c.Damage(k2, LogIndex(2));
  c.Restart(k2);
  c.Crash(k1);
  c.Heal();
  c.LoseConnections(k1, {k2, k3});
}

// If 2 votes as if it had never had x, 3 wins with the votes of 2 and 3.
TEST_F(ClassicalBugTest, LostEntriesAreForgotten) {
  Expect(kLostEntriesForgotten, "leader completeness: 3 leads term 2", [](DrivenCluster& c) {
    Member2LosesX(c);
    c.Campaign(k3, {k2});
    c.Expect(!c.core(k3).leading(), "nobody alive knows what is missing");
  });
}

// The same for the damaged member's own campaign.
TEST_F(ClassicalBugTest, WhoHasLostEntriesCampaigns) {
  Expect(kLostEntriesForgotten, "leader completeness: 2 leads term 2", [](DrivenCluster& c) {
    Member2LosesX(c);
    c.Campaign(k2, {k3});
    c.Expect(c.Leader() == kNoNode, "nobody can lead");
    c.Restart(k1);
    c.RunFor(Seconds(10));
    c.Expect(c.applied(k2) == Commands{"x"} && c.applied(k3) == Commands{"x"}, "x is still there");
  });
}

// The leader has counted member 2 for x. When it hears of the loss it must send x again, and must
// not take anything back that is committed.
TEST_F(ClassicalBugTest, LostEntriesAreNeverSentAgain) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.ProposeAll(k1, {"x", "y"});
    c.Settle();
    c.Crash(k2);
    c.Damage(k2, LogIndex(2));
    c.Restart(k2);
    c.RunFor(Seconds(2));
    c.Expect(c.status(k1).commit == LogIndex(3), "it stays committed");
    c.Expect(c.applied(k2) == Commands{"x", "y"}, "and member 2 has it again");
    c.Expect(!c.status(k2).incomplete, "nothing is missing any more");
    c.Elect(k2);
  });
}

// The loss is forgotten by a crash before anything was filled up.
TEST_F(ClassicalBugTest, ALossIsForgottenByARestart) {
  ExpectHarmless([](DrivenCluster& c) {
    c.Elect(k1);
    c.Isolate(k3);
    c.ProposeAll(k1, {"x", "y"});
    c.Settle();
    c.Crash(k2);
    c.Damage(k2, LogIndex(2));
    for (int restart = 0; restart < 3; ++restart) {
      c.Restart(k2);
      c.Expect(c.status(k2).incomplete, "it still knows");
      c.Crash(k2);
    }
    c.Restart(k2);
    c.Crash(k1);
    c.Heal();
    c.LoseConnections(k1, {k2, k3});
    c.Campaign(k3, {k2});
    c.Expect(!c.core(k3).leading(), "and does not vote");
  });
}

// ---- Disks that hang. ----

// Half a minute of heartbeats in which the leader's disk does nothing.
TEST_F(ClassicalBugTest, ALeaderWithAStalledDiskGoesOn) {
  Expect(kDiskStallIgnored, "the leader went on", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    for (int beat = 0; beat < 30; ++beat) {
      c.Advance(Milliseconds(100));
      c.WakeDue();
      for (int turn = 0; turn < 2; ++turn) {
        for (NodeId other : {k2, k3}) c.Exchange(k1, other);
        c.Exchange(k2, k3);
        c.Exchange(k3, k2);
      }
    }
    c.Expect(c.Leader() != k1, "the leader went on");
    c.Expect(c.Leader() != kNoNode, "with another in its place");
  });
}

// A leader without anybody to hand over to leads on: there would be nobody else.
TEST_F(ClassicalBugTest, TheOnlyVoterStepsDownForItsDisk) {
  options_.voters = 1;
  ExpectHarmless([](DrivenCluster& c) {
    c.TimeOut(k1);
    c.Settle();
    c.Propose(k1, "x");
    c.Advance(Seconds(5));
    c.WakeDue();
    c.Expect(c.core(k1).leading(), "it is alone");
    c.Settle();
    c.Expect(c.applied(k1) == Commands{"x"}, "and goes on when its disk does");
  });
}

// A member whose disk hangs would win an election that it cannot use: it could not write a word of
// its term.
TEST_F(ClassicalBugTest, AMemberWithAStalledDiskCampaigns) {
  Expect(kDiskStallIgnored, "2 asks for votes", [](DrivenCluster& c) {
    c.Elect(k1);
    c.Propose(k1, "x");
    c.DeliverAll(k1, k2);
    c.DropAll(k1, k3);
    c.Crash(k1);
    c.Advance(Seconds(3));
    c.Step(k2, Woke{});
    c.Expect(c.status(k2).role == RoleName::kFollower, "2 asks for votes");
  });
}

}  // namespace
}  // namespace conclave::raft
