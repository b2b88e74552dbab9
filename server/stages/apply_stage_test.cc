// What becomes of each kind of entry: what the store is given, and who is answered.
#include "server/stages/apply_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/engine/cached_only.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"
#include "raft/base/manual_executor.h"
#include "raft/core/configuration.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr raft::NodeId kSelf{7};

// One whose disk is behind as long as it is told so, and which has some keys only there.
class SlowEngine : public kv::MemoryEngine {
 public:
  std::optional<std::string> Get(std::string_view key) const override {
    if (!cold_.contains(key)) return MemoryEngine::Get(key);
    if (kv::CachedOnly* const cached_only = kv::CachedOnly::Current(); cached_only != nullptr) {
      cached_only->Miss();
      return std::nullopt;
    }
    ++waits_;
    if (!stays_cold_) cold_.erase(cold_.find(key));
    return MemoryEngine::Get(key);
  }
  // Until somebody has waited for it, or for ever.
  void SetCold(const std::string& key, bool stays = false) {
    cold_.insert(kv::LatestKey(key));
    stays_cold_ = stays;
  }
  int waits() const { return waits_; }

  bool HasRoom() const override { return !behind_; }
  void AwaitRoom(absl::AnyInvocable<void()> then) override {
    ASSERT_TRUE(behind_);
    awaited_ = std::move(then);
  }
  void SetBehind(bool behind) {
    behind_ = behind;
    if (!behind && awaited_) std::exchange(awaited_, nullptr)();
  }

 private:
  bool behind_ = false;
  absl::AnyInvocable<void()> awaited_;
  mutable std::set<std::string, std::less<>> cold_;
  bool stays_cold_ = false;
  mutable int waits_ = 0;
};

class ApplyStageTest : public ::testing::Test {
 protected:
  ApplyStageTest() { proposer_.OnRoleChange({raft::RoleName::kLeader, raft::Term(3), kSelf}); }

  // The command as this member's proposer hands it to raft, and waits for.
  Bytes Propose(kv::CommandKind kind, const std::string& request) {
    proposer_.Propose(kind, request,
                      [this](kv::ApplyResult result) { answers_.push_back(std::move(result)); });
    return proposer_.TakeProposals(raft::Term(3), /*leading=*/true).at(0).payload;
  }
  static std::string AddMember(uint64_t id) {
    etcdserverpb::Member member;
    member.set_id(id);
    member.add_peerurls("http://m" + std::to_string(id) + ":2380");
    return member.SerializeAsString();
  }
  static std::string Put(const std::string& key) {
    etcdserverpb::PutRequest put;
    put.set_key(key);
    return put.SerializeAsString();
  }

  raft::Entry Next(raft::EntryKind kind, Bytes payload) {
    return {.term = raft::Term(3),
            .index = raft::LogIndex(++last_),
            .kind = kind,
            .payload = std::move(payload)};
  }
  raft::Entry NextPut(const std::string& key) {
    return Next(raft::EntryKind::kCommand, Propose(kv::CommandKind::kPut, Put(key)));
  }
  raft::Entry NextConfiguration(std::string_view context) {
    configuration_.voters.push_back(raft::NodeId(100 + last_));
    return Next(raft::EntryKind::kConfiguration,
                Bytes::Copy(raft::EncodeConfigurationEntry(configuration_, context)));
  }

  ManualExecutor lane_;
  ManualExecutor disk_lane_;
  SlowEngine engine_;
  std::shared_ptr<kv::Engine> shared_engine_{&engine_, [](kv::Engine*) {}};
  std::unique_ptr<kv::Store> store_ = *kv::Store::Open(&engine_, {}, {});
  Proposer proposer_{{.member = kSelf}, &lane_, [] {}};
  std::vector<raft::LogIndex> entries_;
  std::vector<raft::LogIndex> applied_;
  int removed_ = 0;
  DiskReads disk_reads_{&lane_, {&disk_lane_}, &shared_engine_};
  ApplyStage stage_{
      {.removed_revisions_min = 4, .held_bytes_max = 1000},
      &lane_,
      store_.get(),
      &disk_reads_,
      &proposer_,
      {.entry = [this] { entries_.push_back(raft::LogIndex(store_->applied_index())); },
       .applied = [this](const raft::Entry& last, size_t) { applied_.push_back(last.index); },
       .removed = [this] { ++removed_; }}};
  std::vector<kv::ApplyResult> answers_;
  raft::Configuration configuration_;
  uint64_t last_ = 0;
};

