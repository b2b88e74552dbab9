// Whole members, one of them further behind than the logs of the others go: it gets the state
// itself, and whatever happens meanwhile, it ends with the same state as everybody, with nothing
// missing and nothing twice (docs/snapshots.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/watch/recording_sink.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

using Answer = std::shared_ptr<absl::Status>;

NodeOptions SmallLogs() {
  NodeOptions options;
  options.core.tail_entries_max = 5;
  options.log_keeper.entries_max = 10;
  options.snapshot_source.chunk_bytes = 400;
  return options;
}

class SnapshotClusterTest : public ::testing::Test {
 protected:
  // Three members, one of them cut off until the others have let go of what it lacks.
  void Start(uint64_t seed, const NodeOptions& options = SmallLogs(), Duration background = {}) {
    cluster_ = std::make_unique<TestCluster>(3, seed, options, background);
    ASSERT_TRUE(cluster_->RunUntilLeader());
    cluster_->Run(Seconds(1));
    leader_ = cluster_->leader();
    behind_ = (leader_ + 1) % 3;
    third_ = (leader_ + 2) % 3;
    Write(leader_, 20);
  }
  void LeaveBehind() {
    cluster_->Isolate(behind_);
    Write(leader_, 100);
    cluster_->Run(Milliseconds(100));
    ASSERT_GT(cluster_->node(leader_).Status().first_index,
              cluster_->node(behind_).Status().last_index);
  }

  // One put after the other, each acknowledged.
  void Write(size_t through, int count) {
    for (int i = 0; i < count; ++i) {
      auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
      const std::string key = "k" + std::to_string(writes_ % 50);
      expected_[key] = std::to_string(++writes_) + std::string(100, '.');
      cluster_->Put(through, key, expected_[key], answer);
      for (int step = 0; step < 2000 && absl::IsUnknown(*answer); ++step) {
        cluster_->Run(Milliseconds(1));
      }
      ASSERT_TRUE(answer->ok()) << *answer;
    }
  }

  // In steps, so that what happens in between can be seen.
  template <typename Condition>
  bool RunUntil(Condition condition, Duration most = Seconds(20)) {
    for (Duration passed{}; passed < most; passed += std::chrono::microseconds(100)) {
      if (condition()) return true;
      cluster_->Run(std::chrono::microseconds(100));
    }
    return false;
  }
  const SnapshotFetcherStats& fetched() { return cluster_->node(behind_).snapshots_fetched(); }
  bool RunUntilFetchedBytes(uint64_t bytes) {
    return RunUntil([&] { return fetched().bytes_now >= bytes; });
  }

  void ExpectEqualMembers() {
    Write(leader_, 1);
    cluster_->Run(Seconds(2));
    for (size_t member = 0; member < 3; ++member) {
      for (const auto& [key, value] : expected_) EXPECT_EQ(cluster_->Get(member, key), value);
      EXPECT_EQ(cluster_->store(member).Hash(), cluster_->store(leader_).Hash());
      EXPECT_EQ(cluster_->store(member).applied_index(), cluster_->store(leader_).applied_index());
    }
  }

  std::unique_ptr<TestCluster> cluster_;
  size_t leader_ = 0, behind_ = 0, third_ = 0;
  std::map<std::string, std::string> expected_;
  int writes_ = 0;
};

TEST_F(SnapshotClusterTest, MemberThatIsBehindGetsTheStateAndGoesOnFromTheLog) {
  Start(1);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  ExpectEqualMembers();
  EXPECT_EQ(fetched().begun, 1u);
  EXPECT_EQ(fetched().failed, 0u);
  EXPECT_FALSE(fetched().under_way);
  const SnapshotSourceStats& sent = cluster_->node(leader_).snapshots_sent();
  EXPECT_EQ(sent.begun, 1u);
  EXPECT_EQ(sent.sent, 1u);
  EXPECT_EQ(sent.sessions, 0u);
  EXPECT_EQ(sent.bytes, fetched().bytes);
  // Ordinary replication from here on.
  Write(behind_, 30);
  ExpectEqualMembers();
  EXPECT_EQ(fetched().begun, 1u);
}

TEST_F(SnapshotClusterTest, StateSurvivesTheNextRestart) {
  Start(2);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  Write(leader_, 3);
  cluster_->Run(Milliseconds(100));
  const uint64_t installed = cluster_->store(behind_).installed_index();
  cluster_->Crash(behind_);
  cluster_->Restart(behind_);
  EXPECT_GE(cluster_->store(behind_).applied_index(), installed);
  EXPECT_GT(installed, 0u);
  ExpectEqualMembers();
}

