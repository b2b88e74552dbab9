// The life of a session, from the source's side: what it hands out, what it holds back, when it
// ends.
#include "server/stages/snapshot_source.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvstore/command.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/engine/snapshot.h"
#include "raft/base/check.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::LogIndex;
using raft::NodeId;
using raft::Term;

constexpr NodeId kSelf{1};
constexpr NodeId kMember{2};
constexpr uint64_t kTerm = 3;
constexpr uint64_t kEntries = 60;
const raft::Configuration kVoters{.voters = {kSelf, kMember}, .outgoing = {}, .learners = {}};

raft::RecoveredState ALog(const raft::Configuration& configuration) {
  raft::RecoveredState log;
  log.hard_state = {.term = Term(kTerm), .vote = raft::kNoNode};
  log.configuration = configuration;
  log.applied = LogIndex(kEntries);
  for (uint64_t i = 1; i <= kEntries + 5; ++i) {
    log.entries.push_back(
        {.term = Term(kTerm), .index = LogIndex(i), .kind = raft::EntryKind::kNoop, .payload = {}});
  }
  return log;
}

class SnapshotSourceTest : public ::testing::Test {
 protected:
  using Received = std::shared_ptr<std::optional<absl::StatusOr<SnapshotChunkAnswer>>>;

  explicit SnapshotSourceTest(const SnapshotSourceOptions& options = {.chunk_bytes = 300},
                              const raft::Configuration& configuration = kVoters,
                              const raft::CoreConfig& core = {.id = kSelf})
      : core_(core, ALog(configuration), 1, lane_.Now()) {
    while (store_->applied_index() < kEntries) Put();
    source_ = std::make_unique<SnapshotSource>(
        options, &lane_, &background_, &engine_, store_.get(), &core_,
        SnapshotSource::Observer{.hold_log = [this](std::optional<LogIndex> held) { held_ = held; },
                                 .log = [](std::string_view) {}});
  }

  void Put() {
    const uint64_t index = store_->applied_index() + 1;
    etcdserverpb::PutRequest put;
    put.set_key("key" + std::to_string(index));
    put.set_value(std::string(50, 'v'));
    store_->Apply(
        index, kTerm,
        kv::EncodeCommand({kv::CommandKind::kPut, 1, index}, put.SerializeAsString()).view(),
        false);
    store_->Commit();
  }

  Received Ask(const SnapshotChunkRequest& request) {
    auto received = std::make_shared<std::optional<absl::StatusOr<SnapshotChunkAnswer>>>();
    source_->Answer(EncodeSnapshotChunkRequest(request), [received](const auto& answer) {
      ASSERT_FALSE(received->has_value());
      if (answer.ok()) {
        *received = DecodeSnapshotChunkAnswer(*answer);
      } else {
        *received = answer.status();
      }
    });
    return received;
  }
  absl::StatusOr<SnapshotChunkAnswer> AskNow(const SnapshotChunkRequest& request) {
    Received received = Ask(request);
    Advance(Milliseconds(1));
    CHECK(received->has_value());
    return **received;
  }
  // Returns the session's number.
  uint64_t Begin(NodeId member = kMember) {
    CHECK(AskNow({.member = member, .session = ++last_session_}).ok());
    return last_session_;
  }
  // Of a session that is over nothing but the first chunk can be asked, which begins another.
  bool Lives(uint64_t session, NodeId member = kMember) {
    return AskNow({.member = member, .session = session, .after_key = "k"}).ok();
  }

  // Time passes on the lane; then the background does what it was given.
  void Advance(Duration duration) {
    lane_.Advance(duration);
    background_.RunPosted();
    lane_.RunPosted();
  }

  ManualExecutor lane_;
  ManualExecutor background_;
  std::shared_ptr<kv::Engine> engine_ = std::make_shared<kv::MemoryEngine>();
  std::unique_ptr<kv::Store> store_ = *kv::Store::Open(engine_.get(), {}, {});
  raft::Core core_;
  std::optional<LogIndex> held_;
  uint64_t last_session_ = 100;
  std::unique_ptr<SnapshotSource> source_;
};

TEST_F(SnapshotSourceTest, HandsOutTheStateOfTheBeginningWhateverIsAppliedMeanwhile) {
  const uint32_t hash = store_->Hash();
  kv::MemoryEngine copy;
  kv::SnapshotWriter writer(&copy);
  while (!writer.finished()) {
    const auto answer = AskNow({.member = kMember, .session = 7, .after_key = writer.last_key()});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->start, (raft::LogStart{LogIndex(kEntries), Term(kTerm), kVoters}));
    EXPECT_GT(answer->total_bytes, 60u * 50);
    ASSERT_TRUE(writer.Write(answer->chunk).ok());
    Put();
  }
  auto restored = *kv::Store::Open(&copy, {}, {});
  EXPECT_EQ(restored->applied_index(), kEntries);
  EXPECT_EQ(restored->Hash(), hash);
  EXPECT_NE(store_->Hash(), hash);
}