TEST_F(ApplyStageTest, EveryEntryMovesThePosition) {
  stage_.Apply({Next(raft::EntryKind::kNoop, {})});
  EXPECT_EQ(store_->position(), (kv::LogPosition{1, 3, ""}));
  stage_.Apply({NextConfiguration({}),
                Next(raft::EntryKind::kCommand, Propose(kv::CommandKind::kPut, Put("a")))});
  EXPECT_EQ(store_->position(), (kv::LogPosition{3, 3, raft::EncodeConfiguration(configuration_)}));
  EXPECT_THAT(applied_, ElementsAre(raft::LogIndex(1), raft::LogIndex(3)));
  EXPECT_THAT(answers_, SizeIs(1));
}

TEST_F(ApplyStageTest, ManyRemovedRevisionsAreToldOfTogether) {
  const auto compact = [this](int64_t revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    stage_.Apply({Next(raft::EntryKind::kCommand,
                       Propose(kv::CommandKind::kCompact, request.SerializeAsString()))});
    lane_.Advance(Seconds(1));
    EXPECT_EQ(store_->compacted_physically(), revision);
  };
  for (int i = 0; i < 10; ++i) {
    stage_.Apply({Next(raft::EntryKind::kCommand, Propose(kv::CommandKind::kPut, Put("a")))});
  }
  compact(2);
  EXPECT_EQ(removed_, 0);
  compact(3);
  EXPECT_EQ(removed_, 1);
  compact(6);
  EXPECT_EQ(removed_, 1);
  compact(7);
  EXPECT_EQ(removed_, 2);
}

TEST_F(ApplyStageTest, EntriesAreHeldUntilThereIsRoomForThem) {
  engine_.SetBehind(true);
  stage_.Apply({NextPut("a")});
  stage_.Apply({NextPut("b"), NextPut("c")});
  lane_.Advance(Seconds(1));
  EXPECT_THAT(applied_, ElementsAre());
  EXPECT_THAT(answers_, SizeIs(0));
  engine_.SetBehind(false);
  stage_.Apply({NextPut("d")});
  EXPECT_THAT(applied_, ElementsAre()) << "before what came earlier";
  lane_.Advance(Duration::zero());
  EXPECT_THAT(entries_, SizeIs(4));
  EXPECT_THAT(answers_, SizeIs(4));
  EXPECT_FALSE(stage_.behind());
  stage_.Apply({NextPut("e")});
  EXPECT_THAT(answers_, SizeIs(5)) << "at once again";
}

TEST_F(ApplyStageTest, RoomThatIsGoneAgainIsAwaitedAgain) {
  engine_.SetBehind(true);
  stage_.Apply({NextPut("a")});
  engine_.SetBehind(false);
  engine_.SetBehind(true);
  lane_.Advance(Seconds(10));
  EXPECT_THAT(applied_, ElementsAre());
  engine_.SetBehind(false);
  lane_.Advance(Duration::zero());
  EXPECT_THAT(applied_, ElementsAre(raft::LogIndex(1)));
}

TEST_F(ApplyStageTest, WhatIsHeldForWantOfRoomIsBounded) {
  engine_.SetBehind(true);
  for (int i = 0; i < 100; ++i) {
    stage_.Apply({NextPut(std::string(100, 'k'))});
    EXPECT_LE(stage_.held_bytes(), 1000u);
  }
  EXPECT_THAT(applied_, SizeIs(::testing::Gt(0u)));
}

