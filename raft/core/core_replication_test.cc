// What this core adds to the thesis about replication: durability by write number, bounds, lost
// messages, proposals, the start of the log. The thesis's own rules have their tests in
// thesis_3_log_test.cc and its neighbours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

class ReplicationTest : public testing::Test {
 protected:
  explicit ReplicationTest(TestCluster::Options options = {}) : cluster_(options) {}

  void SetUp() override {
    cluster_.Elect(k1);
    cluster_.on_sent = [this](const Message& message) { sent_.push_back(message); };
  }
  void TearDown() override { EXPECT_THAT(cluster_.problems(), IsEmpty()); }

  // Messages of one kind since the last call, to one member.
  template <typename Body>
  std::vector<Body> Sent(NodeId to) {
    std::vector<Body> bodies;
    for (const Message& message : sent_) {
      const Body* body = std::get_if<Body>(&message.body);
      if (message.to == to && body != nullptr) bodies.push_back(*body);
    }
    sent_.clear();
    return bodies;
  }

  TestCluster cluster_;
  std::vector<Message> sent_;
};

TEST_F(ReplicationTest, ARepeatedRequestIsAnsweredBehindTheWriteItWaitsFor) {
  cluster_.Propose(k1, "a");
  cluster_.Repeat(k1, k2);
  cluster_.Deliver(k1, k2);
  sent_.clear();
  cluster_.Deliver(k1, k2);
  EXPECT_THAT(Sent<AppendResponse>(k1), IsEmpty());
  cluster_.FinishWrite(k2);
  EXPECT_EQ(Sent<AppendResponse>(k1).size(), 1u);
  cluster_.FinishWrite(k2);
  EXPECT_EQ(Sent<AppendResponse>(k1).size(), 1u);
}

TEST_F(ReplicationTest, LostRequestsAreFoundByHeartbeats) {
  cluster_.Propose(k1, "a");
  cluster_.Drop(k1, k2);
  cluster_.Drop(k1, k3);
  cluster_.RunFor(Milliseconds(500));
  EXPECT_THAT(cluster_.applied(k3), ElementsAre("a"));
}

TEST_F(ReplicationTest, ALostConnectionGoesBackToWhatIsCertain) {
  cluster_.Propose(k1, "a");
  cluster_.Drop(k1, k2);
  cluster_.Step(k1, PeerUnreachable{k2});
  EXPECT_EQ(cluster_.status(k1).peers[0].next, LogIndex(2));
  cluster_.RunFor(Milliseconds(250));
  EXPECT_THAT(cluster_.applied(k2), ElementsAre("a"));
}

TEST_F(ReplicationTest, AFollowerThatLostItsLogDoesNotGoOn) {
  EXPECT_DEATH(
      {
        cluster_.Inject(
            {k1, k2, Term(1), Heartbeat{.commit = LogIndex(7), .round = 0, .everywhere = {}}});
        cluster_.Deliver(k1, k2);
      },
      "lost");
}

// ---- Durability by write number. ----

RecoveredState ThreeVoters() {
  RecoveredState recovered;
  recovered.configuration.voters = {k1, k2, k3};
  return recovered;
}

// `count` entries of `term` after (prev, prev_term).
AppendRequest Request(uint64_t prev, uint64_t prev_term, uint64_t term, size_t count) {
  AppendRequest request{.prev_index = LogIndex(prev),
                        .prev_term = Term(prev_term),
                        .commit = {},
                        .everywhere = {},
                        .entries = {}};
  for (size_t i = 1; i <= count; ++i) {
    request.entries.push_back({Term(term), LogIndex(prev + i), EntryKind::kCommand, {}});
  }
  return request;
}

TEST(DurabilityTest, AConflictTakesDurabilityBackAtOnce) {
  Core core({.id = k1}, ThreeVoters(), 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(1), Request(0, 0, 1, 5)}});
  core.Step(Instant{}, Appended{core.TakeOutput().append->write});
  EXPECT_EQ(core.Status().durable, LogIndex(5));
  core.Step(Instant{}, Received{{k3, k1, Term(2), Request(2, 1, 2, 1)}});
  EXPECT_EQ(core.Status().durable, LogIndex(2));
}