TEST_F(SnapshotSourceTest, AnswersAnyEarlierKeyAgain) {
  const auto first = AskNow({.member = kMember, .session = 7});
  AskNow({.member = kMember, .session = 7, .after_key = "k"}).value();
  EXPECT_EQ(AskNow({.member = kMember, .session = 7})->chunk, first->chunk);
  EXPECT_EQ(source_->stats().begun, 1u);
}

TEST_F(SnapshotSourceTest, RefusesWhatItDoesNotHave) {
  EXPECT_TRUE(absl::IsUnavailable(
      AskNow({.member = kMember, .at_least = LogIndex(kEntries + 1)}).status()));
  EXPECT_TRUE(AskNow({.member = kMember, .at_least = LogIndex(kEntries)}).ok());
  EXPECT_TRUE(
      absl::IsNotFound(AskNow({.member = kMember, .session = 99, .after_key = "k"}).status()));
  absl::Status status;
  source_->Answer("?", [&](const auto& answer) { status = answer.status(); });
  EXPECT_TRUE(absl::IsDataLoss(status));
}

// As right after a snapshot was installed here, before the core has heard of it.
TEST_F(SnapshotSourceTest, TakesThePositionFromTheStoreWhereTheLogDoesNotHaveIt) {
  while (store_->applied_index() < kEntries + 6) Put();
  EXPECT_TRUE(absl::IsUnavailable(AskNow({.member = kMember}).status()));
  const raft::Configuration changed{.voters = {kSelf}, .outgoing = {}, .learners = {kMember}};
  store_->ApplyConfiguration(kEntries + 7, 9, raft::EncodeConfiguration(changed), "", false);
  store_->Commit();
  const raft::LogStart position{LogIndex(kEntries + 7), Term(9), changed};
  EXPECT_EQ(AskNow({.member = kMember})->start, position);
}

TEST_F(SnapshotSourceTest, HoldsTheLogWhileASessionLives) {
  EXPECT_EQ(held_, std::nullopt);
  const uint64_t session = Begin();
  EXPECT_EQ(held_, LogIndex(kEntries));
  Advance(Seconds(59));
  EXPECT_TRUE(Lives(session));
  Advance(Seconds(59));
  EXPECT_EQ(held_, LogIndex(kEntries));
  Advance(Seconds(2));
  EXPECT_EQ(held_, std::nullopt);
  EXPECT_FALSE(Lives(session));
  EXPECT_EQ(source_->stats().failed, 1u);
}

TEST_F(SnapshotSourceTest, HoldsTheLogForTheOldestOfSeveral) {
  const uint64_t first = Begin(NodeId(2));
  Put();
  const uint64_t second = Begin(NodeId(3));
  EXPECT_EQ(held_, LogIndex(kEntries));
  Advance(Seconds(30));
  EXPECT_TRUE(Lives(second, NodeId(3)));
  Advance(Seconds(40));
  EXPECT_FALSE(Lives(first));
  EXPECT_EQ(held_, LogIndex(kEntries + 1));
}

TEST_F(SnapshotSourceTest, GivesUpASessionThatHoldsBackTooMuch) {
  const uint64_t session = Begin();
  source_->OnApplied(LogIndex(kEntries + 1), SnapshotSourceOptions().held_back_bytes_max);
  EXPECT_TRUE(Lives(session));
  source_->OnApplied(LogIndex(kEntries + 2), 1);
  EXPECT_FALSE(Lives(session));
  EXPECT_EQ(held_, std::nullopt);
  EXPECT_TRUE(Lives(Begin()));
}

TEST_F(SnapshotSourceTest, GivesUpASessionThatIsTooOldHoweverMuchItIsUsed) {
  const uint64_t session = Begin();
  for (int i = 0; i < 119; ++i) {
    Advance(Seconds(30));
    ASSERT_TRUE(Lives(session)) << i;
  }
  Advance(Seconds(40));
  EXPECT_FALSE(Lives(session));
}

TEST_F(SnapshotSourceTest, OneSessionAMemberAndSoManyMembers) {
  const uint64_t first = Begin(NodeId(2));
  for (uint64_t id = 3; id <= 5; ++id) Begin(NodeId(id));
  EXPECT_TRUE(absl::IsResourceExhausted(AskNow({.member = NodeId(6)}).status()));
  const uint64_t second = Begin(NodeId(2));
  EXPECT_FALSE(Lives(first));
  EXPECT_TRUE(Lives(second));
  EXPECT_EQ(source_->stats().sessions, 4u);
}