// What is being read is read to its end; between two pieces there is nothing to read from any more.
TEST_F(SnapshotClusterTest, ARangeThatIsReadInPiecesLosesItsViewWithTheEngine) {
  Start(9, SmallLogs(), /*background=*/Milliseconds(3));
  LeaveBehind();
  Node& node = cluster_->node(behind_);
  etcdserverpb::RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  const auto view = [&] { return *cluster_->store(behind_).ViewRange(request, {}); };
  const auto resting = node.Hold(view());
  const auto busy = node.Hold(view());
  int pieces = 0;
  std::function<void()> read_on = [&] {
    if (busy->view == nullptr) return;
    node.ReadPiece(
        *busy,
        [&](const kv::RangeView& range) {
          pieces += range.Read(range.start(), {.keys_max = 5, .bytes_max = 1000}).keys > 0;
        },
        [&] { read_on(); });
  };
  read_on();
  cluster_->Run(Milliseconds(20));
  EXPECT_GT(pieces, 1);
  EXPECT_NE(resting->view, nullptr);
  cluster_->Heal();
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  EXPECT_EQ(resting->view, nullptr);
  EXPECT_EQ(busy->view, nullptr);
  ExpectEqualMembers();
}

TEST_F(SnapshotClusterTest, GoesOnWhereItWasAfterTenBrokenConnections) {
  NodeOptions options = SmallLogs();
  options.snapshot_fetcher.retry_after = Milliseconds(10);
  Start(3, options);
  LeaveBehind();
  cluster_->Heal();
  for (uint64_t cut = 1; cut <= 10; ++cut) {
    ASSERT_TRUE(RunUntilFetchedBytes(cut * 1000));
    cluster_->Cut(leader_, behind_);
    cluster_->Run(Milliseconds(40));
    cluster_->Heal();
  }
  ASSERT_FALSE(fetched().installed);
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  EXPECT_EQ(fetched().begun, 1u);
  EXPECT_GE(fetched().retries, 10u);
  ExpectEqualMembers();
}

TEST_F(SnapshotClusterTest, GoesOnWithItsSourceWhenAnotherLeads) {
  Start(4);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(2000));
  cluster_->node(leader_).MoveLeader(cluster_->node(third_).id(), [](const absl::Status&) {});
  ASSERT_TRUE(RunUntil([&] { return cluster_->node(third_).leading(); }));
  ASSERT_FALSE(fetched().installed);
  ASSERT_TRUE(RunUntil([&] { return fetched().installed >= 1; }));
  EXPECT_EQ(fetched().begun, 1u);
  leader_ = third_;
  ExpectEqualMembers();
}

TEST_F(SnapshotClusterTest, StartsAnewWhenItsSourceIsGoneAndAnotherLeads) {
  NodeOptions options = SmallLogs();
  options.snapshot_fetcher.source_lost_after = Seconds(1);
  Start(5, options);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(2000));
  cluster_->Crash(leader_);
  ASSERT_TRUE(RunUntil([&] { return cluster_->node(third_).leading(); }));
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  EXPECT_EQ(fetched().begun, 2u);
  cluster_->Restart(leader_);
  std::swap(leader_, third_);
  ExpectEqualMembers();
}

TEST_F(SnapshotClusterTest, StartsAnewWhenItsSourceHasRestarted) {
  Start(6);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(2000));
  cluster_->Crash(leader_);
  cluster_->Restart(leader_);
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  EXPECT_EQ(fetched().begun, 2u);
  ASSERT_TRUE(cluster_->RunUntilLeader());
  leader_ = cluster_->leader();
  ExpectEqualMembers();
}

// The log after the position stays for as long as it is fetched and gone on from, and no longer.
TEST_F(SnapshotClusterTest, LogIsHeldForTheMemberThatFetches) {
  NodeOptions options = SmallLogs();
  options.snapshot_source.bytes_per_second = 4000;
  Start(7, options);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(400));
  const raft::LogIndex held = cluster_->node(leader_).core().applied();
  while (fetched().installed == 0) {
    Write(leader_, 20);
    EXPECT_LE(cluster_->node(leader_).Status().first_index, held.Next());
  }
  EXPECT_EQ(fetched().begun, 1u);
  ExpectEqualMembers();
  Write(leader_, 50);
  cluster_->Run(Seconds(2));
  EXPECT_GT(cluster_->node(leader_).Status().first_index, held);
}

TEST_F(SnapshotClusterTest, SessionThatHoldsBackTooMuchIsGivenUp) {
  NodeOptions options = SmallLogs();
  options.snapshot_source.bytes_per_second = 4000;
  options.snapshot_source.held_back_bytes_max = 4000;
  Start(8, options);
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(400));
  Write(leader_, 60);
  EXPECT_EQ(cluster_->node(leader_).snapshots_sent().failed, 1u);
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  EXPECT_EQ(fetched().begun, 2u);
  ExpectEqualMembers();
}

TEST_F(SnapshotClusterTest, WritesElsewhereDoNotWait) {
  Start(9, SmallLogs(), /*background=*/Milliseconds(50));
  LeaveBehind();
  cluster_->Heal();
  ASSERT_TRUE(RunUntilFetchedBytes(400));
  int written = 0;
  while (fetched().installed == 0) {
    auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
    cluster_->Put(leader_, "during", std::to_string(++written), answer);
    cluster_->Run(Milliseconds(10));
    ASSERT_TRUE(answer->ok()) << *answer;
  }
  EXPECT_GT(written, 50);
  ExpectEqualMembers();
}

