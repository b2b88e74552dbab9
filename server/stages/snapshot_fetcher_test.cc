// Fetching a state from a source that answers, fails, lies or goes away.
#include "server/stages/snapshot_fetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvstore/engine/leveldb_home.h"
#include "kvstore/engine/memory_home.h"
#include "kvstore/engine/snapshot.h"
#include "kvstore/errors.h"
#include "kvstore/store.h"
#include "raft/base/check.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/manual_executor.h"
#include "raft/base/memory_file_system.h"

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
  explicit FakeSource(ManualExecutor* lane, size_t value_bytes = 0) : lane_(lane) {
    auto store = *kv::Store::Open(&engine_, {}, {});
    for (uint64_t i = 1; i <= kEntries; ++i) {
      etcdserverpb::PutRequest put;
      put.set_key("key" + std::to_string(i));
      put.set_value(std::string(value_bytes, 'v'));
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

TEST_F(SnapshotFetcherTest, AConfigurationWithoutVotersIsNotTaken) {
  source_.lie_ = [](SnapshotChunkAnswer& answer) { answer.start.configuration.voters.clear(); };
  Fetch();
  lane_.Advance(Seconds(1));
  EXPECT_TRUE(fetched_.empty());
  EXPECT_EQ(stats().failed, 1u);
}

// The core hears of what is fetched only a little later, and must find it then.
TEST_F(SnapshotFetcherTest, WhatTheCoreIsAboutToHearOfIsNotDropped) {
  source_.failure_ = kv::ErrNoLeader();
  Fetch();
  lane_.Advance(Milliseconds(59'700));  // a minute after it was last wanted it would be dropped
  source_.failure_ = absl::OkStatus();
  lane_.Advance(Milliseconds(280));
  ASSERT_EQ(fetched_.size(), 1u);
  lane_.Suspend(Seconds(30));
  lane_.Advance(Seconds(1));
  EXPECT_NE(Install(), nullptr);
}

TEST_F(SnapshotFetcherTest, WhatTheCoreCanDoWithoutIsDroppedAfterAWhile) {
  Fetch();
  lane_.Advance(Seconds(59));
  ASSERT_EQ(fetched_.size(), 1u);
  EXPECT_TRUE(stats().under_way);
  lane_.Advance(Seconds(2));
  EXPECT_FALSE(stats().under_way);
}

// A lane that is late: its timers run, and what was posted waits.
class LateLane : public Executor {
 public:
  explicit LateLane(ManualExecutor* timers) : timers_(timers) {}
  void Post(Task task) override { posted_.push_back(std::move(task)); }
  TimerId RunAt(Instant when, Task task) override { return timers_->RunAt(when, std::move(task)); }
  void CancelTimer(TimerId timer) override { timers_->CancelTimer(timer); }
  Instant Now() const override { return timers_->Now(); }

  bool RunOne() {
    if (posted_.empty()) return false;
    Task task = std::move(posted_.front());
    posted_.pop_front();
    task();
    return true;
  }

 private:
  ManualExecutor* const timers_;
  std::deque<Task> posted_;
};

// The core is stepped in a task of its own, posted when it was told: what it wants then is there.
TEST_F(SnapshotFetcherTest, WhatTheCoreHearsOfLateIsNotDroppedBefore) {
  LateLane late(&lane_);
  std::unique_ptr<kv::Engine> opened;
  SnapshotFetcher* told = nullptr;
  const auto install = [&] {
    told->Install([&](std::unique_ptr<kv::Engine> engine) { opened = std::move(engine); });
  };
  bool fetched = false;
  SnapshotFetcher fetcher({.member = kSelf}, &late, &lane_, &source_, home_.get(),
                          {.fetched =
                               [&](const raft::LogStart&) {
                                 fetched = true;
                                 late.Post(install);
                               },
                           .log = [](std::string_view) {}});
  told = &fetcher;
  fetcher.Fetch({.from = kSource, .at_least = LogIndex(1)});
  for (int i = 0; i < 1000 && !fetched; ++i) {
    lane_.Advance(Milliseconds(1));
    late.RunOne();
  }
  ASSERT_TRUE(fetched);
  lane_.Advance(Seconds(61));
  while (late.RunOne()) lane_.RunPosted();
  EXPECT_NE(opened, nullptr);
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

// A member whose disk is too small for a second state.
class SnapshotFetcherFullDiskTest : public ::testing::Test {
 protected:
  using Operation = MemoryFileSystem::Operation;

  SnapshotFetcherFullDiskTest() {
    disk_.SetFault([this](Operation operation, const std::string& path) {
      const bool takes_space = operation == Operation::kCreate || operation == Operation::kWrite;
      return full_ && takes_space ? absl::ResourceExhaustedError(path + ": no space left on device")
                                  : absl::OkStatus();
    });
  }

  // The leader offers with each heartbeat.
  void Offer(Duration duration) {
    for (Duration passed{}; passed < duration; passed += Milliseconds(100)) {
      fetcher_.Fetch({.from = kSource, .at_least = LogIndex(1)});
      lane_.Advance(Milliseconds(100));
    }
  }

  static kv::LevelDbOptions SmallBuffers() {
    kv::LevelDbOptions options = kv::StoreEngineOptions();
    options.write_buffer_bytes = 64 << 10;
    return options;
  }

  std::atomic<bool> full_ = false;
  MemoryFileSystem disk_;
  LockedFileSystem locked_{&disk_};
  std::unique_ptr<kv::EngineHome> home_ = kv::NewLevelDbHome(&locked_, "db", SmallBuffers());
  std::unique_ptr<kv::Engine> live_ = *home_->Open();
  ManualExecutor lane_;
  FakeSource source_{&lane_, /*value_bytes=*/20'000};
  std::vector<std::string> lines_;
  int fetched_ = 0;
  SnapshotFetcher fetcher_{{.member = kSelf},
                           &lane_,
                           &lane_,
                           &source_,
                           home_.get(),
                           {.fetched = [this](const raft::LogStart&) { ++fetched_; },
                            .log = [this](std::string_view line) { lines_.emplace_back(line); }}};
};

// Nothing waits for the disk: the background lane has other things to do.
TEST_F(SnapshotFetcherFullDiskTest, AnAttemptFailsAndIsMadeAgainOnceThereIsRoom) {
  fetcher_.Fetch({.from = kSource, .at_least = LogIndex(1)});
  lane_.Advance(Milliseconds(20));
  ASSERT_TRUE(locked_.Exists("db/db-2"));
  ASSERT_EQ(fetched_, 0);
  full_ = true;
  Offer(Seconds(100));
  EXPECT_EQ(fetcher_.stats().failed, 4u) << "every 30 s";
  EXPECT_FALSE(locked_.Exists("db/db-2"));
  EXPECT_FALSE(fetcher_.stats().under_way);
  ASSERT_EQ(lines_.size(), 2u) << "it began, and ended";
  EXPECT_NE(lines_.back().find("no space left on device: expected room for a second state"),
            std::string::npos)
      << lines_.back();

  full_ = false;
  Offer(Seconds(40));
  EXPECT_GE(fetched_, 1);
  EXPECT_EQ(fetcher_.stats().failed, 4u);
}

TEST_F(SnapshotFetcherFullDiskTest, IsToldOfAgainTheNextTime) {
  full_ = true;
  Offer(Seconds(1));
  full_ = false;
  Offer(Seconds(31));
  EXPECT_GE(fetched_, 1);
  const size_t told = lines_.size();
  full_ = true;
  fetcher_.Fetch({.from = kSource, .at_least = LogIndex(kEntries + 1)});  // a later one
  lane_.Advance(Milliseconds(100));
  EXPECT_GT(lines_.size(), told);
  EXPECT_NE(lines_.back().find("no space left"), std::string::npos) << lines_.back();
}

using SnapshotFetcherFullDiskDeathTest = SnapshotFetcherFullDiskTest;

// Between two states there is no way back.
TEST_F(SnapshotFetcherFullDiskDeathTest, WithoutRoomToPutItInPlaceTheMemberEndsWithWords) {
  Offer(Seconds(1));
  ASSERT_GE(fetched_, 1);
  const auto install = [this] {
    full_ = true;
    fetcher_.Install([](std::unique_ptr<kv::Engine>) {});
    lane_.RunPosted();
  };
  EXPECT_EXIT(install(), testing::ExitedWithCode(1),
              "a snapshot could not be put in place: .*no space left on device: expected room");
}

}  // namespace
}  // namespace conclave::server
