// Chapter 6 of the thesis: how clients find the leader (6.2), and reads without log entries (6.4).
#include "raft/core/thesis.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

class ClientThesisTest : public ThesisTest {
 protected:
  void SetUp() override {
    cluster_.Elect(k1);
    sent_.clear();
  }
};

// ---- 6.2 Routing requests to the leader. ----

TEST_F(ClientThesisTest, Thesis_6_2_ALeaderWithoutAQuorumStepsDownAfterAnElectionTimeout) {
  cluster_.Isolate(k1);
  cluster_.RunFor(Milliseconds(899));
  EXPECT_TRUE(cluster_.core(k1).leading());
  cluster_.RunFor(Milliseconds(200));
  EXPECT_FALSE(cluster_.core(k1).leading());
  EXPECT_EQ(TermOf(k1), Term(1));
}

TEST_F(ClientThesisTest, Thesis_6_2_ALeaderThatHearsOneOfTwoOthersGoesOn) {
  cluster_.Crash(k3);
  cluster_.RunFor(Seconds(10));
  EXPECT_TRUE(cluster_.core(k1).leading());
}

TEST_F(ClientThesisTest, Thesis_6_2_AFollowerPassesCommandsToItsLeader) {
  cluster_.Propose(k2, "x");
  EXPECT_THAT(Sent<ProposeRequest>(k1), SizeIs(1));
  cluster_.Settle();
  EXPECT_EQ(cluster_.applied(k2), Commands{"x"});
}

TEST_F(ClientThesisTest, Thesis_6_2_WithoutALeaderCommandsFailAtOnce) {
  cluster_.Crash(k1);
  cluster_.Step(k2, PeerUnreachable{k1});
  cluster_.TimeOut(k2);
  cluster_.Propose(k2, "x");
  EXPECT_THAT(cluster_.proposals_failed,
              ElementsAre(Field(&ProposalFailed::reason, RejectReason::kNoLeader)));
}

TEST_F(ClientThesisTest, Thesis_6_2_ACutLeaderFailsItsReadsWhenItStepsDown) {
  cluster_.Isolate(k1);
  cluster_.Read(k1);
  cluster_.Read(k1);
  cluster_.TimeOut(k1);
  EXPECT_THAT(cluster_.reads_failed, SizeIs(2));
}

// ---- 6.4 Processing read-only queries more efficiently. ----

TEST_F(ClientThesisTest, Thesis_6_4_AReadAppendsNothing) {
  cluster_.Read(k1);
  cluster_.Settle();
  EXPECT_THAT(cluster_.reads_ready, SizeIs(1));
  EXPECT_EQ(cluster_.core(k1).last_index(), LogIndex(1));
}

TEST_F(ClientThesisTest, Thesis_6_4_AMajorityMustStillFollow) {
  const ReadId read = cluster_.Read(k1);
  EXPECT_THAT(cluster_.reads_ready, IsEmpty());
  cluster_.Exchange(k1, k2);
  ASSERT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, read)));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(1));
}

TEST_F(ClientThesisTest, Thesis_6_4_TheReadIndexIsTheCommitIndexWhenTheRoundBegan) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  cluster_.Read(k1);
  cluster_.Settle();
  ASSERT_THAT(cluster_.reads_ready, SizeIs(1));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(2));
}

TEST_F(ClientThesisTest, Thesis_6_4_ReadsOfOneDrainShareARound) {
  cluster_.ReadAll(k1, 3);
  EXPECT_EQ(cluster_.Underway(k1, k2), 1u);
  cluster_.Settle();
  EXPECT_THAT(cluster_.reads_ready, SizeIs(3));
}

TEST_F(ClientThesisTest, Thesis_6_4_AReadIsNotAnsweredByARoundThatBeganBeforeIt) {
  cluster_.Read(k1);
  const ReadId late = cluster_.Read(k1);
  cluster_.Exchange(k1, k2);
  EXPECT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, late - 1)));
  cluster_.Exchange(k1, k2);
  EXPECT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, late)));
}

TEST_F(ClientThesisTest, Thesis_6_4_ANewLeaderCommitsInItsTermFirst) {
  cluster_.LoseConnections(k1, {k2, k3});
  cluster_.Campaign(k2, {k3});
  cluster_.Read(k2);
  EXPECT_EQ(cluster_.Underway(k2, k3), 1u) << "the no-op; no round begins yet";
  cluster_.Settle();
  ASSERT_THAT(cluster_.reads_ready, SizeIs(1));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(2));
}

TEST_F(ClientThesisTest, Thesis_6_4_AFollowerAsksTheLeader) {
  cluster_.Propose(k1, "x");
  cluster_.Settle();
  const ReadId read = cluster_.Read(k2);
  cluster_.Settle();
  ASSERT_THAT(cluster_.reads_ready, ElementsAre(Field(&ReadReady::read, read)));
  EXPECT_EQ(cluster_.reads_ready[0].index, LogIndex(2));
}

TEST_F(ClientThesisTest, Thesis_6_4_AnIsolatedLeaderAnswersNoRead) {
  cluster_.Isolate(k1);
  cluster_.Read(k1);
  cluster_.RunFor(Seconds(3));
  EXPECT_THAT(cluster_.reads_ready, IsEmpty());
  EXPECT_THAT(cluster_.reads_failed, SizeIs(1));
}

TEST_F(ClientThesisTest, Thesis_6_4_1_NoReadRestsOnAClock) {
  // It heard from everybody in this very moment, and asks all the same.
  cluster_.RunFor(Milliseconds(500));
  sent_.clear();
  cluster_.Read(k1);
  EXPECT_THAT(Sent<Heartbeat>(k2), SizeIs(1));
  EXPECT_THAT(cluster_.reads_ready, IsEmpty());
}

}  // namespace
}  // namespace conclave::raft
