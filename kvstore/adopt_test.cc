// A snapshot takes the place of a store's state: everything is read anew, and watchers do not
// notice, but for those whose revisions are gone. The snapshot travels as it does in the server:
// chunks of a view into the incoming engine of the home, which is then adopted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/engine/leveldb_home.h"
#include "kvstore/engine/memory_home.h"
#include "kvstore/engine/snapshot.h"
#include "kvstore/random_log.h"
#include "kvstore/test_store.h"
#include "kvstore/watch/key_range.h"
#include "kvstore/watch/recording_sink.h"

namespace conclave::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A store in an engine home.
class Replica {
 public:
  explicit Replica(EngineKind kind, StoreOptions options = {}) : kind_(kind), options_(options) {
    Start();
  }

  Store& operator*() { return *store_; }
  Store* operator->() { return store_.get(); }

  void ApplyUpTo(const RandomLog& log, uint64_t index) {
    while (store_->applied_index() < index) log.ApplyNext(*store_);
    store_->Commit();
  }

  // What `other` holds now takes the place of all that this one holds.
  void AdoptStateOf(Replica& other, size_t chunk_bytes_max = 2000) {
    SnapshotReader reader(other.engine_->NewView());
    std::unique_ptr<Engine> incoming = *home_->StartIncoming();
    SnapshotWriter writer(incoming.get());
    while (!writer.finished()) {
      ASSERT_TRUE(writer.Write(reader.Next(writer.last_key(), chunk_bytes_max)).ok());
    }
    incoming->Flush();
    incoming.reset();
    ASSERT_TRUE(home_->Adopt().ok());
    std::unique_ptr<Engine> engine = *home_->Open();
    ASSERT_TRUE(store_->Adopt(engine.get()).ok());
    engine_ = std::move(engine);
    ASSERT_TRUE(home_->RemoveOld().ok());
  }

  void Crash() {
    store_.reset();
    engine_.reset();
    home_.reset();
    disk_.CrashAndLose();
    Start();
  }

 private:
  void Start() {
    LevelDbOptions options = StoreEngineOptions();
    options.write_buffer_bytes = 64 << 10;
    home_ = kind_ == EngineKind::kMemory ? NewMemoryHome(&memory_disk_)
                                         : NewLevelDbHome(&fs_, "db", options);
    engine_ = *home_->Open();
    store_ = *Store::Open(engine_.get(), options_, {});
  }

  const EngineKind kind_;
  const StoreOptions options_;
  MemoryHomeDisk memory_disk_;
  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<EngineHome> home_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Store> store_;
};

int64_t CountAll(Store& store) {
  etcdserverpb::RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  request.set_count_only(true);
  etcdserverpb::RangeResponse response;
  EXPECT_TRUE(store.Range(request, &response).ok());
  return response.count();
}

class AdoptTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  template <typename Request>
  void Append(CommandKind kind, const Request& request) {
    log_.AppendCommand(kind, request);
  }
  void AppendPut(std::string_view key, int64_t lease = 0) {
    Append(CommandKind::kPut, TestStore::PutRequest(key, "v", lease));
  }
  void AppendPuts(std::string_view key, int count) {
    for (int i = 0; i < count; ++i) AppendPut(key);
  }
  void AppendCompact(int64_t revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    Append(CommandKind::kCompact, request);
  }
  void AppendGrant(int64_t lease) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(lease);
    request.set_ttl(60);
    Append(CommandKind::kLeaseGrant, request);
  }
  void AppendRevoke(int64_t lease) {
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(lease);
    Append(CommandKind::kLeaseRevoke, request);
  }

  // The leader applies all, the follower stays where it is and gets a snapshot.
  void Install() {
    leader_.ApplyUpTo(log_, log_.size());
    follower_.AdoptStateOf(leader_);
  }
  void RunWatches() {
    while (follower_->watches().Run(now_)) {
    }
  }

  RandomLog log_{1};
  Replica leader_{GetParam()};
  Replica follower_{GetParam()};
  Instant now_ = Instant(Seconds(100));
};

