// What the stages around the core owe it (rules R1 and R2 of core.h, and what RecoveredState says),
// and what it must not be asked to believe. It ends the process rather than go on from a state that
// nobody can vouch for, and where it can set things right it does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "raft/core/core.h"

namespace conclave::raft {
namespace {

using testing::ExitedWithCode;

constexpr NodeId kSelf{1}, kOther{2}, kThird{3};
constexpr Instant kNow{Seconds(10)};

RecoveredState Fresh() {
  RecoveredState recovered;
  recovered.configuration.voters = {kSelf, kOther, kThird};
  return recovered;
}

// A log that starts after (index, term), which the state machine holds.
RecoveredState StartsAfter(uint64_t index, uint64_t term) {
  RecoveredState recovered = Fresh();
  recovered.hard_state = {Term(term), kNoNode};
  recovered.snapshot_index = recovered.applied = LogIndex(index);
  recovered.snapshot_term = Term(term);
  return recovered;
}

Entry Command(uint64_t index, uint64_t term) {
  return {Term(term), LogIndex(index), EntryKind::kCommand, Bytes::Copy("x")};
}

AppendRequest Appending(uint64_t commit, std::vector<Entry> entries) {
  AppendRequest request;
  request.prev_index = entries.front().index.Prev();
  request.commit = LogIndex(commit);
  request.entries = std::move(entries);
  return request;
}

class ContractTest : public testing::Test {
 protected:
  void Hear(const MessageBody& body, uint64_t term = 1) {
    core_.Step(kNow, Received{{kOther, kSelf, Term(term), body}});
  }

