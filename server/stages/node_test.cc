// Whole members together: what is acknowledged stays, through crashes, cuts and lost messages, by
// seed.
#include "server/stages/node.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "kvstore/errors.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

using Answer = std::shared_ptr<absl::Status>;

Answer Pending() { return std::make_shared<absl::Status>(absl::UnknownError("pending")); }

TEST(NodeTest, EveryMemberTakesAPutAndAllApplyIt) {
  TestCluster cluster(3, 1);
  ASSERT_TRUE(cluster.RunUntilLeader());
  for (size_t member = 0; member < 3; ++member) {
    Answer answer = Pending();
    cluster.Put(member, "key" + std::to_string(member), "value", answer);
    cluster.Run(Milliseconds(300));
    EXPECT_TRUE(answer->ok()) << *answer;
  }
  for (size_t member = 0; member < 3; ++member) {
    EXPECT_EQ(cluster.Get(member, "key0"), "value");
    EXPECT_EQ(cluster.Get(member, "key2"), "value");
  }
}

TEST(NodeTest, MembersPublishTheirNames) {
  TestCluster cluster(3, 2);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  std::set<std::string> names;
  for (const auto& member : cluster.store(0).Members()) names.insert(member.name());
  EXPECT_EQ(names, (std::set<std::string>{"m0", "m1", "m2"}));
}

TEST(NodeTest, PutAtAFollowerOutlivesItsLeader) {
  TestCluster cluster(3, 3);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t leader = cluster.leader();
  const size_t follower = (leader + 1) % 3;
  cluster.Crash(leader);
  Answer answer = Pending();
  cluster.Put(follower, "key", "value", answer);
  cluster.Run(Seconds(5));
  EXPECT_TRUE(answer->ok()) << *answer;
  EXPECT_EQ(cluster.Get(follower, "key"), "value");
}

// thesis 6.4: a leader that has been cut off without knowing must not answer.
TEST(NodeTest, LinearizableReadAtACutOffLeaderWaits) {
  TestCluster cluster(3, 4);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t old_leader = cluster.leader();
  cluster.Isolate(old_leader);
  bool answered = false;
  cluster.node(old_leader).Read([&](const absl::Status& status) { answered |= status.ok(); });
  cluster.Run(Seconds(5));
  EXPECT_FALSE(answered);
  cluster.Heal();
  cluster.Run(Seconds(1));
  EXPECT_TRUE(answered);
}

// Nothing is applied after a clean restart, so nothing but the state found tells reads that they
// may go.
TEST(NodeTest, ReadsAreAnsweredAfterACleanRestartWithoutWrites) {
  TestCluster cluster(3, 6);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t follower = (cluster.leader() + 1) % 3;
  cluster.Stop(follower);
  cluster.Restart(follower);
  cluster.Run(Seconds(1));
  Answer answer = Pending();
  cluster.node(follower).Read([answer](const absl::Status& status) { *answer = status; });
  cluster.Run(Seconds(1));
  EXPECT_TRUE(answer->ok()) << *answer;
}

TEST(NodeTest, ReadThatHasItsIndexButNeverGetsThatFarTimesOut) {
  ManualExecutor lane;
  ReadGate gate({.timeout = Seconds(7)}, &lane, [] {});
  gate.OnRoleChange(
      {.role = raft::RoleName::kFollower, .term = raft::Term(1), .leader = raft::NodeId(2)});
  Answer answer = Pending();
  gate.Read([answer](const absl::Status& status) { *answer = status; });
  gate.OnReady({{*gate.TakeRead(), raft::LogIndex(5)}});
  lane.Advance(Seconds(8));
  EXPECT_EQ(*answer, kv::ErrTimeout());
}

TEST(NodeTest, MoveLeaderAnswersOnceTheNewLeaderIsSeen) {
  TestCluster cluster(3, 5);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t leader = cluster.leader();
  const size_t target = (leader + 1) % 3;
  Answer answer = Pending();
  cluster.node(leader).MoveLeader(cluster.node(target).id(),
                                  [answer](const absl::Status& status) { *answer = status; });
  cluster.Run(Milliseconds(500));
  EXPECT_TRUE(answer->ok()) << *answer;
  EXPECT_TRUE(cluster.node(target).leading());
  cluster.node(leader).MoveLeader(cluster.node(target).id(),
                                  [answer](const absl::Status& status) { *answer = status; });
  EXPECT_EQ(*answer, kv::ErrNotLeader());
  cluster.node(target).MoveLeader(raft::NodeId(99),
                                  [answer](const absl::Status& status) { *answer = status; });
  EXPECT_EQ(*answer, kv::ErrBadLeaderTransferee());
}

// reference: behaviour section 3.7.
TEST(NodeTest, HistoryIsForgottenByItselfOnEveryMember) {
  TestCluster cluster(3, 6, {.auto_compaction = {.revisions = 10}});
  ASSERT_TRUE(cluster.RunUntilLeader());
  for (int i = 0; i < 30; ++i) {
    cluster.Put(0, "key", std::to_string(i), Pending());
    cluster.Run(Milliseconds(10));
  }
  cluster.Run(Seconds(301));
  for (size_t member = 0; member < 3; ++member) {
    EXPECT_EQ(cluster.store(member).revision(), 31);
    EXPECT_EQ(cluster.store(member).compact_revision(), 21);
  }
}

