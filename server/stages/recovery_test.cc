// What a run starts from, for every way in which a crash or a loss may leave log and state machine.
#include "server/stages/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvstore/engine/memory_engine.h"
#include "kvstore/engine/memory_home.h"

namespace conclave::server {
namespace {

using raft::LogIndex;
using raft::NodeId;
using raft::Term;

const raft::Configuration kInitial{
    .voters = {NodeId(1), NodeId(2), NodeId(3)}, .outgoing = {}, .learners = {}};
const raft::Configuration kChanged{
    .voters = {NodeId(1), NodeId(2)}, .outgoing = {}, .learners = {}};

class RecoveryTest : public ::testing::Test {
 protected:
  // The state machine stands at `index`, whose entry was of `term`.
  void Apply(uint64_t index, uint64_t term) {
    if (!store_) store_ = *kv::Store::Open(&engine_, {}, {});
    while (store_->applied_index() < index) store_->ApplyNothing(store_->applied_index() + 1, term);
    store_->Commit();
  }
  void Change(uint64_t index, uint64_t term) {
    store_->ApplyConfiguration(index, term, raft::EncodeConfiguration(kChanged), "", false);
    store_->Commit();
  }
  // What is there came as a snapshot, whose source told of that configuration.
  void Install(const raft::Configuration& told = kInitial) {
    ASSERT_TRUE(kv::Store::MarkInstalled(&engine_, raft::EncodeConfiguration(told)).ok());
    store_ = *kv::Store::Open(&engine_, {}, {});
  }

  // A log with entries after `start` to `last`, all of `term`.
  static raft::WalContents Log(uint64_t start, uint64_t last, uint64_t term) {
    raft::WalContents log;
    log.hard_state = {.term = Term(term), .vote = NodeId(2)};
    log.snapshot_index = LogIndex(start);
    log.snapshot_term = Term(start == 0 ? 0 : 1);
    log.configuration = kInitial;
    for (uint64_t i = start + 1; i <= last; ++i) {
      log.entries.push_back({.term = Term(term),
                             .index = LogIndex(i),
                             .kind = raft::EntryKind::kNoop,
                             .payload = {}});
    }
    return log;
  }

  kv::MemoryEngine engine_;
  std::unique_ptr<kv::Store> store_;
};

TEST_F(RecoveryTest, LogThatHoldsTheEntryIsReplayedFromThere) {
  Apply(7, 2);
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.snapshot_index, LogIndex(5));
  EXPECT_EQ(recovered->core.applied, LogIndex(7));
  EXPECT_EQ(recovered->core.entries.size(), 4u);
  EXPECT_EQ(recovered->core.hard_state.vote, NodeId(2));
  EXPECT_FALSE(recovered->core.reset_log);
}

TEST_F(RecoveryTest, LogThatBeginsRightAfterTheStateFits) {
  Apply(5, 1);
  const auto recovered = Recover(Log(5, 5, 1), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_FALSE(recovered->core.reset_log);
}

TEST_F(RecoveryTest, LogFromBeforeASnapshotIsStartedAnew) {
  Apply(20, 3);
  Install();
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_TRUE(recovered->core.reset_log);
  EXPECT_EQ(recovered->core.snapshot_index, LogIndex(20));
  EXPECT_EQ(recovered->core.snapshot_term, Term(3));
  EXPECT_EQ(recovered->core.applied, LogIndex(20));
  EXPECT_TRUE(recovered->core.entries.empty());
  EXPECT_EQ(recovered->core.configuration, kInitial);
}

TEST_F(RecoveryTest, LogWithAnotherEntryAtTheSnapshotsIndexIsStartedAnew) {
  Apply(7, 3);
  Install();
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_TRUE(recovered->core.reset_log);
  EXPECT_TRUE(recovered->core.entries.empty());
}

TEST_F(RecoveryTest, SnapshotBringsItsConfiguration) {
  Apply(19, 3);
  Change(20, 3);
  Install();
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.configuration, kChanged);
}

// A state without a change of membership says nothing itself, and the log of this member may have
// begun with another configuration.
TEST_F(RecoveryTest, SnapshotBringsTheConfigurationThatItsSourceTold) {
  Apply(20, 3);
  Install(kChanged);
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.configuration, kChanged);
}

TEST_F(RecoveryTest, WhatTheStateSaysOfItsConfigurationGoesFirst) {
  Apply(19, 3);
  Change(20, 3);
  Install(kInitial);
  EXPECT_EQ(store_->position().configuration, raft::EncodeConfiguration(kChanged));
}

// It cannot have voted in a term that its hard state has never heard of.
TEST_F(RecoveryTest, SnapshotBringsItsTermWithoutAVote) {
  Apply(20, 6);
  Install();
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  raft::CoreConfig config;
  config.id = NodeId(1);
  raft::Core core(config, recovered->core, /*seed=*/1, Instant(Seconds(1)));
  const raft::Output output = core.TakeOutput();
  ASSERT_TRUE(output.append.has_value());
  EXPECT_EQ(output.append->hard_state, (raft::HardState{Term(6), raft::kNoNode}));
}

TEST_F(RecoveryTest, AVoteOfTheSnapshotsTermStays) {
  Apply(20, 2);
  Install();
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.hard_state.vote, NodeId(2));
}

// Something was applied since, so the log was reset before and has lost what it held.
TEST_F(RecoveryTest, LogThatLostItsEndIsRefused) {
  Apply(20, 3);
  EXPECT_TRUE(absl::IsDataLoss(Recover(Log(5, 9, 2), *store_, NodeId(1)).status()));
  Install();
  Apply(21, 3);
  EXPECT_TRUE(absl::IsDataLoss(Recover(Log(5, 9, 2), *store_, NodeId(1)).status()));
}