  Core core_{{.id = kSelf}, Fresh(), /*seed=*/1, kNow};
};

class ContractDeathTest : public ContractTest {};

// ---- The rules of core.h. ----

TEST_F(ContractDeathTest, TimeNeverGoesBack) {
  core_.Step(kNow, Woke{});
  EXPECT_DEATH(core_.Step(kNow - Milliseconds(1), Woke{}), "CHECK.now >= state.now");
}

TEST_F(ContractDeathTest, R1OnlyAWriteThatWasHandedOutBecomesDurable) {
  Hear(Appending(0, {Command(1, 1)}));
  EXPECT_DEATH(core_.Step(kNow, Appended{WriteId(1)}), "CHECK.write <= state.last_write");
  core_.Step(kNow, Appended{core_.TakeOutput().append->write});
  EXPECT_EQ(core_.durable(), LogIndex(1));
}

TEST_F(ContractDeathTest, R2OnlyWhatWasHandedOutIsApplied) {
  Hear(Appending(1, {Command(1, 1)}));
  core_.Step(kNow, Appended{core_.TakeOutput().append->write});
  EXPECT_DEATH(core_.Step(kNow, Applied{LogIndex(1)}), "CHECK.index <= state.handed_to_apply");
  ASSERT_EQ(core_.TakeOutput().apply.size(), 1u);
  core_.Step(kNow, Applied{LogIndex(1)});
  EXPECT_EQ(core_.applied(), LogIndex(1));
}

TEST_F(ContractDeathTest, R2AStateIsInstalledAfterItWasHandedOut) {
  core_.Step(kNow, SnapshotFetched{{LogIndex(9), Term(1), Fresh().configuration}});
  EXPECT_TRUE(core_.log_starts_anew());
  EXPECT_DEATH(core_.Step(kNow, Applied{LogIndex(9)}), "install_snapshot");
  EXPECT_EQ(core_.TakeOutput().install_snapshot->index, LogIndex(9));
  core_.Step(kNow, Applied{LogIndex(9)});
  EXPECT_TRUE(core_.log_starts_anew()) << "the log does not say so yet";
  EXPECT_EQ(core_.TakeOutput().append->reset->index, LogIndex(9));
  EXPECT_FALSE(core_.log_starts_anew());
}

TEST_F(ContractDeathTest, AMessageIsForThisMemberAndFromAnother) {
  EXPECT_DEATH(core_.Step(kNow, Received{{kOther, kThird, Term(1), TimeoutNow{}}}), "wrong member");
  EXPECT_DEATH(core_.Step(kNow, Received{{kSelf, kSelf, Term(1), TimeoutNow{}}}), "wrong member");
}

TEST_F(ContractDeathTest, EachReadHasANumberOfItsOwn) {
  Hear(Heartbeat{});
  core_.Step(kNow, ReadRequested{ReadId(7)});
  EXPECT_DEATH(core_.Step(kNow, ReadRequested{ReadId(7)}), "a read id was used twice");
}

// ---- What a core is started with. ----

void Start(const CoreConfig& config, const RecoveredState& recovered) {
  Core core(config, recovered, /*seed=*/1, kNow);
}

TEST(StartDeathTest, AConfigurationMakesSense) {
  EXPECT_DEATH(Start({}, Fresh()), "config.id != kNoNode");
  EXPECT_DEATH(Start({.id = kSelf, .heartbeat_interval = Seconds(1)}, Fresh()), "heartbeat");
  EXPECT_DEATH(Start({.id = kSelf, .append_entries_max = 0}, Fresh()), "append_entries_max");
  EXPECT_DEATH(Start({.id = kSelf}, RecoveredState{}), "voters");
}

TEST(StartDeathTest, WhatWasRecoveredFitsTogether) {
  RecoveredState ahead = Fresh();
  ahead.applied = LogIndex(1);
  EXPECT_DEATH(Start({.id = kSelf}, ahead), "commit <= log.last_index");
  RecoveredState gap = Fresh();
  gap.hard_state.term = Term(1);
  gap.entries = {Command(2, 1)};
  EXPECT_DEATH(Start({.id = kSelf}, gap), "entry.index == last_index");
}

// The log of a crash in the middle of an installation is dropped, so it has nothing to keep.
TEST(StartDeathTest, ALogThatIsToStartAnewHasNoEntries) {
  RecoveredState recovered = StartsAfter(5, 2);
  recovered.reset_log = true;
  recovered.entries = {Command(6, 2)};
  EXPECT_DEATH(Start({.id = kSelf}, recovered), "log.last_index.. == log.start");
}

TEST(StartDeathTest, ATermBehindTheLogIsOneOnlyInTheMiddleOfAnInstallation) {
  RecoveredState recovered = StartsAfter(5, 3);
  recovered.hard_state = {Term(1), kOther};
  EXPECT_DEATH(Start({.id = kSelf}, recovered), "recovered.reset_log");
}

// The state came from a leader whose term this member had not written yet when it crashed. It
// enters that term, in which it has not voted, before anything else.
TEST(StartTest, InTheMiddleOfAnInstallationTheTermIsCaughtUpWith) {
  RecoveredState recovered = StartsAfter(5, 3);
  recovered.hard_state = {Term(1), kOther};
  recovered.reset_log = true;
  Core core({.id = kSelf}, recovered, /*seed=*/1, kNow);
  EXPECT_EQ(core.term(), Term(3));
  EXPECT_EQ(core.Status().vote, kNoNode);
  const Output output = core.TakeOutput();
  ASSERT_TRUE(output.append.has_value());
  EXPECT_EQ(output.append->hard_state, (HardState{Term(3), kNoNode}));
  EXPECT_EQ(output.append->reset, (LogStart{LogIndex(5), Term(3), Fresh().configuration}));
  EXPECT_TRUE(output.append->entries.empty());
}

// ---- What the machine betrays, not our own code: the process ends without a core file. ----

// The leader says only what this member has acknowledged, so its disk was exchanged behind its
// back. To fill it up as if it had never held anything would take a promise back.
TEST_F(ContractDeathTest, AcknowledgedEntriesThatAreGoneEndTheProcess) {
  EXPECT_EXIT(Hear(Heartbeat{.commit = LogIndex(3), .round = 0, .everywhere = {}}),
              ExitedWithCode(1), "acknowledged entries that are not in this member's log");
  EXPECT_EQ(core_.last_index(), LogIndex(0));
}

TEST_F(ContractDeathTest, AConfigurationThatCannotBeReadEndsTheProcess) {
  Entry entry = Command(1, 1);
  entry.kind = EntryKind::kConfiguration;
  EXPECT_EXIT(Hear(Appending(0, {entry})), ExitedWithCode(1),
              "a configuration entry of the log cannot be read");
}

// ---- A state that is being taken in. ----

// Nothing can be written meanwhile, so no entry is taken; but whoever asks only whether this member
// follows gets an answer, or reads would fail for as long as the installation takes.
TEST_F(ContractTest, WhileAStateIsInstalledOnlyRoundsAreAnswered) {
  core_.Step(kNow, SnapshotFetched{{LogIndex(9), Term(1), Fresh().configuration}});
  core_.TakeOutput();
  AppendRequest request = Appending(9, {Command(10, 1)});
  request.prev_term = Term(1);
  request.round = 4;
  Hear(request);
  const Output output = core_.TakeOutput();
  ASSERT_EQ(output.messages.size(), 1u);
  EXPECT_EQ(output.messages[0].body, MessageBody(HeartbeatResponse{.round = 4, .priority = 0}));
  EXPECT_FALSE(output.append.has_value());
  EXPECT_EQ(core_.last_index(), LogIndex(9));
}

// A pre-vote is only a question: by the time it is won this member may be unfit to lead.
TEST_F(ContractTest, WhoseDiskStallsDuringItsPreVoteDoesNotCampaign) {
  Hear(Appending(0, {Command(1, 1)}));
  core_.TakeOutput();  // a write that never completes from here on
  core_.Step(kNow + Milliseconds(600), PeerUnreachable{kOther});
  core_.Step(kNow + Milliseconds(900), Woke{});
  ASSERT_EQ(core_.Status().role, RoleName::kPreCandidate);
  const VoteResponse granted{.pre_vote = true, .granted = true};
  core_.Step(kNow + Milliseconds(1000), Received{{kThird, kSelf, Term(2), granted}});
  EXPECT_EQ(core_.Status().role, RoleName::kFollower);
  EXPECT_EQ(core_.term(), Term(1));
}

TEST_F(ContractTest, NobodyIsElectedInTermZero) {
  Hear(VoteRequest{}, /*term=*/0);
  const Output output = core_.TakeOutput();
  EXPECT_FALSE(output.append.has_value());
  ASSERT_EQ(output.messages.size(), 1u);
  EXPECT_FALSE(std::get<VoteResponse>(output.messages[0].body).granted);
}

TEST(RoleNameTest, EveryRoleHasItsWord) {
  EXPECT_STREQ(ToString(RoleName::kFollower), "follower");
  EXPECT_STREQ(ToString(RoleName::kPreCandidate), "pre-candidate");
  EXPECT_STREQ(ToString(RoleName::kCandidate), "candidate");
  EXPECT_STREQ(ToString(RoleName::kLeader), "leader");
}

}  // namespace
}  // namespace conclave::raft
