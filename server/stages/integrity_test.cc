// Whole members, one of which comes to another state than the log says: who is named, what that one
// still does, and how it is made good again (docs/integrity.md).
#include "server/stages/integrity_stage.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "server/stages/spoiled_value.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

class IntegrityTest : public testing::Test {
 protected:
  explicit IntegrityTest(size_t members = 3, const NodeOptions& options = {})
      : cluster_(members, 11, options) {
    EXPECT_TRUE(cluster_.RunUntilLeader());
    cluster_.Run(Seconds(2));
    EXPECT_TRUE(Put(leader(), "key", "right").ok());
    EXPECT_TRUE(Put(leader(), "other", "right").ok());
  }

  size_t leader() { return cluster_.leader(); }
  size_t follower() { return (leader() + 1) % cluster_.size(); }

  absl::Status Put(size_t member, const std::string& key, const std::string& value) {
    auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
    cluster_.Put(member, key, value, answer);
    cluster_.Run(Milliseconds(50));
    return *answer;
  }
  absl::Status Read(size_t member) {
    auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
    cluster_.node(member).Read([answer](const absl::Status& status) { *answer = status; });
    cluster_.Run(Milliseconds(50));
    return *answer;
  }

  void Spoil(size_t member, const std::string& key) {
    SpoilValue(*cluster_.member(member).engine, key);
  }
  // And an entry that depends on it is applied; all in a moment.
  void Diverge(size_t member) {
    Spoil(member, "key");
    const size_t through = (member + 1) % cluster_.size();
    Put(through, "key", "again").IgnoreError();
  }

  // Of all members, by who is named.
  bool AlarmIsOn(size_t at, uint64_t member) {
    return cluster_.store(at).IsDivergenceAlarmOn(member);
  }
  size_t FencedCount() {
    size_t count = 0;
    for (size_t i = 0; i < cluster_.size(); ++i) {
      count += cluster_.up(i) && cluster_.node(i).fenced() ? 1 : 0;
    }
    return count;
  }
  void ExpectAllSound() {
    for (size_t i = 0; i < cluster_.size(); ++i) {
      EXPECT_FALSE(cluster_.node(i).fenced()) << i;
      EXPECT_TRUE(cluster_.store(i).Alarms().empty()) << i;
      EXPECT_EQ(cluster_.store(i).Hash(), cluster_.store(0).Hash()) << i;
      EXPECT_EQ(cluster_.store(i).chain(), cluster_.store(0).chain()) << i;
    }
  }

  TestCluster cluster_;
};

TEST_F(IntegrityTest, EqualStatesRaiseNoAlarm) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Put(size_t(i) % 3, "key", std::to_string(i)).ok());
  cluster_.Run(Seconds(2));
  ExpectAllSound();
}

TEST_F(IntegrityTest, RestartsAndSnapshotsRaiseNoAlarm) {
  for (int round = 0; round < 6; ++round) {
    const size_t member = size_t(round) % 3;
    cluster_.Isolate(member);
    ASSERT_TRUE(cluster_.RunUntilLeader());
    for (int i = 0; i < 40; ++i) Put((member + 1) % 3, "key", std::to_string(i)).IgnoreError();
    round % 2 == 0 ? cluster_.Crash(member) : cluster_.Stop(member);
    cluster_.Heal();
    cluster_.Restart(member);
    ASSERT_TRUE(cluster_.RunUntilLeader());
    cluster_.Run(Seconds(3));
    ExpectAllSound();
  }
}

TEST_F(IntegrityTest, AFollowerThatDivergesIsFencedWithinASecond) {
  const size_t odd = follower();
  Diverge(odd);
  cluster_.Run(Milliseconds(900));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(i == odd || !cluster_.node(i).fenced());
  }
  EXPECT_EQ(cluster_.node(leader()).counters().divergences_found, 1u);
  EXPECT_TRUE(Put(leader(), "key", "more").ok());
  EXPECT_TRUE(Read(leader()).ok());
}

TEST_F(IntegrityTest, TheStateIsReplacedByTheLeaders) {
  const size_t odd = follower();
  Diverge(odd);
  cluster_.Run(Seconds(5));
  EXPECT_EQ(cluster_.node(odd).snapshots_fetched().installed, 1u);
  ExpectAllSound();
  EXPECT_TRUE(Put(odd, "key", "well").ok());
  EXPECT_TRUE(Read(odd).ok());
}

TEST_F(IntegrityTest, ItIsReplacedUnderLoadToo) {
  const size_t odd = follower();
  Spoil(odd, "key");
  for (int i = 0; i < 200; ++i) Put(leader(), "key", std::to_string(i)).IgnoreError();
  cluster_.Run(Seconds(3));
  EXPECT_EQ(cluster_.node(odd).snapshots_fetched().installed, 1u);
  ExpectAllSound();
}