INSTANTIATE_TEST_SUITE_P(Engines, AdoptTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(AdoptTest, EverythingIsReadAnew) {
  for (int i = 0; i < 2000; ++i) log_.Append();
  follower_.ApplyUpTo(log_, 300);
  for (int round = 0; round < 3; ++round) {
    Install();
    EXPECT_EQ(follower_->position(), log_.PositionAt(log_.size()));
    EXPECT_EQ(follower_->revision(), leader_->revision());
    EXPECT_EQ(follower_->compact_revision(), leader_->compact_revision());
    EXPECT_EQ(follower_->compacted_physically(), leader_->compacted_physically());
    EXPECT_EQ(follower_->Members().size(), leader_->Members().size());
    EXPECT_EQ(follower_->lessor().List(), leader_->lessor().List());
    EXPECT_EQ(CountAll(*follower_), CountAll(*leader_));
    EXPECT_EQ(follower_->Hash(), leader_->Hash());

    // And it goes on from there.
    for (int i = 0; i < 300; ++i) log_.Append();
    leader_.ApplyUpTo(log_, log_.size());
    follower_.ApplyUpTo(log_, log_.size() - 100);
    while (follower_->CompactStep()) {
    }
    follower_.ApplyUpTo(log_, log_.size());
    EXPECT_EQ(CountAll(*follower_), CountAll(*leader_));
    EXPECT_EQ(follower_->Hash(), leader_->Hash());
    for (int i = 0; i < 300; ++i) log_.Append();
  }
}

TEST_P(AdoptTest, ACrashAfterwardsFindsTheSnapshot) {
  for (int i = 0; i < 500; ++i) log_.Append();
  Install();
  for (int i = 0; i < 100; ++i) log_.Append();
  follower_.ApplyUpTo(log_, log_.size());
  follower_.Crash();
  EXPECT_EQ(follower_->position(), log_.PositionAt(500)) << "nothing later was flushed";
  leader_.ApplyUpTo(log_, log_.size());
  follower_.ApplyUpTo(log_, log_.size());
  EXPECT_EQ(follower_->Hash(), leader_->Hash());
}

TEST_P(AdoptTest, LeasesAreThoseOfTheSnapshotAndHaveNoClocks) {
  AppendGrant(1);
  AppendGrant(2);
  AppendPut("a", 1);
  follower_.ApplyUpTo(log_, log_.size());
  follower_->lessor().Promote(now_, Seconds(0));
  AppendRevoke(1);
  AppendGrant(3);
  AppendPut("b", 3);
  Install();
  Lessor& lessor = follower_->lessor();
  EXPECT_THAT(lessor.List(), ElementsAre(2, 3));
  EXPECT_THAT(lessor.Keys(1), IsEmpty());
  EXPECT_THAT(lessor.Keys(3), ElementsAre("b"));
  EXPECT_FALSE(lessor.promoted());
  EXPECT_EQ(lessor.NextExpiry(), kNever);
  EXPECT_EQ(lessor.Remaining(2, now_), std::nullopt);
  lessor.Promote(now_ + Seconds(10), Seconds(0));
  EXPECT_EQ(lessor.NextExpiry(), now_ + Seconds(70));
  EXPECT_EQ(lessor.Remaining(3, now_ + Seconds(10)), 60);
}

TEST_P(AdoptTest, ASyncedWatcherGetsWhatTheSnapshotBroughtAndThenGoesOn) {
  AppendPuts("a", 3);  // revisions 2 to 4
  follower_.ApplyUpTo(log_, log_.size());
  RecordingSink sink;
  const std::unique_ptr<WatchStream> stream = follower_->watches().NewStream(&sink);
  stream->Create({.key = "a"});
  AppendPuts("a", 1);
  follower_.ApplyUpTo(log_, log_.size());
  ASSERT_EQ(sink.Take().size(), 2u) << "created, and revision 5";

  AppendPuts("a", 2);
  AppendPut("other");
  Install();
  EXPECT_THAT(sink.Take(), IsEmpty()) << "the hub is run by others";
  stream->RequestProgress();
  EXPECT_THAT(sink.Take(), IsEmpty()) << "it has not got everything yet";
  EXPECT_EQ(follower_->watches().NextRun(), Instant::min());
  RunWatches();
  std::vector<mvccpb::Event> events;
  for (const ReceivedMessage& message : sink.Take()) {
    events.insert(events.end(), message.events.begin(), message.events.end());
  }
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kv().mod_revision(), 6);
  EXPECT_EQ(events[1].kv().mod_revision(), 7);
  stream->RequestProgress();
  ASSERT_EQ(sink.messages().size(), 1u);
  EXPECT_EQ(sink.Take()[0].message.header_revision, 8);

  AppendPut("a");
  follower_.ApplyUpTo(log_, log_.size());
  ASSERT_EQ(sink.messages().size(), 1u) << "it is synced again";
  EXPECT_EQ(sink.last().events[0].kv().mod_revision(), 9);
}

TEST_P(AdoptTest, AWatcherThatNeedsCompactedRevisionsIsCancelled) {
  AppendPuts("a", 3);
  follower_.ApplyUpTo(log_, log_.size());
  RecordingSink sink;
  const std::unique_ptr<WatchStream> stream = follower_->watches().NewStream(&sink);
  stream->Create({.key = "a"});                             // needs revision 5
  stream->Create({.key = "nothing", .start_revision = 8});  // of the future then
  stream->Create({.key = "a", .start_revision = 50});       // and now
  sink.Take();
  AppendPuts("a", 6);
  AppendCompact(6);
  Install();
  RunWatches();
  ASSERT_EQ(sink.messages().size(), 1u);
  EXPECT_TRUE(sink.last().message.canceled);
  EXPECT_EQ(sink.last().message.watch_id, 0);
  EXPECT_EQ(sink.last().message.compact_revision, 6);
  EXPECT_EQ(follower_->watches().Stats().unsynced, 0);
  EXPECT_EQ(stream->watcher_count(), 2u);
}

