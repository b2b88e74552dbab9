// Chapter 5 of the thesis: log compaction and snapshots.
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CompactionThesisTest : public ThesisTest {
 protected:
  CompactionThesisTest() : ThesisTest(ShortTail()) {}

  static TestCluster::Options ShortTail() {
    TestCluster::Options options = Cluster(3);
    options.config.tail_entries_max = 1;
    return options;
  }

  // Member 1 leads, and 3 is down while four commands are committed and the log is let go.
  void SetUp() override {
    cluster_.Elect(k1);
    cluster_.Crash(k3);
    cluster_.ProposeAll(k1, {"a", "b", "c", "d"});
    cluster_.Settle();
    cluster_.RunFor(Milliseconds(300));
    cluster_.Compact(k1, LogIndex(5));
  }

  // Until member 3, back again, wants the state.
  void OfferTo3() {
    cluster_.Restart(k3);
    for (int beat = 0; beat < 5 && !cluster_.wanted(k3).has_value(); ++beat) {
      cluster_.Wake(k1);
      for (int turn = 0; turn < 3; ++turn) cluster_.Exchange(k1, k3);
      cluster_.ApplyAll(k3);
    }
    ASSERT_TRUE(cluster_.wanted(k3).has_value());
  }
};

TEST_F(CompactionThesisTest, Thesis_5_1_TheLastIndexAndTermThatAreGoneAreKept) {
  const std::optional<LogStart> start = cluster_.core(k1).LogStartAt(LogIndex(4));
  ASSERT_TRUE(start.has_value());
  EXPECT_EQ(start->term, Term(1));
  EXPECT_EQ(cluster_.status(k1).first_index, LogIndex(5));
}

TEST_F(CompactionThesisTest, Thesis_5_1_TheConfigurationThereIsKept) {
  const std::optional<LogStart> start = cluster_.core(k1).LogStartAt(LogIndex(4));
  ASSERT_TRUE(start.has_value());
  EXPECT_THAT(start->configuration.voters, ElementsAre(k1, k2, k3));
}

TEST_F(CompactionThesisTest, Thesis_5_1_EveryMemberCompactsByItself) {
  cluster_.Compact(k2, LogIndex(3));
  EXPECT_EQ(cluster_.status(k1).first_index, LogIndex(5));
  EXPECT_EQ(cluster_.status(k2).first_index, LogIndex(4));
}

TEST_F(CompactionThesisTest, Thesis_5_1_WhatIsNotAppliedIsNotLetGo) {
  cluster_.Propose(k1, "e");
  cluster_.FinishWrites(k1);
  cluster_.Exchange(k1, k2);
  cluster_.Step(k1, Compacted{LogIndex(6)});
  EXPECT_LE(cluster_.status(k1).first_index, cluster_.status(k1).applied.Next());
}

TEST_F(CompactionThesisTest, Thesis_5_1_AFollowerThatIsBehindTheLogIsOfferedTheState) {
  OfferTo3();
  EXPECT_EQ(cluster_.wanted(k3)->from, k1);
  EXPECT_EQ(cluster_.wanted(k3)->at_least, LogIndex(4));
}

TEST_F(CompactionThesisTest, Thesis_5_1_TheStateTakesThePlaceOfTheLog) {
  OfferTo3();
  ASSERT_TRUE(cluster_.FetchSnapshot(k3));
  cluster_.ApplyAll(k3);
  cluster_.FinishWrites(k3);
  EXPECT_EQ(cluster_.applied(k3), (Commands{"a", "b", "c", "d"}));
  EXPECT_EQ(cluster_.status(k3).first_index, LogIndex(6));
  EXPECT_EQ(cluster_.disk(k3).start.index, LogIndex(5));
}

TEST_F(CompactionThesisTest, Thesis_5_1_AfterItTheLogGoesOn) {
  OfferTo3();
  cluster_.Propose(k1, "e");
  cluster_.Settle();
  cluster_.RunFor(Milliseconds(500));
  EXPECT_EQ(cluster_.applied(k3), (Commands{"a", "b", "c", "d", "e"}));
}

TEST_F(CompactionThesisTest, Thesis_5_1_AStateOlderThanWhatIsCommittedHereIsOfNoUse) {
  OfferTo3();
  ASSERT_TRUE(cluster_.FetchSnapshot(k3));
  cluster_.ApplyAll(k3);
  cluster_.FinishWrites(k3);
  const LogIndex commit = CommitOf(k3);
  cluster_.Step(k3, SnapshotFetched{*cluster_.core(k2).LogStartAt(LogIndex(3))});
  EXPECT_EQ(CommitOf(k3), commit);
  EXPECT_EQ(cluster_.status(k3).first_index, LogIndex(6));
}

TEST_F(CompactionThesisTest, Thesis_5_1_ALogThatHasTheLastEntryKeepsWhatFollows) {
  cluster_.Propose(k1, "e");
  cluster_.Restart(k3);
  cluster_.Isolate(k3);
  AppendRequest request = Entries(1, 1, 1, 0);
  for (LogIndex index(2); index <= LogIndex(5); ++index) {
    request.entries.push_back(*cluster_.log(k2).Find(index));
  }
  request.entries.push_back(*cluster_.log(k1).Find(LogIndex(6)));
  Say(k1, k3, 1, request);
  cluster_.FinishWrites(k3);
  const LogIndex last = cluster_.core(k3).last_index();
  ASSERT_EQ(last, LogIndex(6));
  cluster_.Step(k3, SnapshotFetched{*cluster_.core(k1).LogStartAt(LogIndex(5))});
  EXPECT_EQ(cluster_.core(k3).last_index(), last);
  EXPECT_EQ(CommitOf(k3), LogIndex(5));
}

TEST_F(ThesisTest, Thesis_5_1_3_WhatEverybodyHasIsLetGoAndATailIsKept) {
  cluster_.Elect(k1);
  cluster_.Isolate(k3);
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.Settle();
  cluster_.Compact(k1, LogIndex(3));
  EXPECT_EQ(cluster_.status(k1).first_index, LogIndex(2)) << "member 3 has only 1";
  cluster_.Heal();
  cluster_.RunFor(Milliseconds(500));
  cluster_.Compact(k1, LogIndex(3));
  EXPECT_EQ(cluster_.status(k1).first_index, LogIndex(4));
}

}  // namespace
}  // namespace conclave::raft
