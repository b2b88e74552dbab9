// Random histories, watchers, slow streams, compactions and snapshots against an oracle that knows
// the whole history: at every message each watcher must have got its matching events in order,
// once, complete and whole revisions at a time, with prev_kv, and progress must never run ahead of
// events (reference: behaviour sections 6.2-6.6).
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/watch/fake_history.h"
#include "kvstore/watch/key_range.h"
#include "kvstore/watch/watch_hub.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

// Small, so that every limit is met all the time.
WatchOptions SmallLimits() {
  return {.response_bytes_max = 220,
          .progress_interval = Seconds(1),
          .catch_up_revisions_max = 4,
          .catch_up_bytes_max = 400,
          .recent_bytes_max = 3000};
}

// What one watcher asked for and up to where it has been answered.
struct Observed {
  WatchCreate create;
  KeyRange range;
  int64_t next = 0;  // it has been told of everything below
  std::vector<mvccpb::Event> fragments;
};

class Client final : public WatchSink {
 public:
  explicit Client(const FakeHistory* history) : history_(history) {}

  bool Writable() const override { return room_ > 0; }
  void Send(WatchMessage message) override {
    if (message.created) return Created(message);
    if (message.canceled) return Canceled(message);
    if (message.event_count == 0) return Progress(message);
    Events(message);
  }

  void Expect(const WatchCreate& create) { creating_ = create; }
  void ExpectCancel(int64_t id) { canceling_ = id; }
  void set_room(int room) { room_ = room; }
  void forbid_compaction_cancels(bool forbid) { compaction_cancels_forbidden_ = forbid; }
  const std::map<int64_t, Observed>& watchers() const { return watchers_; }
  // A compaction ends a watcher, but only the client gives its id back.
  bool Taken(int64_t id) const { return watchers_.contains(id) || compacted_.contains(id); }
  int events() const { return events_; }
  int progresses() const { return progresses_; }
  int compaction_cancels() const { return compaction_cancels_; }

  // The next revision from `from` on with events for the watcher; 0 if there is none yet.
  int64_t NextMatching(const Observed& watcher, int64_t from) const {
    for (int64_t revision = std::max<int64_t>(from, 2); revision <= history_->revision();
         ++revision) {
      if (!Matching(watcher, revision).empty()) return revision;
    }
    return 0;
  }

 private:
  std::vector<const Event*> Matching(const Observed& watcher, int64_t revision) const {
    std::vector<const Event*> matching;
    for (const Event& event : history_->At(revision).events) {
      const bool wanted = event.is_delete ? !watcher.create.no_delete : !watcher.create.no_put;
      if (wanted && watcher.range.Contains(event.key)) matching.push_back(&event);
    }
    return matching;
  }

  void Created(const WatchMessage& message) {
    EXPECT_EQ(message.header_revision, history_->revision());
    const bool duplicate = creating_.watch_id != 0 && Taken(creating_.watch_id);
    const KeyRange range = WatchedRange(creating_.key, creating_.range_end);
    ASSERT_EQ(message.canceled, duplicate || range.empty());
    if (message.canceled) return;
    ASSERT_FALSE(Taken(message.watch_id));
    const int64_t first =
        creating_.start_revision != 0 ? creating_.start_revision : history_->revision() + 1;
    watchers_[message.watch_id] = {
        .create = creating_, .range = range, .next = first, .fragments = {}};
  }

  void Canceled(const WatchMessage& message) {
    if (compacted_.erase(message.watch_id) != 0) {
      EXPECT_EQ(message.watch_id, canceling_);
      EXPECT_EQ(message.compact_revision, 0);
      return;
    }
    ASSERT_TRUE(watchers_.contains(message.watch_id));
    const Observed& watcher = watchers_[message.watch_id];
    EXPECT_TRUE(watcher.fragments.empty());
    if (message.compact_revision != 0) {
      ++compaction_cancels_;
      compacted_.insert(message.watch_id);
      EXPECT_FALSE(compaction_cancels_forbidden_) << "every watcher was synced";
      EXPECT_EQ(message.compact_revision, history_->compact_revision());
      EXPECT_EQ(message.header_revision, 0);
      EXPECT_LT(watcher.next, message.compact_revision);
    } else {
      EXPECT_EQ(message.watch_id, canceling_);
      EXPECT_EQ(message.header_revision, history_->revision());
    }
    watchers_.erase(message.watch_id);
  }

  void Progress(const WatchMessage& message) {
    ++progresses_;
    EXPECT_TRUE(Writable());
    ASSERT_FALSE(watchers_.empty());
    for (auto& [id, watcher] : watchers_) {
      if (message.watch_id != -1 && message.watch_id != id) continue;
      EXPECT_LE(watcher.create.start_revision, message.header_revision);
      const int64_t unsent = NextMatching(watcher, watcher.next);
      EXPECT_TRUE(unsent == 0 || unsent > message.header_revision)
          << "progress at " << message.header_revision << " before the events of " << unsent;
      watcher.next = std::max(watcher.next, message.header_revision + 1);
    }
  }