// Its member did not wait for so long; the answer to the first question would reach nobody.
TEST_F(SnapshotSourceTest, QuestionThatIsRepeatedTakesTheAnswer) {
  const uint64_t session = Begin();
  Received first = Ask({.member = kMember, .session = session, .after_key = "k"});
  Received again = Ask({.member = kMember, .session = session, .after_key = "k"});
  EXPECT_TRUE(absl::IsUnavailable((*first)->status()));
  Advance(Milliseconds(1));
  EXPECT_TRUE((*again)->ok());
  Received other = Ask({.member = kMember, .session = session, .after_key = "k"});
  Received last = Ask({.member = kMember, .session = session, .after_key = "m"});
  Advance(Milliseconds(1));
  EXPECT_FALSE(last->has_value());  // what was read was not for it
  Advance(Milliseconds(1));
  EXPECT_TRUE(absl::IsUnavailable((*other)->status()));
  EXPECT_NE((*last)->value().chunk, (*again)->value().chunk);
}

// The engine is replaced: nothing may keep the old one on this lane.
TEST_F(SnapshotSourceTest, NoSessionOutlivesItsEngine) {
  const uint64_t session = Begin();
  Received received = Ask({.member = kMember, .session = session});
  lane_.Advance(Milliseconds(1));  // the background has it
  EXPECT_GT(engine_.use_count(), 1);
  source_->EndAll("it installs one itself");
  Advance(Duration::zero());
  EXPECT_TRUE(absl::IsNotFound((*received)->status()));
  EXPECT_EQ(engine_.use_count(), 1);
  EXPECT_EQ(held_, std::nullopt);
}

TEST_F(SnapshotSourceTest, MayEndWhileAChunkIsRead) {
  Received received = Ask({.member = kMember});
  lane_.Advance(Milliseconds(1));  // the background has it
  source_ = nullptr;
  Advance(Duration::zero());
  EXPECT_FALSE(received->has_value());
  EXPECT_EQ(engine_.use_count(), 1);
}

// A session ended, and its member, which does not know, repeats its question: that begins another
// one, which has nothing to do with what is still being read for the first.
TEST_F(SnapshotSourceTest, WhatIsReadForOneSessionIsNoAnswerInAnother) {
  const SnapshotChunkRequest first_chunk{.member = kMember, .session = 7};
  Received before = Ask(first_chunk);  // the background has it
  source_->EndAll("it installs one itself");
  EXPECT_TRUE(absl::IsNotFound((*before)->status()));
  Put();
  Received after = Ask(first_chunk);
  Advance(Milliseconds(1));
  ASSERT_TRUE(after->has_value());
  EXPECT_EQ((*after)->value().start.index, LogIndex(kEntries + 1));
  kv::MemoryEngine copy;
  kv::SnapshotWriter writer(&copy);
  ASSERT_TRUE(writer.Write((*after)->value().chunk).ok());
  while (!writer.finished()) {
    const auto next = AskNow({.member = kMember, .session = 7, .after_key = writer.last_key()});
    ASSERT_TRUE(writer.Write(next.value().chunk).ok());
  }
  EXPECT_EQ((*kv::Store::Open(&copy, {}, {}))->applied_index(), kEntries + 1);
}