// A crash of the member right after each thing that its background lane does on the way, before
// anybody knows that it is done.
TEST_F(SnapshotClusterTest, OldStateOrNewAfterACrashAtAnyStep) {
  bool installed = false;
  bool began_anew = false;
  for (size_t step = 1; !installed; ++step) {
    ASSERT_LT(step, 200u);
    Start(10, SmallLogs());
    LeaveBehind();
    const uint64_t before = cluster_->store(behind_).applied_index();
    TestBackground& background = *cluster_->member(behind_).background;
    bool crashed = false;
    background.set_after_task([&, last = background.tasks_run() + step](size_t tasks_run) {
      if (tasks_run != last) return;
      crashed = true;
      cluster_->Crash(behind_);
    });
    cluster_->Heal();
    ASSERT_TRUE(RunUntil([&] { return crashed || fetched().installed == 1; }));
    installed = !crashed;
    if (crashed) {
      cluster_->Restart(behind_);
      const kv::LogPosition position = cluster_->store(behind_).position();
      const bool is_old = position.index <= before;
      EXPECT_TRUE(is_old || cluster_->store(behind_).installed_index() == position.index) << step;
      if (!is_old) {
        began_anew = true;
        const auto start =
            cluster_->node(behind_).core().LogStartAt(raft::LogIndex(position.index));
        ASSERT_TRUE(start.has_value());
        EXPECT_EQ(start->term.value(), position.term);
        EXPECT_EQ(cluster_->node(behind_).Status().last_index.value(), position.index);
      }
      ASSERT_TRUE(RunUntil([&] {
        return cluster_->store(behind_).applied_index() == cluster_->store(leader_).applied_index();
      }));
    }
    ExpectEqualMembers();
  }
  EXPECT_TRUE(began_anew);
}

TEST_F(SnapshotClusterTest, WatchesAndReadsOfTheMemberGoOnAcrossTheInstallation) {
  Start(11);
  kv::RecordingSink sink;
  auto stream = cluster_->store(behind_).watches().NewStream(&sink);
  stream->Create({.key = "k", .range_end = "l", .start_revision = 1});
  cluster_->node(behind_).apply().WakeWatches();
  cluster_->Run(Milliseconds(10));
  LeaveBehind();
  EXPECT_EQ(cluster_->Get(behind_, "k0").find("1"), 0u);
  cluster_->Heal();
  auto read = std::make_shared<absl::Status>(absl::UnknownError("pending"));
  std::string seen;
  cluster_->node(behind_).Read([&](const absl::Status& status) {
    *read = status;
    seen = cluster_->Get(behind_, "k0");
  });
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  Write(leader_, 10);
  cluster_->Run(Seconds(1));
  EXPECT_TRUE(read->ok()) << *read;
  EXPECT_EQ(seen, expected_["k0"]);

  int64_t last = 0;
  int events = 0;
  for (const kv::ReceivedMessage& received : sink.messages()) {
    EXPECT_FALSE(received.message.canceled);
    for (const mvccpb::Event& event : received.events) {
      EXPECT_GT(event.kv().mod_revision(), last);
      last = event.kv().mod_revision();
      EXPECT_EQ(event.kv().value(), std::to_string(++events) + std::string(100, '.'));
    }
  }
  EXPECT_EQ(events, writes_);
  stream = nullptr;
}

TEST_F(SnapshotClusterTest, WatchThatNeedsCompactedRevisionsIsCancelled) {
  NodeOptions options = SmallLogs();
  Start(12, options);
  LeaveBehind();
  kv::RecordingSink sink;
  sink.set_writable(false);
  auto stream = cluster_->store(behind_).watches().NewStream(&sink);
  stream->Create({.key = "k", .range_end = "l", .start_revision = 1});
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(cluster_->store(leader_).revision());
  cluster_->node(leader_).Propose(kv::CommandKind::kCompact, compact.SerializeAsString(),
                                  [](kv::ApplyResult) {});
  bool compacted = false;
  cluster_->Run(Milliseconds(100));
  cluster_->node(behind_).apply().WhenCompacted(compact.revision(), [&] { compacted = true; });
  Write(leader_, 20);
  cluster_->Heal();
  ASSERT_TRUE(RunUntil([&] { return fetched().installed == 1; }));
  sink.set_writable(true);
  stream->Resume();
  cluster_->node(behind_).apply().WakeWatches();
  cluster_->Run(Seconds(1));
  ASSERT_FALSE(sink.messages().empty());
  EXPECT_TRUE(sink.last().message.canceled);
  EXPECT_EQ(sink.last().message.compact_revision, compact.revision());
  EXPECT_TRUE(compacted);
  stream = nullptr;
}

}  // namespace
}  // namespace conclave::server