  void Events(const WatchMessage& message) {
    ASSERT_TRUE(watchers_.contains(message.watch_id));
    Observed& watcher = watchers_[message.watch_id];
    EXPECT_TRUE(Writable() || !watcher.fragments.empty()) << "sent to a stream that was full";
    if (watcher.create.fragment && message.event_count > 1) {
      EXPECT_LT(message.encoded_events.size(), SmallLimits().response_bytes_max);
    } else if (!watcher.create.fragment) {
      EXPECT_FALSE(message.fragment);
    }
    --room_;
    etcdserverpb::WatchResponse decoded;
    ASSERT_TRUE(decoded.ParseFromString(std::string(message.encoded_events)));
    ASSERT_EQ(static_cast<size_t>(decoded.events_size()), message.event_count);
    std::vector<mvccpb::Event>& joined = watcher.fragments;
    joined.insert(joined.end(), decoded.events().begin(), decoded.events().end());
    if (!message.fragment) CheckWhole(watcher, message, std::exchange(joined, {}));
  }

  // `events` is one response with its fragments joined: exactly the watcher's next events, whole
  // revisions.
  void CheckWhole(Observed& watcher, const WatchMessage& message,
                  const std::vector<mvccpb::Event>& events) {
    std::set<int64_t> revisions;
    for (size_t i = 0; i < events.size();) {
      const int64_t revision = NextMatching(watcher, watcher.next);
      ASSERT_EQ(events[i].kv().mod_revision(), revision);
      for (const Event* expected : Matching(watcher, revision)) {
        ASSERT_LT(i, events.size()) << "revision " << revision << " was torn";
        CheckEvent(watcher, *expected, events[i++]);
      }
      revisions.insert(revision);
      watcher.next = revision + 1;
    }
    EXPECT_LE(revisions.size(), SmallLimits().catch_up_revisions_max);
    EXPECT_GE(message.header_revision, *revisions.rbegin());
    EXPECT_LE(message.header_revision, history_->revision());
    events_ += static_cast<int>(events.size());
  }

  void CheckEvent(const Observed& watcher, const Event& expected, const mvccpb::Event& got) {
    EXPECT_EQ(got.type() == mvccpb::Event::DELETE, expected.is_delete);
    EXPECT_EQ(got.kv().key(), expected.key);
    EXPECT_EQ(got.kv().mod_revision(), expected.record.mod.main);
    EXPECT_EQ(got.kv().create_revision(), expected.record.create_revision);
    EXPECT_EQ(got.kv().version(), expected.record.version);
    EXPECT_EQ(got.kv().value(), expected.record.value);
    const bool had_previous = expected.previous.main != 0;
    if (!watcher.create.prev_kv || !had_previous) {
      EXPECT_FALSE(got.has_prev_kv());
    } else if (expected.record.mod.main > history_->compact_revision()) {
      ASSERT_TRUE(got.has_prev_kv());
      EXPECT_EQ(got.prev_kv().mod_revision(), expected.previous.main);
      EXPECT_EQ(got.prev_kv().key(), expected.key);
    }
  }

  const FakeHistory* const history_;
  std::map<int64_t, Observed> watchers_;
  std::set<int64_t> compacted_;  // ids of watchers that compactions have cancelled
  WatchCreate creating_;
  int64_t canceling_ = 0;
  int room_ = 5;
  bool compaction_cancels_forbidden_ = false;
  int events_ = 0;
  int progresses_ = 0;
  int compaction_cancels_ = 0;
};

struct Totals {
  int events = 0;
  int progresses = 0;
  int compaction_cancels = 0;
};

class Model {
 public:
  explicit Model(uint64_t seed)
      : random_(seed), hub_(WatchHub::New(SmallLimits(), &history_, random_.Next())) {
    for (int i = 0; i < 3; ++i) NewStream();
  }

