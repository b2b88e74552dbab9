// Fetching a state from a source that answers, fails, lies or goes away.
#include "server/stages/snapshot_fetcher.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvstore/engine/memory_home.h"
#include "kvstore/engine/snapshot.h"
#include "kvstore/errors.h"
#include "kvstore/store.h"
#include "raft/base/check.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::LogIndex;
using raft::NodeId;
using raft::Term;

constexpr NodeId kSource{1};
constexpr NodeId kOther{2};
constexpr NodeId kSelf{3};
constexpr uint64_t kEntries = 40;

// A member with a state to hand out.
class FakeSource : public PeerCalls {
 public:
  explicit FakeSource(ManualExecutor* lane) : lane_(lane) {
    auto store = *kv::Store::Open(&engine_, {}, {});
    for (uint64_t i = 1; i <= kEntries; ++i) {
      etcdserverpb::PutRequest put;
      put.set_key("key" + std::to_string(i));
      store->Apply(i, 4,
                   kv::EncodeCommand({kv::CommandKind::kPut, 1, i}, put.SerializeAsString()).view(),
                   false);
    }
    store->Commit();
    hash_ = store->Hash();
    Renew();
  }
  void Renew() { reader_ = std::make_unique<kv::SnapshotReader>(engine_.NewView()); }

  void SetHandler(PeerMethod, Handler) override {}
  std::optional<Instant> ConnectedSince(NodeId) const override { return Instant(); }
  void CallPeer(NodeId peer, PeerMethod method, std::string request, Duration,
                Answer answer) override {
    CHECK(method == PeerMethod::kSnapshotChunk);
    asked_.push_back(*DecodeSnapshotChunkRequest(request));
    asked_of_ = peer;
    lane_->RunAt(lane_->Now() + Milliseconds(1),
                 [this, asked = asked_.back(), answer = std::move(answer)]() mutable {
                   answer(failure_.ok() ? Chunk(asked) : failure_);
                 });
  }

  std::vector<SnapshotChunkRequest> asked_;
  NodeId asked_of_;
  absl::Status failure_;
  std::function<void(SnapshotChunkAnswer&)> lie_ = [](SnapshotChunkAnswer&) {};
  uint32_t hash_ = 0;

 private:
  absl::StatusOr<std::string> Chunk(const SnapshotChunkRequest& asked) {
    SnapshotChunkAnswer answer{
        .start = {.index = LogIndex(kEntries),
                  .term = Term(4),
                  .configuration = {.voters = {kSource}, .outgoing = {}, .learners = {}}},
        .total_bytes = 5000,
        .chunk = reader_->Next(asked.after_key, 200)};
    lie_(answer);
    return EncodeSnapshotChunkAnswer(answer);
  }

  ManualExecutor* const lane_;
  kv::MemoryEngine engine_;
  std::unique_ptr<kv::SnapshotReader> reader_;
};

class SnapshotFetcherTest : public ::testing::Test {
 protected:
  SnapshotFetcherTest() {
    live_ = *home_->Open();
    kv::WriteBatch batch;
    batch.Put("old", "state");
    live_->Write(batch);
    live_->Flush();
  }

  void Fetch(NodeId from = kSource, uint64_t at_least = 1) {
    fetcher_->Fetch({.from = from, .at_least = LogIndex(at_least)});
  }
  std::unique_ptr<kv::Engine> Install() {
    std::unique_ptr<kv::Engine> opened;
    fetcher_->Install([&](std::unique_ptr<kv::Engine> engine) { opened = std::move(engine); });
    lane_.RunPosted();
    return opened;
  }
  const SnapshotFetcherStats& stats() const { return fetcher_->stats(); }

  // Before the lane: what waits there may hold an engine.
  kv::MemoryHomeDisk disk_;
  std::unique_ptr<kv::EngineHome> home_ = kv::NewMemoryHome(&disk_);
  ManualExecutor lane_;
  FakeSource source_{&lane_};
  std::unique_ptr<kv::Engine> live_;
  std::vector<raft::LogStart> fetched_;
  std::unique_ptr<SnapshotFetcher> fetcher_ = std::make_unique<SnapshotFetcher>(
      SnapshotFetcherOptions{.member = kSelf}, &lane_, &lane_, &source_, home_.get(),
      SnapshotFetcher::Observer{
          .fetched = [this](const raft::LogStart& start) { fetched_.push_back(start); },
          .log = [](std::string_view) {}});
};