TEST_P(AdoptTest, AWatcherThatNeedsTheCompactedRevisionItselfGoesOn) {
  AppendPuts("a", 3);
  follower_.ApplyUpTo(log_, log_.size());
  RecordingSink sink;
  const std::unique_ptr<WatchStream> stream = follower_->watches().NewStream(&sink);
  stream->Create({.key = "a"});
  sink.Take();
  AppendPuts("a", 2);
  AppendCompact(5);
  leader_.ApplyUpTo(log_, log_.size());
  while (leader_->CompactStep()) {
  }
  Install();
  RunWatches();
  ASSERT_EQ(sink.messages().size(), 1u);
  ASSERT_EQ(sink.last().events.size(), 2u);
  EXPECT_EQ(sink.last().events[0].kv().mod_revision(), 5);
}

TEST_P(AdoptTest, AnEngineThatHoldsNoStoreIsDataLoss) {
  MemoryEngine empty;
  EXPECT_EQ(follower_->Adopt(&empty).code(), absl::StatusCode::kDataLoss);
}

using AdoptDeathTest = AdoptTest;
INSTANTIATE_TEST_SUITE_P(Memory, AdoptDeathTest, ::testing::Values(EngineKind::kMemory));

TEST_P(AdoptDeathTest, AnOlderStateIsNotTaken) {
  AppendPuts("a", 3);
  leader_.ApplyUpTo(log_, 1);
  follower_.ApplyUpTo(log_, 3);
  EXPECT_DEATH(follower_.AdoptStateOf(leader_), "older than the state");
}

// ---- Watchers of a member that gets snapshots, against the history of one that gets none. ----

// As "revision key": the events of one watcher.
using Events = std::vector<std::string>;

std::string Text(int64_t revision, std::string_view key) {
  return std::to_string(revision) + " " + std::string(key);
}

struct Watch {
  KeyRange range;
  int64_t start = 0;
  Events received;
  int64_t compacted = 0;  // it was cancelled with this
};

class Client : public WatchSink {
 public:
  // `history` holds what is known of all revisions.
  explicit Client(const std::map<int64_t, SharedRevisionEvents>* history) : history_(history) {}

  bool Writable() const override { return writable; }
  void Send(WatchMessage message) override {
    if (message.created) return;
    if (message.canceled) {
      watches[message.watch_id].compacted = message.compact_revision;
      return;
    }
    if (message.event_count == 0) return CheckProgress(message);
    etcdserverpb::WatchResponse decoded;
    ASSERT_TRUE(decoded.ParseFromString(std::string(message.encoded_events)));
    for (const mvccpb::Event& event : decoded.events()) {
      watches[message.watch_id].received.push_back(
          Text(event.kv().mod_revision(), event.kv().key()));
    }
  }

  // Of the revisions up to `last`.
  Events Expected(const Watch& watch, int64_t last) const {
    Events expected;
    for (auto it = history_->lower_bound(watch.start); it != history_->end(); ++it) {
      if (it->first > last) break;
      for (const Event& event : it->second->events) {
        if (watch.range.Contains(event.key)) expected.push_back(Text(it->first, event.key));
      }
    }
    return expected;
  }

  void CheckProgress(const WatchMessage& message) {
    ++progresses;
    for (const auto& [id, watch] : watches) {
      if (watch.compacted != 0 || (message.watch_id != -1 && message.watch_id != id)) continue;
      EXPECT_EQ(watch.received, Expected(watch, message.header_revision)) << "progress ahead";
    }
  }

  std::map<int64_t, Watch> watches;
  bool writable = true;
  int progresses = 0;

 private:
  const std::map<int64_t, SharedRevisionEvents>* const history_;
};

class AdoptModel {
 public:
  AdoptModel(EngineKind kind, uint64_t seed)
      : log_(seed, /*keys=*/30),
        leader_(kind, Recording()),
        follower_(kind, {.watch = {.response_bytes_max = 400,
                                   .progress_interval = Seconds(1),
                                   .catch_up_revisions_max = 5,
                                   .catch_up_bytes_max = 1000,
                                   .recent_bytes_max = 3000}}) {
    for (int i = 0; i < 3; ++i) {
      clients_.push_back(std::make_unique<Client>(&history_));
      streams_.push_back(follower_->watches().NewStream(clients_.back().get()));
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) Step();
    for (size_t i = 0; i < clients_.size(); ++i) {
      clients_[i]->writable = true;
      streams_[i]->Resume();
    }
    while (follower_->watches().Run(now_)) {
    }
    for (const auto& client : clients_) CheckAll(*client);
  }