TEST(DurabilityTest, ALaterWriteThatReplacesBoundsWhatAnEarlierOneMakesDurable) {
  Core core({.id = k1}, ThreeVoters(), 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(1), Request(0, 0, 1, 5)}});
  const WriteId first = core.TakeOutput().append->write;
  core.Step(Instant{}, Received{{k3, k1, Term(2), Request(2, 1, 2, 2)}});
  const WriteId second = core.TakeOutput().append->write;
  core.Step(Instant{}, Received{{k3, k1, Term(2), Request(4, 2, 2, 1)}});
  const WriteId third = core.TakeOutput().append->write;
  core.Step(Instant{}, Appended{first});
  EXPECT_EQ(core.Status().durable, LogIndex(2)) << "3 to 5 are replaced by the second write";
  core.Step(Instant{}, Appended{second});
  EXPECT_EQ(core.Status().durable, LogIndex(4));
  core.Step(Instant{}, Appended{third});
  EXPECT_EQ(core.Status().durable, LogIndex(5));
  EXPECT_EQ(core.CheckInvariants(), std::nullopt);
}

TEST(DurabilityTest, WhatIsNotYetHandedOutBoundsItToo) {
  Core core({.id = k1}, ThreeVoters(), 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(1), Request(0, 0, 1, 3)}});
  const WriteId first = core.TakeOutput().append->write;
  core.Step(Instant{}, Received{{k3, k1, Term(2), Request(1, 1, 2, 1)}});
  core.Step(Instant{}, Appended{first});
  EXPECT_EQ(core.Status().durable, LogIndex(1));
}

// ---- Proposals. ----

TEST_F(ReplicationTest, OnlyTheLeaderOfTheProposalsTermTakesIt) {
  cluster_.Elect(k2);
  sent_.clear();
  const ProposeRequest request{{Proposal{ProposalId(7), Bytes::Copy("x")}}};
  cluster_.Inject({k3, k2, Term(1), request});  // it was meant for the leader of term 1
  cluster_.Inject({k3, k1, Term(2), request});  // it leads no more
  cluster_.Deliver(k3, k2);
  cluster_.Deliver(k3, k1);
  EXPECT_EQ(cluster_.status(k2).last_index, LogIndex(2)) << "nothing after the no-op";
  EXPECT_THAT(Sent<ProposeResponse>(k3),
              ElementsAre(Field(&ProposeResponse::rejected, ElementsAre(ProposalId(7))),
                          Field(&ProposeResponse::rejected, ElementsAre(ProposalId(7)))));
  cluster_.Drop(k2, k3);
  cluster_.Drop(k1, k3);
}

TestCluster::Options Bounded() {
  TestCluster::Options options;
  options.config.uncommitted_bytes_max = 100;
  options.config.inflight_appends_max = 2;
  options.config.apply_bytes_max = 1;
  return options;
}

class BoundedTest : public ReplicationTest {
 protected:
  BoundedTest() : ReplicationTest(Bounded()) {}
};

TEST_F(BoundedTest, UncommittedBytesAreBounded) {
  cluster_.ProposeAll(k1, {"a", "b", "c", "d"});  // each counts as 33 bytes
  EXPECT_THAT(cluster_.proposals_failed,
              ElementsAre(Field(&ProposalFailed::reason, RejectReason::kTooMany)));
  cluster_.Settle();
  cluster_.Propose(k1, "e");
  cluster_.Settle();
  EXPECT_THAT(cluster_.applied(k1), ElementsAre("a", "b", "c", "e"));
}

TEST_F(BoundedTest, RequestsInFlightAreBounded) {
  for (const char* payload : {"a", "b", "c"}) cluster_.Propose(k1, payload);
  EXPECT_EQ(Sent<AppendRequest>(k2).size(), 2u);
  cluster_.Settle();
  EXPECT_THAT(cluster_.applied(k2), ElementsAre("a", "b", "c"));
}

TEST_F(BoundedTest, EntriesToApplyComeInBoundedPieces) {
  cluster_.ProposeAll(k1, {"a", "b", "c"});
  std::vector<size_t> pieces;
  cluster_.on_output = [&](NodeId member, const Output& output) {
    if (member == k2 && !output.apply.empty()) pieces.push_back(output.apply.size());
  };
  cluster_.RunFor(Milliseconds(10));
  EXPECT_THAT(pieces, ElementsAre(1, 1, 1));
}

// ---- Compaction of the log. ----

TEST_F(ReplicationTest, FollowersLetGoWhatTheLeaderSaysEverybodyHas) {
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.Settle();
  cluster_.RunFor(Milliseconds(200));
  cluster_.Compact(k2, LogIndex(2));
  EXPECT_EQ(cluster_.status(k2).first_index, LogIndex(3));
}