// A client that writes one key after another and remembers what was acknowledged. What was not may
// have been applied, or may be at any later time.
class Writer {
 public:
  void Write(TestCluster& cluster) {
    if (answer_ != nullptr) {
      if (absl::IsUnknown(*answer_)) return;  // still under way
      Settle();
    }
    member_ = cluster.random().Below(cluster.size());
    if (!cluster.up(member_)) return;
    key_ = "k" + std::to_string(cluster.random().Below(20));
    value_ = std::to_string(++count_);
    answer_ = Pending();
    cluster.Put(member_, key_, value_, answer_);
  }

  // A member that crashed never answers.
  void OnCrash(size_t member) {
    if (answer_ != nullptr && member == member_) Settle();
  }

  // Takes note of the last answer.
  void Finish() {
    if (answer_ != nullptr) Settle();
  }

  const std::map<std::string, std::string>& acknowledged() const { return acknowledged_; }
  bool MayBeLast(const std::string& key, const std::string& value) const {
    return acknowledged_.at(key) == value || unsure_.contains(value);
  }
  size_t count() const { return count_; }

 private:
  void Settle() {
    if (answer_->ok()) {
      acknowledged_[key_] = value_;
    } else {
      unsure_.insert(value_);
    }
    answer_ = nullptr;
  }

  Answer answer_;
  size_t member_ = 0;
  std::string key_, value_;
  std::map<std::string, std::string> acknowledged_;
  std::set<std::string> unsure_;
  size_t count_ = 0;
};

void Disturb(TestCluster& cluster, Writer& writer) {
  Random& random = cluster.random();
  const size_t member = random.Below(cluster.size());
  switch (random.Below(6)) {
    case 0:
      if (cluster.up(member)) {
        cluster.Crash(member);
        writer.OnCrash(member);
      }
      break;
    case 1:
    case 2:
      if (!cluster.up(member)) cluster.Restart(member);
      break;
    case 3:
      cluster.Isolate(member);
      break;
    case 4:
      cluster.Heal();
      break;
    default:
      cluster.set_loss_permille(random.Below(100));
  }
}

void Repair(TestCluster& cluster) {
  cluster.Heal();
  cluster.set_loss_permille(0);
  for (size_t member = 0; member < cluster.size(); ++member) {
    if (!cluster.up(member)) cluster.Restart(member);
  }
}

class NodeSeedTest : public ::testing::TestWithParam<uint64_t> {};

// What reads much does so on the background lane, and not as often as anybody likes.
TEST(NodeTest, ReadsBehindInTheBackground) {
  TestCluster cluster(1, 5, {}, /*background=*/Milliseconds(10));
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(2));
  int read = 0;
  std::vector<absl::Status> answers;
  const auto ask = [&] {
    cluster.node(0).ReadBehind([&] { ++read; },
                               [&](const absl::Status& status) { answers.push_back(status); });
  };
  for (int i = 0; i < 64; ++i) ask();
  EXPECT_TRUE(answers.empty());
  ask();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0], kv::ErrTooManyRequests());
  EXPECT_EQ(read, 0);
  cluster.Run(Seconds(2));
  EXPECT_EQ(read, 64);
  ASSERT_EQ(answers.size(), 65u);
  EXPECT_TRUE(answers.back().ok());
  ask();
  cluster.Run(Seconds(1));
  EXPECT_EQ(read, 65);
  EXPECT_TRUE(answers.back().ok());
}

// Writes through crashes, cuts and losses; then everything acknowledged is everywhere.
void WriteThroughTheStorm(TestCluster& cluster) {
  Writer writer;
  for (int step = 0; step < 3000; ++step) {
    writer.Write(cluster);
    if (cluster.random().OneIn(60)) Disturb(cluster, writer);
    if (cluster.random().OneIn(200)) Repair(cluster);
    cluster.Run(Milliseconds(static_cast<int64_t>(cluster.random().Between(1, 20))));
  }
  Repair(cluster);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(10));
  writer.Finish();
  EXPECT_GT(writer.count(), 100u);
  EXPECT_GT(writer.acknowledged().size(), 10u);
  for (size_t member = 0; member < 3; ++member) {
    for (const auto& [key, value] : writer.acknowledged()) {
      EXPECT_TRUE(writer.MayBeLast(key, cluster.Get(member, key)))
          << key << " at member " << member;
    }
    EXPECT_EQ(cluster.store(member).Hash(), cluster.store(0).Hash());
  }
}

TEST_P(NodeSeedTest, AcknowledgedWritesSurviveEverything) {
  TestCluster cluster(3, GetParam());
  WriteThroughTheStorm(cluster);
}

// With logs so short that whoever was away needs a snapshot.
TEST_P(NodeSeedTest, AcknowledgedWritesSurviveSnapshotsToo) {
  NodeOptions options;
  options.core.tail_entries_max = 3;
  options.log_keeper.entries_max = 5;
  options.snapshot_source.chunk_bytes = 300;
  options.snapshot_fetcher.source_lost_after = Seconds(1);
  TestCluster cluster(3, GetParam(), options, /*background=*/Milliseconds(5));
  WriteThroughTheStorm(cluster);
}

INSTANTIATE_TEST_SUITE_P(Seeds, NodeSeedTest, ::testing::Range<uint64_t>(100, 120));

}  // namespace
}  // namespace conclave::server
