#include "server/stages/space_watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class SpaceWatchTest : public testing::Test {
 protected:
  explicit SpaceWatchTest(const NodeOptions& options = Options()) : cluster_(3, 7, options) {
    EXPECT_TRUE(cluster_.RunUntilLeader());
    cluster_.Run(Seconds(2));
    follower_ = (cluster_.leader() + 1) % 3;
  }

  static NodeOptions Options() {
    NodeOptions options;
    options.space.directories = {"wal"};
    return options;
  }

  // Of every member, as each has applied it.
  std::string AlarmsAt(size_t member) {
    std::string text;
    for (const auto& alarm : cluster_.store(member).Alarms()) {
      text += etcdserverpb::AlarmType_Name(alarm.alarm()) + "@" + std::to_string(alarm.memberid()) +
              " ";
    }
    return text;
  }
  std::string AlarmOf(size_t member) { return "NOSPACE@" + std::to_string(member + 1) + " "; }

  absl::Status Put(size_t member) {
    auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
    cluster_.Put(member, "key", "value", answer);
    cluster_.Run(Milliseconds(300));
    return *answer;
  }

  void Disarm(size_t member) {
    etcdserverpb::AlarmRequest request;
    request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
    request.set_alarm(etcdserverpb::NOSPACE);
    request.set_memberid(member + 1);
    cluster_.node(member).Propose(kv::CommandKind::kAlarm, request.SerializeAsString(),
                                  [](const kv::ApplyResult&) {});
    cluster_.Run(Milliseconds(300));
  }

  TestCluster cluster_;
  size_t follower_ = 0;
};

TEST_F(SpaceWatchTest, WithSpaceThereIsNoAlarm) {
  for (size_t member = 0; member < 3; ++member) EXPECT_EQ(AlarmsAt(member), "");
  EXPECT_TRUE(Put(follower_).ok());
}

TEST_F(SpaceWatchTest, AMemberShortOfSpaceRaisesTheAlarmForAll) {
  cluster_.disk(follower_).SetFreeBytes((64 * kMiB) - 1);
  cluster_.Run(Seconds(2));
  for (size_t member = 0; member < 3; ++member) EXPECT_EQ(AlarmsAt(member), AlarmOf(follower_));
  EXPECT_EQ(Put(cluster_.leader()), kv::ErrNoSpace());
}

TEST_F(SpaceWatchTest, TheLogTellsOfItsReserve) {
  SpaceWatch& watch = cluster_.node(follower_).space();
  watch.SetLogShort(true);
  cluster_.Run(Milliseconds(300));
  EXPECT_EQ(AlarmsAt(cluster_.leader()), AlarmOf(follower_));
  EXPECT_TRUE(watch.low());
  watch.SetLogShort(false);
  EXPECT_FALSE(watch.low());
}

TEST_F(SpaceWatchTest, TheAlarmStaysUntilItIsLifted) {
  cluster_.disk(follower_).SetFreeBytes(0);
  cluster_.Run(Seconds(2));
  cluster_.disk(follower_).SetFreeBytes(64 * kMiB);
  cluster_.Run(Seconds(10));
  EXPECT_EQ(AlarmsAt(follower_), AlarmOf(follower_));
  Disarm(follower_);
  cluster_.Run(Seconds(10));
  EXPECT_EQ(AlarmsAt(follower_), "");
  EXPECT_TRUE(Put(follower_).ok());
}

TEST_F(SpaceWatchTest, LiftedTooEarlyItComesBack) {
  cluster_.disk(follower_).SetFreeBytes(0);
  cluster_.Run(Seconds(2));
  Disarm(follower_);
  cluster_.Run(Seconds(2));
  EXPECT_EQ(AlarmsAt(follower_), AlarmOf(follower_));
}

TEST_F(SpaceWatchTest, IsRaisedAsSoonAsThereIsAQuorum) {
  cluster_.Isolate(follower_);
  cluster_.disk(follower_).SetFreeBytes(0);
  cluster_.Run(Seconds(20));
  EXPECT_EQ(AlarmsAt(cluster_.leader()), "");
  cluster_.Heal();
  cluster_.Run(Seconds(10));
  EXPECT_EQ(AlarmsAt(cluster_.leader()), AlarmOf(follower_));
}