// Leads by itself; the member listens. Little of the log is kept for whoever is behind.
class LeadingSourceTest : public SnapshotSourceTest {
 protected:
  LeadingSourceTest()
      : SnapshotSourceTest(
            {.sessions_max = 1, .idle_max = Seconds(10), .held_back_bytes_max = 10'000},
            {.voters = {kSelf}, .outgoing = {}, .learners = {kMember}},
            {.id = kSelf, .tail_entries_max = 4}) {
    core_.Step(lane_.Now(), raft::Woke{});
    Write();
    Write();
    CHECK(core_.leading() && core_.commit() == LogIndex(kEntries + 6));
  }

  void Write() {
    const raft::Output output = core_.TakeOutput();
    if (output.append) core_.Step(lane_.Now(), raft::Appended{output.append->write});
  }
  void Acknowledge(uint64_t index) {
    raft::AppendResponse response;
    response.accepted = true;
    response.index = LogIndex(index);
    core_.Step(lane_.Now(), raft::Received{{kMember, kSelf, core_.term(), response}});
    Write();
    Advance(Seconds(1));
  }
  void Apply(uint64_t index, size_t bytes) { source_->OnApplied(LogIndex(index), bytes); }
};

TEST_F(LeadingSourceTest, HoldsBackWhatComesAfterTheMemberAlone) {
  Begin();
  Apply(kEntries + 1, 6000);
  Acknowledge(kEntries + 1);
  EXPECT_EQ(held_, LogIndex(kEntries + 1));
  Apply(kEntries + 2, 6000);
  EXPECT_EQ(source_->stats().sessions, 1u) << "its member has what was applied before";
  Acknowledge(kEntries + 3);  // ahead of what is applied here
  Apply(kEntries + 3, 6000);
  Apply(kEntries + 4, 3000);
  EXPECT_EQ(source_->stats().sessions, 1u);
  Apply(kEntries + 5, 2000);
  EXPECT_EQ(source_->stats().sessions, 0u);
  EXPECT_EQ(held_, std::nullopt);
}

// The last is entry 66: of a tail of four, the newer half begins after 64.
TEST_F(LeadingSourceTest, HoldsTheLogUntilItsTailHasWhatTheMemberLacks) {
  Begin();
  Acknowledge(kEntries + 3);
  EXPECT_EQ(held_, LogIndex(kEntries + 3));
  EXPECT_EQ(source_->stats().sent, 0u);
  Acknowledge(kEntries + 4);
  EXPECT_EQ(held_, std::nullopt);
  EXPECT_EQ(source_->stats().sent, 1u);
}

TEST_F(LeadingSourceTest, AMemberThatHoldsTheStateTakesNoPlace) {
  constexpr NodeId kOther{3};
  Begin();
  EXPECT_TRUE(absl::IsResourceExhausted(AskNow({.member = kOther}).status()));
  Acknowledge(kEntries + 1);
  Begin(kOther);
  EXPECT_EQ(source_->stats().sessions, 2u);
  EXPECT_EQ(held_, LogIndex(kEntries));
}

// As of a member whose state is wrong, or of one that the log has brought up to the state
// meanwhile.
TEST_F(LeadingSourceTest, ProgressOfTheLogKeepsNoSessionOfOneThatHasTheLog) {
  Acknowledge(kEntries);
  ASSERT_TRUE(AskNow({.member = kMember, .session = 7, .at_least = LogIndex(kEntries)}).ok());
  for (uint64_t i = 1; i <= 5; ++i) Acknowledge(kEntries + i);
  EXPECT_EQ(source_->stats().sessions, 1u) << "it may still ask";
  Advance(Seconds(6));
  Acknowledge(kEntries + 6);
  Advance(Seconds(1));
  EXPECT_EQ(source_->stats().sessions, 0u);
}

class SlowSourceTest : public SnapshotSourceTest {
 protected:
  SlowSourceTest()
      : SnapshotSourceTest(
            {.chunk_bytes = 500, .bytes_per_second = 1000, .held_back_bytes_max = 10'000}) {}
};

// The same for what is not yet read, because of the rate.
TEST_F(SlowSourceTest, WhatWaitsForItsTurnIsOfItsSessionAlone) {
  const SnapshotChunkRequest first_chunk{.member = kMember, .session = 7};
  EXPECT_TRUE(AskNow(first_chunk).ok());
  (void)Ask(first_chunk);  // waits
  source_->EndAll("it installs one itself");
  Received after = Ask(first_chunk);
  Advance(Milliseconds(600));
  EXPECT_FALSE(after->has_value()) << "its own turn comes later";
  Advance(Seconds(2));
  EXPECT_TRUE((*after)->ok());
}

TEST_F(SlowSourceTest, KeepsToItsRate) {
  constexpr uint64_t kSession = 7;
  Received first = Ask({.member = kMember, .session = kSession});
  Advance(Duration::zero());
  ASSERT_TRUE(first->has_value());
  Received second = Ask({.member = kMember, .session = kSession});
  Advance(Milliseconds(499));
  EXPECT_FALSE(second->has_value());
  Advance(Milliseconds(1));
  EXPECT_TRUE(second->has_value());
  // Rest is not saved up.
  Advance(Seconds(10));
  Ask({.member = kMember, .session = kSession});
  Advance(Duration::zero());
  Received fourth = Ask({.member = kMember, .session = kSession});
  Advance(Milliseconds(499));
  EXPECT_FALSE(fourth->has_value());
}

TEST_F(SlowSourceTest, HurriesWhenItHoldsBackMuch) {
  const uint64_t session = Begin();
  source_->OnApplied(LogIndex(kEntries + 1), 5000);
  Received second = Ask({.member = kMember, .session = session});
  Advance(Milliseconds(400));
  EXPECT_FALSE(second->has_value()) << "half of what it may is not much";
  source_->OnApplied(LogIndex(kEntries + 2), 1);
  Received third = Ask({.member = kMember, .session = session});
  Advance(Milliseconds(200));  // the second's turn has come
  ASSERT_TRUE((*third)->ok());
  EXPECT_TRUE(AskNow({.member = kMember, .session = session}).ok());
  EXPECT_TRUE(AskNow({.member = kMember, .session = session}).ok());
}

}  // namespace
}  // namespace conclave::server