  int adopted() const { return adopted_; }
  int cancelled() const { return cancelled_; }
  size_t events() const { return events_; }
  int progresses() const {
    int sum = 0;
    for (const auto& client : clients_) sum += client->progresses;
    return sum;
  }

 private:
  Random& random() { return log_.random(); }

  StoreOptions Recording() {
    StoreOptions options;
    options.recorder = [this](const std::vector<SharedRevisionEvents>& revisions) {
      for (const SharedRevisionEvents& events : revisions) history_[events->revision] = events;
    };
    return options;
  }

  void Step() {
    switch (random().Below(8)) {
      case 0:
        for (uint64_t n = random().Below(40); n > 0; --n) log_.Append();
        leader_.ApplyUpTo(log_, log_.size());
        if (random().OneIn(3)) leader_->CompactStep();
        return;
      case 1:
        return follower_.ApplyUpTo(log_, random().Between(follower_->applied_index(), log_.size()));
      case 2:
        if (!random().OneIn(3)) return;
        ++adopted_;
        return follower_.AdoptStateOf(leader_, random().Between(1, 5000));
      case 3:
        return CreateWatch();
      case 4:
        return ChangeFlow();
      case 5:
        return streams_[random().Below(streams_.size())]->RequestProgress();
      case 6:
        now_ += Milliseconds(static_cast<int64_t>(random().Below(2000)));
        break;
      default:
        break;
    }
    follower_->watches().Run(now_);
    if (random().OneIn(4)) follower_->CompactStep();
  }

  void CreateWatch() {
    const size_t at = random().Below(streams_.size());
    if (streams_[at]->watcher_count() >= 12) return;
    WatchCreate create{.key = "key" + std::to_string(random().Below(30))};
    if (!random().OneIn(3)) create.range_end = "key" + std::to_string(random().Below(30));
    if (!create.range_end.empty() && create.range_end <= create.key) create.range_end = "l";
    const int64_t revision = follower_->revision();
    if (random().OneIn(2)) {
      create.start_revision =
          std::max<int64_t>(1, revision - 40 + static_cast<int64_t>(random().Below(80)));
    }
    create.progress_notify = random().OneIn(2);
    create.fragment = random().OneIn(2);
    create.watch_id = ++watches_;
    // Known before the hub can cancel it.
    clients_[at]->watches[create.watch_id] = {
        .range = WatchedRange(create.key, create.range_end),
        .start = create.start_revision != 0 ? create.start_revision : revision + 1,
        .received = {}};
    streams_[at]->Create(create);
  }

  void ChangeFlow() {
    const size_t at = random().Below(streams_.size());
    clients_[at]->writable = !clients_[at]->writable;
    if (clients_[at]->writable) streams_[at]->Resume();
  }

  void CheckAll(const Client& client) {
    for (const auto& [id, watch] : client.watches) {
      Events expected = client.Expected(watch, follower_->revision());
      events_ += watch.received.size();
      if (watch.compacted != 0) {
        ++cancelled_;
        // It got what it could, from its start on and without a gap.
        ASSERT_LE(watch.received.size(), expected.size());
        expected.resize(watch.received.size());
        ASSERT_LE(watch.received.size(), client.Expected(watch, watch.compacted).size());
      }
      ASSERT_EQ(watch.received, expected) << id;
    }
  }

  RandomLog log_;
  std::map<int64_t, SharedRevisionEvents> history_;
  Replica leader_;
  Replica follower_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<WatchStream>> streams_;
  Instant now_ = Instant(Seconds(1));
  int64_t watches_ = 0;
  int adopted_ = 0;
  int cancelled_ = 0;
  size_t events_ = 0;
};

class AdoptModelTest : public ::testing::TestWithParam<EngineKind> {};

INSTANTIATE_TEST_SUITE_P(Engines, AdoptModelTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(AdoptModelTest, WatchersSeeEveryEventOnceAndInOrder) {
  int adopted = 0;
  int cancelled = 0;
  int progresses = 0;
  size_t events = 0;
  const uint64_t seeds = GetParam() == EngineKind::kMemory ? 60 : 8;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(seed);
    AdoptModel model(GetParam(), seed);
    model.Run(400);
    ASSERT_FALSE(HasFailure());
    adopted += model.adopted();
    cancelled += model.cancelled();
    progresses += model.progresses();
    events += model.events();
  }
  EXPECT_GT(adopted, 50);
  EXPECT_GT(cancelled, 5);
  EXPECT_GT(progresses, 50);
  EXPECT_GT(events, 1000u);
}

}  // namespace
}  // namespace conclave::kv