TEST_F(ReplicationTest, AMemberThatRestartsWithAShortLogCatchesUp) {
  cluster_.ProposeAll(k1, {"a", "b"});
  cluster_.RunFor(Milliseconds(300));
  for (NodeId member : cluster_.members()) cluster_.Compact(member, LogIndex(3));
  cluster_.Crash(k2);
  cluster_.Propose(k1, "c");
  cluster_.Settle();
  cluster_.Restart(k2);
  cluster_.RunFor(Seconds(1));
  EXPECT_THAT(cluster_.applied(k2), ElementsAre("a", "b", "c"));
}

// ---- What a restart finds. ----

TEST(RecoveryTest, WhatTheStateMachineHoldsIsCommittedAndNotAppliedAgain) {
  RecoveredState recovered = ThreeVoters();
  recovered.hard_state = {Term(3), k2};
  recovered.entries = Request(0, 0, 1, 5).entries;
  recovered.applied = LogIndex(4);
  Core core({.id = k1}, recovered, 1, Instant{});
  const Output output = core.TakeOutput();
  EXPECT_THAT(output.apply, IsEmpty());
  EXPECT_EQ(output.append, std::nullopt);
  const CoreStatus status = core.Status();
  EXPECT_EQ(status.term, Term(3));
  EXPECT_EQ(status.vote, k2);
  EXPECT_EQ(status.commit, LogIndex(4));
  EXPECT_EQ(status.applied, LogIndex(4));
  EXPECT_EQ(status.durable, LogIndex(5));
}

// What damage leaves may differ from what is committed even where the leader's log starts. Asked
// there again and again it would refuse for ever, at the speed of the network (storm 656).
TEST(LostEntriesTest, WhoDiffersAtTheLogsStartGetsASnapshot) {
  RecoveredState recovered = ThreeVoters();
  recovered.hard_state = {Term(2), kNoNode};
  recovered.snapshot_index = LogIndex(5);
  recovered.snapshot_term = Term(2);
  recovered.applied = LogIndex(5);
  Core core({.id = k1}, recovered, 1, Instant{});
  core.Step(Instant{Seconds(10)}, Woke{});
  core.Step(Instant{Seconds(10)},
            Received{{k2, k1, Term(3), VoteResponse{.pre_vote = true, .granted = true}}});
  core.Step(Instant{Seconds(10)}, Appended{core.TakeOutput().append->write});
  core.Step(Instant{Seconds(10)},
            Received{{k2, k1, Term(3), VoteResponse{.pre_vote = false, .granted = true}}});
  ASSERT_TRUE(core.leading());
  core.TakeOutput();

  AppendResponse lost;
  lost.index = LogIndex(5);
  lost.hint_index = LogIndex(5);
  lost.hint_term = Term(1);
  lost.incomplete = true;
  core.Step(Instant{Seconds(10)}, Received{{k3, k1, Term(3), lost}});
  EXPECT_THAT(
      core.TakeOutput().messages,
      ElementsAre(AllOf(
          Field(&Message::to, k3),
          Field(&Message::body, testing::VariantWith<SnapshotOffer>(SnapshotOffer{LogIndex(5)})))));
}

// Damage may leave an older beginning of the log, which lost records had replaced: the entry at 2
// is of term 1 here, though this member had acknowledged another one to the leader of term 3.
TEST(LostEntriesTest, AHeartbeatIsNoProofThatWhatIsLeftMatches) {
  const Instant now{Seconds(1)};
  CoreConfig config;
  config.id = k2;
  const Entry noop{Term(1), LogIndex(1), EntryKind::kNoop, {}};
  const Entry stale{Term(1), LogIndex(2), EntryKind::kCommand, Bytes::Copy("stale")};
  const Entry acknowledged{Term(3), LogIndex(2), EntryKind::kCommand, Bytes::Copy("acknowledged")};
  Core core(config,
            {.hard_state = {Term(3), kNoNode},
             .snapshot_index = {},
             .snapshot_term = {},
             .configuration = {.voters = {k1, k2, k3}, .outgoing = {}, .learners = {}},
             .entries = {noop, stale},
             .applied = {},
             .lost_through = LogIndex(3)},
            /*seed=*/1, now);

  Heartbeat heartbeat;
  heartbeat.commit = LogIndex(2);
  core.Step(now, Received{{k1, k2, Term(3), heartbeat}});
  EXPECT_EQ(core.commit(), LogIndex(0));
  const Output told = core.TakeOutput();
  EXPECT_THAT(told.messages,
              testing::Contains(Field(&Message::body, testing::VariantWith<AppendResponse>(Field(
                                                          &AppendResponse::incomplete, true)))));

  AppendRequest request;
  request.prev_index = LogIndex(1);
  request.prev_term = Term(1);
  request.commit = LogIndex(2);
  request.entries = {acknowledged};
  core.Step(now, Received{{k1, k2, Term(3), request}});
  EXPECT_EQ(core.commit(), LogIndex(2));
  EXPECT_EQ(core.TakeOutput().append->entries, std::vector{acknowledged});
}