class QuotaTest : public SpaceWatchTest {
 protected:
  static constexpr uint64_t kQuota = 20'000;

  static NodeOptions Options() {
    NodeOptions options;
    options.space.quota_bytes = kQuota;
    return options;
  }

  QuotaTest() : SpaceWatchTest(Options()) {}

  SpaceWatch& watch() { return cluster_.node(follower_).space(); }
  uint64_t Kept() { return cluster_.store(follower_).KeptBytes(); }

  void Propose(kv::CommandKind kind, const google::protobuf::Message& request) {
    cluster_.node(follower_).Propose(kind, request.SerializeAsString(),
                                     [](const kv::ApplyResult&) {});
    cluster_.Run(Milliseconds(300));
  }
  // To so many percent of the quota, as one key's many versions.
  void Fill(uint64_t percent) {
    while (Kept() < kQuota * percent / 100) {
      etcdserverpb::PutRequest put;
      put.set_key("key");
      put.set_value(std::string(300, 'v'));
      Propose(kv::CommandKind::kPut, put);
    }
  }
  void ReachQuota() {
    Fill(97);
    EXPECT_FALSE(watch().HasRoomFor(1000));
    cluster_.Run(Milliseconds(300));
  }
  void Compact() {
    etcdserverpb::CompactionRequest compaction;
    compaction.set_revision(cluster_.store(follower_).revision());
    Propose(kv::CommandKind::kCompact, compaction);
    cluster_.Run(Seconds(3));
  }
};

TEST_F(QuotaTest, WhatIsLeftOfItMayBeTaken) {
  Fill(97);
  EXPECT_TRUE(watch().HasRoomFor(kQuota - Kept() - 1));
  cluster_.Run(Seconds(2));
  EXPECT_EQ(AlarmsAt(follower_), "");
  EXPECT_FALSE(watch().HasRoomFor(kQuota - Kept()));
}

TEST_F(QuotaTest, WhatDoesNotFitIsNoReasonForAlarmWhileOtherThingsDo) {
  Fill(90);
  EXPECT_FALSE(watch().HasRoomFor(kQuota));
  cluster_.Run(Seconds(2));
  EXPECT_EQ(AlarmsAt(follower_), "");
  EXPECT_TRUE(Put(follower_).ok());
}

TEST_F(QuotaTest, WhoeverWouldPassItRaisesTheAlarmForAll) {
  ReachQuota();
  for (size_t member = 0; member < 3; ++member) EXPECT_EQ(AlarmsAt(member), AlarmOf(follower_));
  EXPECT_EQ(Put(cluster_.leader()), kv::ErrNoSpace());
  cluster_.Run(Seconds(10));
  EXPECT_EQ(AlarmsAt(follower_), AlarmOf(follower_)) << "nothing has been given back";
}

TEST_F(QuotaTest, ACompactionEndsTheAlarmByItself) {
  ReachQuota();
  Compact();
  EXPECT_LT(Kept(), kQuota / 2);
  EXPECT_EQ(AlarmsAt(cluster_.leader()), "");
  EXPECT_TRUE(Put(follower_).ok());
}

TEST_F(QuotaTest, TheNextLifeOfTheMemberEndsItToo) {
  ReachQuota();
  cluster_.Crash(follower_);
  cluster_.Restart(follower_);
  cluster_.Run(Seconds(5));
  EXPECT_EQ(AlarmsAt(follower_), AlarmOf(follower_));
  Compact();
  EXPECT_EQ(AlarmsAt(follower_), "");
}

TEST_F(QuotaTest, AnAlarmOfAnotherKindStays) {
  Fill(97);
  etcdserverpb::AlarmRequest by_hand;
  by_hand.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  by_hand.set_alarm(etcdserverpb::NOSPACE);
  by_hand.set_memberid(follower_ + 1);
  Propose(kv::CommandKind::kAlarm, by_hand);
  EXPECT_FALSE(watch().HasRoomFor(1000));
  Compact();
  EXPECT_EQ(AlarmsAt(follower_), AlarmOf(follower_));
}

}  // namespace
}  // namespace conclave::server