TEST_F(SnapshotFetcherTest, FetchesAllAndPutsItInPlaceWhenTold) {
  Fetch(kSource, 12);
  Fetch(kSource, 13);  // under way
  lane_.Advance(Seconds(1));
  ASSERT_EQ(fetched_.size(), 1u);
  EXPECT_EQ(fetched_[0].index, LogIndex(kEntries));
  EXPECT_EQ(fetched_[0].configuration.voters, std::vector<NodeId>{kSource});
  EXPECT_EQ(source_.asked_.front().at_least, LogIndex(12));
  EXPECT_EQ(source_.asked_.front().member, kSelf);
  EXPECT_EQ(source_.asked_.back().session, source_.asked_.front().session);
  EXPECT_TRUE((*home_->Open())->Get("old").has_value());

  const auto engine = Install();
  ASSERT_NE(engine, nullptr);
  const auto store = *kv::Store::Open(engine.get(), {}, {});
  EXPECT_EQ(store->Hash(), source_.hash_);
  EXPECT_EQ(store->installed_index(), kEntries);
  EXPECT_EQ(stats().installed, 1u);
  EXPECT_FALSE(stats().under_way);
  EXPECT_EQ(stats().bytes_total, 5000u);
}

TEST_F(SnapshotFetcherTest, GoesOnAfterFailuresInTheSameSession) {
  Fetch();
  lane_.Advance(Milliseconds(5));
  const std::string reached = source_.asked_.back().after_key;
  ASSERT_FALSE(reached.empty());
  for (const absl::Status& failure :
       {kv::ErrTimeout(), kv::ErrNoLeader(), absl::ResourceExhaustedError("later")}) {
    source_.failure_ = failure;
    lane_.Advance(Milliseconds(500));
    EXPECT_EQ(source_.asked_.back().session, source_.asked_.front().session);
    EXPECT_GE(source_.asked_.back().after_key, reached);
  }
  source_.failure_ = absl::OkStatus();
  lane_.Advance(Seconds(1));
  EXPECT_EQ(fetched_.size(), 1u);
  EXPECT_EQ(stats().begun, 1u);
  EXPECT_GT(stats().retries, 10u);
}

TEST_F(SnapshotFetcherTest, StartsAnewOnlyWhenToldAgainAfterItsSessionIsGone) {
  Fetch();
  lane_.Advance(Milliseconds(5));
  source_.failure_ = absl::NotFoundError("gone");
  lane_.Advance(Milliseconds(5));
  EXPECT_FALSE(stats().under_way);
  source_.failure_ = absl::OkStatus();
  source_.Renew();
  const size_t asked = source_.asked_.size();
  Fetch(kOther);  // too soon
  lane_.Advance(Seconds(1));
  EXPECT_EQ(source_.asked_.size(), asked);
  Fetch(kOther);
  EXPECT_NE(source_.asked_.back().session, source_.asked_.front().session);
  EXPECT_TRUE(source_.asked_.back().after_key.empty());
  EXPECT_EQ(source_.asked_of_, kOther);
  lane_.Advance(Seconds(1));
  EXPECT_EQ(fetched_.size(), 1u);
}

TEST_F(SnapshotFetcherTest, KeepsASourceThatLeadsNoMoreForAsLongAsItMayComeBack) {
  Fetch();
  lane_.Advance(Milliseconds(5));
  source_.failure_ = kv::ErrNoLeader();
  lane_.Advance(Seconds(20));
  EXPECT_TRUE(stats().under_way);  // nobody else has offered anything
  Fetch(kOther);
  lane_.Advance(Seconds(1));
  EXPECT_FALSE(stats().under_way);
  EXPECT_EQ(stats().failed, 1u);
}

TEST_F(SnapshotFetcherTest, LeavesASourceThatNeverAnsweredForANewLeader) {
  source_.failure_ = kv::ErrNoLeader();
  Fetch();
  lane_.Advance(Milliseconds(150));
  Fetch(kOther);
  lane_.Advance(Milliseconds(150));
  EXPECT_FALSE(stats().under_way);
}