TEST_F(ApplyStageTest, NothingIsAppliedWhileItIsHeldForAnotherStateHoweverMuchThatIs) {
  engine_.SetBehind(true);
  stage_.Apply({NextPut("a")});
  stage_.Hold();
  for (int i = 0; i < 100; ++i) stage_.Apply({NextPut(std::string(100, 'k'))});
  EXPECT_THAT(applied_, ElementsAre());
  engine_.SetBehind(false);
  lane_.Advance(Seconds(1));
  EXPECT_THAT(applied_, ElementsAre());
  stage_.Release();
  lane_.Advance(Duration::zero());
  EXPECT_THAT(entries_, SizeIs(101));
}

TEST_F(ApplyStageTest, WhatIsToBeReadFromTheDiskIsReadElsewhereForAllThatAreHeld) {
  for (const std::string key : {"b", "c", "d"}) engine_.SetCold(key);
  stage_.Apply({NextPut("a"), NextPut("b"), NextPut("c")});
  EXPECT_THAT(answers_, SizeIs(1)) << "up to the first that is not in memory";
  stage_.Apply({NextPut("d"), NextPut("e")});
  lane_.Advance(Seconds(1));
  EXPECT_THAT(applied_, ElementsAre(raft::LogIndex(1)));
  EXPECT_EQ(engine_.waits(), 0);
  disk_lane_.RunPosted();
  EXPECT_EQ(engine_.waits(), 2) << "of those that were held by then";
  lane_.RunPosted();
  EXPECT_THAT(answers_, SizeIs(3));
  disk_lane_.RunPosted();
  lane_.RunPosted();
  EXPECT_THAT(entries_, SizeIs(5));
  EXPECT_THAT(answers_, SizeIs(5));
  EXPECT_EQ(engine_.waits(), 3);
  EXPECT_EQ(stage_.held_bytes(), 0u);
}

TEST_F(ApplyStageTest, WhatHasGoneFromMemoryAgainIsWaitedFor) {
  engine_.SetCold("a", /*stays=*/true);
  engine_.SetCold("b", /*stays=*/true);
  stage_.Apply({NextPut("a"), NextPut("b")});
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(answers_, SizeIs(i));
    disk_lane_.RunPosted();
    lane_.RunPosted();
  }
  EXPECT_THAT(answers_, SizeIs(2));
}

TEST_F(ApplyStageTest, WhatIsHeldForTheDiskIsBounded) {
  engine_.SetCold("a", /*stays=*/true);
  stage_.Apply({NextPut("a")});
  for (int i = 0; i < 100; ++i) {
    stage_.Apply({NextPut(std::string(100, 'k'))});
    EXPECT_LE(stage_.held_bytes(), 1000u);
  }
  EXPECT_THAT(applied_, SizeIs(::testing::Gt(0u)));
}

TEST_F(ApplyStageTest, WhatWasReadForAndIsDroppedMeanwhileIsNotMissed) {
  engine_.SetCold("a");
  stage_.Apply({NextPut("a")});
  stage_.Hold();
  stage_.DropHeld();
  disk_lane_.RunPosted();
  lane_.RunPosted();
  EXPECT_THAT(applied_, ElementsAre());
  EXPECT_FALSE(stage_.behind());
}

TEST_F(ApplyStageTest, RemovalOfCompactedRevisionsWaitsForRoom) {
  for (int i = 0; i < 3; ++i) stage_.Apply({NextPut("a")});
  etcdserverpb::CompactionRequest request;
  request.set_revision(3);
  stage_.Apply({Next(raft::EntryKind::kCommand,
                     Propose(kv::CommandKind::kCompact, request.SerializeAsString()))});
  engine_.SetBehind(true);
  lane_.Advance(Seconds(10));
  EXPECT_LT(store_->compacted_physically(), 3);
  engine_.SetBehind(false);
  lane_.Advance(Seconds(1));
  EXPECT_EQ(store_->compacted_physically(), 3);
}

