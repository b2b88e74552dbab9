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
  SpaceWatchTest() {
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

  TestCluster cluster_{3, 7, Options()};
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

}  // namespace
}  // namespace conclave::server