TEST_F(SnapshotFetcherTest, StartsAnewIfTheNewLeadersLogBeginsLater) {
  Fetch();
  lane_.Advance(Milliseconds(5));
  Fetch(kOther, kEntries);
  EXPECT_EQ(stats().begun, 1u);
  Fetch(kOther, kEntries + 1);
  EXPECT_EQ(stats().begun, 2u);
  EXPECT_EQ(source_.asked_of_, kOther);
}

TEST_F(SnapshotFetcherTest, DamagedChunkIsNotWritten) {
  source_.lie_ = [](SnapshotChunkAnswer& answer) { answer.chunk.back() ^= 1; };
  Fetch();
  lane_.Advance(Milliseconds(5));
  EXPECT_FALSE(stats().under_way);
  EXPECT_EQ(stats().failed, 1u);
}

TEST_F(SnapshotFetcherTest, StateThatStandsElsewhereIsNotTaken) {
  source_.lie_ = [](SnapshotChunkAnswer& answer) { ++answer.start.index; };
  Fetch();
  lane_.Advance(Seconds(1));
  EXPECT_TRUE(fetched_.empty());
  EXPECT_FALSE(stats().under_way);
}

// An engine home whose disk is full.
class FullHome : public kv::EngineHome {
 public:
  absl::StatusOr<std::unique_ptr<kv::Engine>> Open() override { return Full(); }
  absl::StatusOr<std::unique_ptr<kv::Engine>> StartIncoming() override { return Full(); }
  absl::Status Adopt() override { return Full(); }
  absl::Status DropIncoming() override { return absl::OkStatus(); }
  absl::Status RemoveOld() override { return absl::OkStatus(); }

 private:
  static absl::Status Full() { return absl::ResourceExhaustedError("no space left on device"); }
};

TEST_F(SnapshotFetcherTest, WithoutRoomItTriesAgainNowAndThen) {
  FullHome full;
  std::vector<std::string> lines;
  SnapshotFetcher fetcher({.member = kSelf}, &lane_, &lane_, &source_, &full,
                          {.fetched = [](const raft::LogStart&) { FAIL(); },
                           .log = [&](std::string_view line) { lines.emplace_back(line); }});
  for (int offer = 0; offer < 50; ++offer) {
    fetcher.Fetch({.from = kSource, .at_least = LogIndex(1)});
    lane_.Advance(Milliseconds(100));
  }
  EXPECT_EQ(fetcher.stats().failed, 5u);
  EXPECT_NE(lines.back().find("no space left on device"), std::string::npos) << lines.back();
}

// The core may have been campaigning just then.
TEST_F(SnapshotFetcherTest, WhatIsThereIsOfferedAgainBeforeAnythingIsFetchedAgain) {
  Fetch();
  lane_.Advance(Seconds(1));
  Fetch(kOther, kEntries);
  EXPECT_EQ(fetched_.size(), 2u);
  EXPECT_EQ(stats().begun, 1u);
  Fetch(kOther, kEntries + 1);
  EXPECT_EQ(stats().begun, 2u);
}

TEST_F(SnapshotFetcherTest, DropsWhatNobodyWantsAnyMore) {
  Fetch();
  lane_.Advance(Seconds(59));
  EXPECT_TRUE(stats().under_way);
  lane_.Advance(Seconds(2));
  EXPECT_FALSE(stats().under_way);
  EXPECT_TRUE((*home_->Open())->Get("old").has_value());
}

TEST_F(SnapshotFetcherTest, MayEndAtAnyMoment) {
  for (int tasks = 0; tasks < 20; ++tasks) {
    Fetch();
    lane_.Advance(Milliseconds(tasks / 2));
    if (tasks % 2 == 1) lane_.RunPosted();
    fetcher_ = nullptr;
    lane_.Advance(Seconds(1));
    source_.Renew();
    fetcher_ = std::make_unique<SnapshotFetcher>(
        SnapshotFetcherOptions{.member = kSelf}, &lane_, &lane_, &source_, home_.get(),
        SnapshotFetcher::Observer{.fetched = [](const raft::LogStart&) {},
                                  .log = [](std::string_view) {}});
  }
  EXPECT_TRUE((*home_->Open())->Get("old").has_value());
}

}  // namespace
}  // namespace conclave::server
