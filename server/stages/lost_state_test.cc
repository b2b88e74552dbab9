// Whole members, one of which finds its engine damaged when it starts: its log and its votes count
// as before, and it serves nothing until it has the state of the others (docs/integrity.md).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

NodeOptions ShortLogs() {
  NodeOptions options;
  options.log_keeper.entries_max = 10;
  options.core.tail_entries_max = 5;
  return options;
}

class LostStateTest : public testing::Test {
 protected:
  explicit LostStateTest(const NodeOptions& options = ShortLogs()) : cluster_(3, 21, options) {
    EXPECT_TRUE(cluster_.RunUntilLeader());
    PutSome(60);
    cluster_.Run(Seconds(2));
  }

  size_t leader() { return cluster_.leader(); }
  size_t follower() { return (leader() + 1) % 3; }
  absl::Status Put(size_t member, const std::string& key, const std::string& value) {
    auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
    cluster_.Put(member, key, value, answer);
    cluster_.Run(Milliseconds(50));
    return *answer;
  }
  void PutSome(int count) {
    for (int i = 0; i < count; ++i) {
      EXPECT_TRUE(Put(leader(), "key" + std::to_string(i % 7), std::to_string(puts_++)).ok());
    }
  }
  void RestartDamaged(size_t member) {
    cluster_.Crash(member);
    cluster_.member(member).home_disk.Damage();
    cluster_.Restart(member);
  }
  void ExpectAllSound() {
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_FALSE(cluster_.node(i).fenced()) << i;
      EXPECT_TRUE(cluster_.store(i).Alarms().empty()) << i;
      EXPECT_EQ(cluster_.store(i).Hash(), cluster_.store(0).Hash()) << i;
      EXPECT_EQ(cluster_.store(i).chain(), cluster_.store(0).chain()) << i;
    }
  }

  TestCluster cluster_;
  int puts_ = 0;
};

TEST_F(LostStateTest, ItIsFetchedAndNothingIsServedBefore) {
  const size_t odd = follower();
  RestartDamaged(odd);
  EXPECT_TRUE(cluster_.node(odd).fenced());
  auto answer = std::make_shared<absl::Status>();
  cluster_.node(odd).Read([answer](const absl::Status& status) { *answer = status; });
  EXPECT_EQ(*answer, kv::ErrCorrupt());
  cluster_.Run(Seconds(3));
  EXPECT_EQ(cluster_.node(odd).snapshots_fetched().installed, 1u);
  ExpectAllSound();
  EXPECT_TRUE(Put(odd, "key", "well").ok());
  EXPECT_EQ(cluster_.Get(odd, "key"), "well");
}

TEST_F(LostStateTest, ItIsFetchedUnderLoad) {
  const size_t odd = follower();
  RestartDamaged(odd);
  PutSome(100);
  cluster_.Run(Seconds(2));
  ExpectAllSound();
}

TEST_F(LostStateTest, TheLeadersIsFetchedFromTheNextLeader) {
  const size_t odd = leader();
  RestartDamaged(odd);
  ASSERT_TRUE(cluster_.RunUntilLeader());
  EXPECT_NE(leader(), odd);
  cluster_.Run(Seconds(3));
  ExpectAllSound();
}

TEST_F(LostStateTest, ItsLogCountsMeanwhile) {
  const size_t odd = follower();
  const size_t third = 3 - odd - leader();
  RestartDamaged(odd);
  cluster_.Isolate(third);
  PutSome(20);  // by the leader and the one without a state
  cluster_.Heal();
  cluster_.Run(Seconds(3));
  ExpectAllSound();
}

TEST_F(LostStateTest, WithoutALeaderItWaits) {
  const size_t odd = follower();
  cluster_.Isolate(odd);
  RestartDamaged(odd);
  cluster_.Run(Seconds(5));
  EXPECT_TRUE(cluster_.node(odd).fenced());
  EXPECT_EQ(cluster_.store(odd).applied_index(), 0u);
  cluster_.Heal();
  cluster_.Run(Seconds(5));
  ExpectAllSound();
}

TEST_F(LostStateTest, ACrashOnTheWayStartsOver) {
  const size_t odd = follower();
  RestartDamaged(odd);
  for (int i = 0; i < 40; ++i) {
    cluster_.Run(Milliseconds(10 * i));
    cluster_.Crash(odd);
    cluster_.Restart(odd);
    PutSome(1);
  }
  cluster_.Run(Seconds(3));
  ExpectAllSound();
}

TEST_F(LostStateTest, ALogThatIsWholeIsEnough) {
  NodeOptions options;
  TestCluster cluster(3, 22, options);
  ASSERT_TRUE(cluster.RunUntilLeader());
  auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
  cluster.Put(cluster.leader(), "key", "value", answer);
  cluster.Run(Seconds(1));
  const size_t odd = (cluster.leader() + 1) % 3;
  cluster.Crash(odd);
  cluster.member(odd).home_disk.Damage();
  cluster.Restart(odd);
  EXPECT_FALSE(cluster.node(odd).fenced());
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster.Get(odd, "key"), "value");
  EXPECT_EQ(cluster.node(odd).snapshots_fetched().begun, 0u);
  EXPECT_EQ(cluster.store(odd).chain(), cluster.store(cluster.leader()).chain());
}

class LostStateHeldTest : public LostStateTest {
 protected:
  LostStateHeldTest()
      : LostStateTest([] {
          NodeOptions options = ShortLogs();
          options.rebuild.held_bytes_max = 1;
          return options;
        }()) {}
};

// What cannot be held is left to the state that comes, which must be later then.
TEST_F(LostStateHeldTest, TooMuchToHoldStartsItAnew) {
  const size_t odd = follower();
  RestartDamaged(odd);
  PutSome(60);
  cluster_.Run(Seconds(3));
  ExpectAllSound();
}

}  // namespace
}  // namespace conclave::server