  void Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 40) return Publish();
    if (dice < 52) return Create();
    if (dice < 55) return Cancel();
    if (dice < 62) return RandomStream().handle->RequestProgress();
    if (dice < 80) return Run();
    if (dice < 92) return ChangeRoom();
    if (dice < 95) return Compact();
    if (dice < 97) return ReplaceStream();
    if (dice < 98) Reload();
  }

  // Lets every stream read to the end: nothing may be missing then.
  void Finish(Totals& totals) {
    for (Stream& stream : streams_) {
      stream.client->set_room(1000000);
      stream.handle->Resume();
    }
    while (hub_->NextRun() == Instant::min()) hub_->Run(now_);
    EXPECT_EQ(hub_->Stats().unsynced, 0);
    for (Stream& stream : streams_) {
      EXPECT_EQ(stream.handle->watcher_count(), stream.client->watchers().size());
      for (const auto& [id, watcher] : stream.client->watchers()) {
        EXPECT_EQ(stream.client->NextMatching(watcher, watcher.next), 0) << "watcher " << id;
        EXPECT_TRUE(watcher.fragments.empty());
      }
      totals.events += stream.client->events();
      totals.progresses += stream.client->progresses();
      totals.compaction_cancels += stream.client->compaction_cancels();
    }
  }

 private:
  struct Stream {
    std::unique_ptr<Client> client;
    std::unique_ptr<WatchStream> handle;  // destroyed first
  };

  Stream& RandomStream() { return streams_[random_.Below(streams_.size())]; }
  std::string RandomKey() { return std::string(1, static_cast<char>('a' + random_.Below(6))); }

  SharedRevisionEvents RandomRevision() {
    std::map<std::string, FakeHistory::Change> changes;
    for (uint64_t n = random_.Between(1, 4); n > 0; --n) {
      const std::string key = RandomKey();
      if (history_.Lives(key) && random_.OneIn(3)) {
        changes[key] = {key, std::nullopt};
      } else {
        changes[key] = {key, std::string(random_.Below(40), 'v')};
      }
    }
    std::vector<FakeHistory::Change> list;
    for (const auto& [key, change] : changes) list.push_back(change);
    return history_.Apply(list);
  }

  void Publish() {
    std::vector<SharedRevisionEvents> revisions;
    for (uint64_t n = random_.Between(1, 3); n > 0; --n) revisions.push_back(RandomRevision());
    hub_->Publish(revisions);
  }

  void Create() {
    Stream& stream = RandomStream();
    if (stream.client->watchers().size() >= 12) return;
    WatchCreate create{.key = RandomKey()};
    if (random_.OneIn(2)) {
      create.range_end = random_.OneIn(4) ? std::string(1, '\0') : RandomKey();
    }
    const auto near = static_cast<uint64_t>(history_.revision());
    if (random_.OneIn(2)) {
      create.start_revision = static_cast<int64_t>(random_.Between(near - near / 4, near + 4));
    }
    create.progress_notify = random_.OneIn(2);
    create.prev_kv = random_.OneIn(2);
    create.fragment = random_.OneIn(2);
    create.no_put = random_.OneIn(5);
    create.no_delete = random_.OneIn(5);
    create.watch_id = random_.OneIn(3) ? static_cast<int64_t>(random_.Below(12)) : 0;
    stream.client->Expect(create);
    stream.handle->Create(create);
  }

  void Cancel() {
    Stream& stream = RandomStream();
    const auto id = static_cast<int64_t>(random_.Below(12));
    stream.client->ExpectCancel(id);
    stream.handle->Cancel(id);
    EXPECT_FALSE(stream.client->Taken(id));
  }

  void Run() {
    now_ += Milliseconds(static_cast<int64_t>(random_.Below(400)));
    hub_->Run(now_);
  }

  void ChangeRoom() {
    Stream& stream = RandomStream();
    stream.client->set_room(random_.OneIn(3) ? 0 : static_cast<int>(random_.Between(1, 30)));
    if (stream.client->Writable()) stream.handle->Resume();
  }

  void Compact() {
    const auto newest = static_cast<uint64_t>(history_.revision());
    const auto oldest = static_cast<uint64_t>(std::max<int64_t>(history_.compact_revision(), 0));
    if (newest <= oldest + 1) return;
    const bool all_synced = hub_->Stats().unsynced == 0;
    for (Stream& stream : streams_) stream.client->forbid_compaction_cancels(all_synced);
    history_.Compact(static_cast<int64_t>(random_.Between(oldest + 1, newest)));
    hub_->Compacted(history_.compact_revision());
    for (Stream& stream : streams_) stream.client->forbid_compaction_cancels(false);
  }

  void Reload() {
    for (uint64_t n = random_.Below(6); n > 0; --n) RandomRevision();
    hub_->Reload(&history_);
  }

  void NewStream() {
    Stream stream;
    stream.client = std::make_unique<Client>(&history_);
    stream.handle = hub_->NewStream(stream.client.get());
    streams_.push_back(std::move(stream));
  }

  void ReplaceStream() {
    streams_.erase(streams_.begin() + static_cast<ptrdiff_t>(random_.Below(streams_.size())));
    NewStream();
  }

  Random random_;
  FakeHistory history_;
  std::unique_ptr<WatchHub> hub_;
  std::vector<Stream> streams_;
  Instant now_ = Instant(Seconds(1));
};

TEST(WatchModel, EveryWatcherGetsItsHistory) {
  Totals totals;
  for (int seed = 1; seed <= Scaled(1000) && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    for (int step = 0; step < 400 && !testing::Test::HasFailure(); ++step) model.Step();
    model.Finish(totals);
  }
  // The rare paths were really walked.
  EXPECT_GT(totals.events, 100000);
  EXPECT_GT(totals.progresses, 1000);
  EXPECT_GT(totals.compaction_cancels, 1000);
}

}  // namespace
}  // namespace conclave::kv