TEST_F(ApplyStageTest, AChangeOfMembershipIsAnsweredLikeAnyCommand) {
  const Bytes context = Propose(kv::CommandKind::kMemberAdd, AddMember(9));
  stage_.Apply({NextConfiguration(context.view())});
  ASSERT_THAT(answers_, SizeIs(1));
  ASSERT_TRUE(answers_[0].status.ok());
  EXPECT_EQ(std::get<etcdserverpb::MemberAddResponse>(answers_[0].response).member().id(), 9u);
  EXPECT_THAT(store_->Members(), SizeIs(1));
  EXPECT_EQ(proposer_.pending(), 0u);
}

TEST_F(ApplyStageTest, AChangeThatNobodyHereWaitsForIsAppliedToo) {
  const Bytes context = kv::EncodeCommand({kv::CommandKind::kMemberAdd, 8, 1}, AddMember(9));
  stage_.Apply({NextConfiguration(context.view())});
  EXPECT_THAT(answers_, SizeIs(0));
  EXPECT_THAT(store_->Members(), SizeIs(1));
}

TEST_F(ApplyStageTest, WhatTheEngineHoldsAlreadyIsSkipped) {
  const raft::Entry first = NextConfiguration({});
  const raft::Entry second = NextConfiguration({});
  stage_.Apply({first, second});
  stage_.Apply({first, second});
  EXPECT_EQ(store_->applied_index(), 2u);
}

TEST_F(ApplyStageTest, EveryEntryIsToldOfOnceItIsApplied) {
  const raft::Entry first = NextConfiguration({});
  stage_.Apply({first, Next(raft::EntryKind::kNoop, {})});
  stage_.Apply({first, Next(raft::EntryKind::kNoop, {})});
  EXPECT_THAT(entries_, ElementsAre(raft::LogIndex(1), raft::LogIndex(2), raft::LogIndex(3)));
}

TEST_F(ApplyStageTest, WhatIsHeldIsAppliedInOrderOnceItIsReleased) {
  stage_.Apply({Next(raft::EntryKind::kNoop, {})});
  stage_.Hold();
  stage_.Apply({Next(raft::EntryKind::kNoop, {}), Next(raft::EntryKind::kNoop, {})});
  lane_.RunPosted();
  EXPECT_EQ(store_->applied_index(), 1u);
  EXPECT_EQ(stage_.given(), raft::LogIndex(3));
  EXPECT_GT(stage_.held_bytes(), 0u);
  stage_.Release();
  EXPECT_EQ(store_->applied_index(), 1u);  // in a turn of its own
  stage_.Apply({Next(raft::EntryKind::kNoop, {})});
  lane_.RunPosted();
  EXPECT_EQ(store_->applied_index(), 4u);
  EXPECT_THAT(entries_, SizeIs(4));
  EXPECT_EQ(stage_.held_bytes(), 0u);
  EXPECT_FALSE(stage_.behind());
}

TEST_F(ApplyStageTest, AResultThatMayBeWrongIsNotTold) {
  stage_.WithholdResults(true);
  stage_.Apply({Next(raft::EntryKind::kCommand, Propose(kv::CommandKind::kPut, Put("a")))});
  ASSERT_THAT(answers_, SizeIs(1));
  EXPECT_EQ(answers_[0].status, kv::ErrTimeout());
  stage_.WithholdResults(false);
  stage_.Apply({Next(raft::EntryKind::kCommand, Propose(kv::CommandKind::kPut, Put("a")))});
  EXPECT_TRUE(answers_[1].status.ok());
}

using ApplyStageDeathTest = ApplyStageTest;

TEST_F(ApplyStageDeathTest, AnEntryThatIsNotWhatItSaysEndsTheProcess) {
  EXPECT_DEATH(stage_.Apply({Next(raft::EntryKind::kConfiguration, Bytes::Copy("x"))}),
               "log entry 1 is no configuration");
  EXPECT_DEATH(stage_.Apply({NextConfiguration("x")}), "is no command");
}

}  // namespace
}  // namespace conclave::server