TEST_F(RecoveryTest, AStateFromBeforeTheLogIsLostIfAnotherMemberMayHaveIt) {
  Apply(4, 1);
  const auto recovered = Recover(Log(5, 9, 2), *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_TRUE(recovered->state_lost);
  EXPECT_EQ(recovered->core.applied, LogIndex(5));
  EXPECT_EQ(recovered->core.snapshot_index, LogIndex(5));
  EXPECT_EQ(recovered->core.entries.size(), 4u);
  EXPECT_FALSE(recovered->core.reset_log);
}

TEST_F(RecoveryTest, OtherwiseItIsRefused) {
  Apply(4, 1);
  raft::WalContents log = Log(5, 9, 2);
  log.configuration = {.voters = {NodeId(1)}, .outgoing = {}, .learners = {NodeId(2)}};
  EXPECT_TRUE(absl::IsDataLoss(Recover(log, *store_, NodeId(1)).status()));
  Install();
  EXPECT_TRUE(absl::IsDataLoss(Recover(log, *store_, NodeId(1)).status()));
}

// ---- A damaged engine. ----

class DamagedEngineTest : public RecoveryTest {
 protected:
  DamagedEngineTest() { disk_.Damage(); }

  absl::StatusOr<std::shared_ptr<kv::Engine>> Open(const raft::WalContents& log) {
    return OpenEngine(*home_, log, NodeId(1), &note_);
  }

  kv::MemoryHomeDisk disk_;
  std::unique_ptr<kv::EngineHome> home_ = kv::NewMemoryHome(&disk_);
  std::string note_;
};

TEST_F(DamagedEngineTest, AWholeLogIsAppliedToAnEmptyOne) {
  auto engine = Open(Log(0, 9, 1));
  ASSERT_TRUE(engine.ok());
  EXPECT_FALSE(home_->damaged());
  EXPECT_THAT(note_, testing::HasSubstr("the whole log is applied again"));
  kv::WriteBatch batch;
  batch.Put("key", "value");
  (*engine)->Write(batch);
  (*engine)->Flush();
  engine->reset();
  EXPECT_EQ((*home_->Open())->Get("key"), "value");
}

TEST_F(DamagedEngineTest, WithoutTheLogsBeginningAStandInWaitsForAState) {
  const auto engine = Open(Log(5, 9, 2));
  ASSERT_TRUE(engine.ok());
  EXPECT_TRUE(home_->damaged()) << "until another one is adopted";
  EXPECT_THAT(note_, testing::HasSubstr("the state is fetched"));
  const auto store = *kv::Store::Open(engine->get(), {}, {});
  EXPECT_TRUE(Recover(Log(5, 9, 2), *store, NodeId(1))->state_lost);
}

TEST_F(DamagedEngineTest, AMemberAloneIsRefused) {
  raft::WalContents log = Log(5, 9, 2);
  log.configuration = {.voters = {NodeId(1)}, .outgoing = {}, .learners = {}};
  const auto engine = Open(log);
  EXPECT_TRUE(absl::IsDataLoss(engine.status()));
  EXPECT_THAT(std::string(engine.status().message()),
              testing::HasSubstr("the log begins at entry 6"));
}

// The log begins when the member was alone, and its newest configuration counts.
TEST_F(DamagedEngineTest, AMemberOfAClusterThatHasGrownSinceIsNotAlone) {
  raft::WalContents log = Log(5, 9, 2);
  log.configuration = {.voters = {NodeId(1)}, .outgoing = {}, .learners = {}};
  const auto set = [&log](size_t position, const raft::Configuration& configuration) {
    log.entries[position].kind = raft::EntryKind::kConfiguration;
    log.entries[position].payload = Bytes::Copy(raft::EncodeConfigurationEntry(configuration, ""));
  };
  set(1, kChanged);
  EXPECT_TRUE(Open(log).ok());
  EXPECT_THAT(note_, testing::HasSubstr("the state is fetched"));
  kv::MemoryEngine empty;
  const auto store = *kv::Store::Open(&empty, {}, {});
  EXPECT_TRUE(Recover(log, *store, NodeId(1))->state_lost);
  set(2, {.voters = {NodeId(1)}, .outgoing = {NodeId(1), NodeId(2)}, .learners = {}});
  EXPECT_TRUE(Open(log).ok()) << "who is about to go has the state as well";
  set(3, {.voters = {NodeId(1)}, .outgoing = {}, .learners = {NodeId(2)}});
  EXPECT_TRUE(absl::IsDataLoss(Open(log).status())) << "it is alone again";
}

TEST_F(RecoveryTest, EndThatIsKnownToBeLostStaysUnknown) {
  Apply(9, 2);
  raft::WalContents log = Log(5, 12, 2);
  log.lost_through = LogIndex(20);
  auto recovered = Recover(log, *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.lost_through, LogIndex(20));
  EXPECT_FALSE(recovered->core.reset_log);
  EXPECT_EQ(recovered->core.entries.size(), 7u);

  Apply(15, 2);  // the state machine holds some of what the log has lost
  recovered = Recover(log, *store_, NodeId(1));
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->core.lost_through, LogIndex(20));
  EXPECT_TRUE(recovered->core.reset_log);
  EXPECT_EQ(recovered->core.snapshot_index, LogIndex(15));

  Apply(21, 2);  // more than the log ever held
  EXPECT_TRUE(absl::IsDataLoss(Recover(log, *store_, NodeId(1)).status()));
}

}  // namespace
}  // namespace conclave::server