TEST_F(IntegrityTest, ALeaderThatDivergesHandsOver) {
  const size_t odd = leader();
  Diverge(odd);
  cluster_.Run(Seconds(1));
  EXPECT_NE(leader(), odd);
  cluster_.Run(Seconds(5));
  ExpectAllSound();
}

TEST_F(IntegrityTest, WhoWaitsForTheFenceIsToldOnce) {
  const size_t odd = follower();
  const auto open = std::make_shared<int>(0);
  auto closed = std::make_shared<int>(0);
  cluster_.node(odd).WhenFenced(open, [count = open.get()] { ++*count; });
  cluster_.node(odd).WhenFenced(closed, [count = open.get()] { *count += 100; });
  cluster_.node(leader()).WhenFenced(open, [count = open.get()] { *count += 1000; });
  closed.reset();
  Diverge(odd);
  cluster_.Run(Seconds(5));
  EXPECT_EQ(*open, 1);
}

TEST_F(IntegrityTest, ADeletedValueCountsToo) {
  Spoil(follower(), "other");
  etcdserverpb::DeleteRangeRequest request;
  request.set_key("other");
  cluster_.node(leader()).Propose(kv::CommandKind::kDeleteRange, request.SerializeAsString(),
                                  [](const kv::ApplyResult&) {});
  cluster_.Run(Seconds(1));
  EXPECT_EQ(cluster_.node(leader()).counters().divergences_found, 1u);
}

TEST_F(IntegrityTest, AnAlarmRaisedByHandStopsTheWholeCluster) {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_alarm(etcdserverpb::CORRUPT);
  request.set_memberid(1);
  cluster_.node(leader()).Propose(kv::CommandKind::kAlarm, request.SerializeAsString(),
                                  [](const kv::ApplyResult&) {});
  cluster_.Run(Seconds(2));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(cluster_.store(i).IsCorrupt());
    EXPECT_FALSE(cluster_.node(i).fenced());
  }
}

// A member that stays wrong.
class FencedMemberTest : public IntegrityTest {
 protected:
  FencedMemberTest() : IntegrityTest(3, Options()) {
    odd_ = follower();
    Diverge(odd_);
    cluster_.Run(Milliseconds(900));
  }
  static NodeOptions Options() {
    NodeOptions options;
    options.rebuild.held_bytes_max = 0;
    options.snapshot_source.sessions_max = 0;  // nobody gets a state
    return options;
  }

  size_t odd_ = 0;
};

TEST_F(FencedMemberTest, ServesNothing) {
  ASSERT_TRUE(cluster_.node(odd_).fenced());
  EXPECT_EQ(FencedCount(), 1u);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(AlarmIsOn(i, odd_ + 1)) << i;
  EXPECT_FALSE(cluster_.store(leader()).IsCorrupt());
  EXPECT_EQ(Put(odd_, "key", "value"), kv::ErrCorrupt());
  EXPECT_EQ(Read(odd_), kv::ErrCorrupt());
  EXPECT_TRUE(Put(leader(), "key", "value").ok());
}

TEST_F(FencedMemberTest, VotesButDoesNotLead) {
  const size_t led = leader();
  cluster_.Crash(led);
  ASSERT_TRUE(cluster_.RunUntilLeader());
  EXPECT_NE(leader(), odd_);
  cluster_.Run(Seconds(10));
  EXPECT_NE(leader(), odd_);
  EXPECT_TRUE(Put(leader(), "key", "value").ok());
}

TEST_F(FencedMemberTest, IsNoTargetOfATransfer) {
  const size_t led = leader();
  auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
  cluster_.node(led).MoveLeader(raft::NodeId(odd_ + 1),
                                [answer](const absl::Status& status) { *answer = status; });
  cluster_.Run(Seconds(10));
  EXPECT_EQ(*answer, kv::ErrTimeoutLeaderTransfer());
  EXPECT_EQ(leader(), led);
}

TEST_F(FencedMemberTest, IsFencedAfterARestart) {
  cluster_.Stop(odd_);
  cluster_.Restart(odd_);
  EXPECT_TRUE(cluster_.node(odd_).fenced());
  cluster_.Crash(odd_);
  cluster_.Restart(odd_);
  cluster_.Run(Seconds(1));
  EXPECT_TRUE(cluster_.node(odd_).fenced());
}

// Of two voters nobody knows which is right.
class TwoMembersTest : public IntegrityTest {
 protected:
  TwoMembersTest() : IntegrityTest(2) {}
};

TEST_F(TwoMembersTest, NeitherIsFencedAndNothingIsWritten) {
  Diverge(follower());
  cluster_.Run(Seconds(3));
  EXPECT_EQ(FencedCount(), 0u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(AlarmIsOn(i, 0));
    EXPECT_TRUE(cluster_.store(i).IsCorrupt());
  }
  EXPECT_TRUE(Read(leader()).ok());
}

}  // namespace
}  // namespace conclave::server