// ---- Snapshots. ----

// A member in `term` whose log starts after (5, term 2), which is therefore committed.
RecoveredState StartsAfterFive(uint64_t term) {
  RecoveredState recovered = ThreeVoters();
  recovered.hard_state = {Term(term), kNoNode};
  recovered.snapshot_index = LogIndex(5);
  recovered.snapshot_term = Term(2);
  recovered.applied = LogIndex(5);
  return recovered;
}

// What is committed was not committed by a leader that holds something else there.
TEST(SnapshotTest, ALeaderWhoseLogContradictsTheStartIsNotFollowed) {
  for (const AppendRequest& request :
       {Request(5, 1, 3, 1), Request(4, 1, 1, 2), Request(3, 1, 1, 2)}) {
    Core core({.id = k1}, StartsAfterFive(3), 1, Instant{});
    core.Step(Instant{}, Received{{k2, k1, Term(3), request}});
    EXPECT_EQ(core.last_index(), LogIndex(5));
    const Output output = core.TakeOutput();
    EXPECT_THAT(output.messages, IsEmpty()) << "after " << request.prev_index.value();
    EXPECT_EQ(output.append, std::nullopt);
  }
}

TEST(SnapshotTest, ALeaderWhoseLogHasTheStartIsFollowed) {
  AppendRequest across = Request(3, 1, 2, 2);
  for (const AppendRequest& request : {Request(5, 2, 3, 1), across}) {
    Core core({.id = k1}, StartsAfterFive(3), 1, Instant{});
    core.Step(Instant{}, Received{{k2, k1, Term(3), request}});
    const Output output = core.TakeOutput();
    EXPECT_EQ(output.messages.size() + (output.append ? output.append->after_durable.size() : 0),
              1u);
  }
}

// Writes of the log that was are still under way when the snapshot takes its place.
TEST(SnapshotTest, WritesOfTheLogThatWasMakeNothingDurable) {
  Core core({.id = k1}, ThreeVoters(), 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(1), Request(0, 0, 1, 3)}});
  const WriteId write = core.TakeOutput().append->write;
  core.Step(Instant{}, SnapshotFetched{{LogIndex(9), Term(1), ThreeVoters().configuration}});
  ASSERT_TRUE(core.TakeOutput().install_snapshot.has_value());
  core.Step(Instant{}, Appended{write});
  EXPECT_EQ(core.durable(), LogIndex(0));
  core.Step(Instant{}, Applied{LogIndex(9)});
  EXPECT_EQ(core.durable(), LogIndex(9));
  EXPECT_EQ(core.TakeOutput().append->reset->index, LogIndex(9));
}

TEST(SnapshotTest, AnOfferIsForgottenOnceASnapshotIsHere) {
  Core core({.id = k1}, ThreeVoters(), 1, Instant{});
  core.Step(Instant{}, Received{{k2, k1, Term(1), SnapshotOffer{LogIndex(7)}}});
  core.Step(Instant{}, SnapshotFetched{{LogIndex(9), Term(1), ThreeVoters().configuration}});
  EXPECT_EQ(core.TakeOutput().fetch_snapshot, std::nullopt);
}

// What was lost is in the snapshot, so nothing is missing any more.
TEST(SnapshotTest, ASnapshotFillsLostEntriesUp) {
  RecoveredState recovered = ThreeVoters();
  recovered.hard_state = {Term(1), kNoNode};
  recovered.lost_through = LogIndex(4);
  Core core({.id = k1}, recovered, 1, Instant{});
  core.Step(Instant{}, SnapshotFetched{{LogIndex(9), Term(1), ThreeVoters().configuration}});
  EXPECT_TRUE(core.TakeOutput().install_snapshot.has_value());
  EXPECT_TRUE(core.Status().incomplete);
  core.Step(Instant{}, Applied{LogIndex(9)});
  EXPECT_FALSE(core.Status().incomplete);
  EXPECT_TRUE(core.TakeOutput().append->complete);
}

}  // namespace
}  // namespace conclave::raft
