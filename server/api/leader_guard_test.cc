// Clients that ask for a leader are told when there is none (reference: wire section 1.1).
#include "server/api/leader_guard.h"

#include <gtest/gtest.h>

#include "kvstore/errors.h"
#include "raft/base/manual_executor.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

constexpr raft::NodeId kLeader{2};

class LeaderGuardTest : public ::testing::Test {
 protected:
  void Leader(raft::NodeId leader) {
    guard_.OnRoleChange(
        {.role = raft::RoleName::kFollower, .term = raft::Term(1), .leader = leader});
  }

  ManualExecutor lane_;
  LeaderGuard guard_{&lane_, Seconds(1)};
  std::shared_ptr<FakeCall> call_ = std::make_shared<FakeCall>();
};

TEST_F(LeaderGuardTest, StreamsEndAfterThreeElectionTimeoutsWithoutALeader) {
  Leader(kLeader);
  guard_.Watch(call_);
  lane_.Advance(Seconds(100));
  Leader(raft::kNoNode);
  lane_.Advance(Seconds(2));
  Leader(raft::kNoNode);  // another fruitless election does not begin the count anew
  lane_.Advance(Milliseconds(999));
  EXPECT_FALSE(call_->status().has_value());
  lane_.Advance(Milliseconds(1));
  EXPECT_EQ(call_->status(), kv::ErrNoLeader());
}

TEST_F(LeaderGuardTest, ALeaderInTimeSavesThem) {
  guard_.Watch(call_);
  for (int i = 0; i < 5; ++i) {
    Leader(raft::kNoNode);
    lane_.Advance(Milliseconds(2900));
    Leader(kLeader);
    lane_.Advance(Seconds(10));
  }
  EXPECT_FALSE(call_->status().has_value());
}

TEST_F(LeaderGuardTest, CallsThatAreOverAreForgotten) {
  std::weak_ptr<FakeCall> gone = call_;
  guard_.Watch(call_);
  call_.reset();
  EXPECT_TRUE(gone.expired());
  for (int i = 0; i < 1000; ++i) guard_.Watch(std::make_shared<FakeCall>());
  const auto last = std::make_shared<FakeCall>();
  guard_.Watch(last);
  Leader(raft::kNoNode);
  lane_.Advance(Seconds(3));
  EXPECT_EQ(last->status(), kv::ErrNoLeader());
}

class HasLeaderTest : public ::testing::Test {
 protected:
  void LoseLeader() {
    api_.cluster().Isolate(alone_);
    while (api_.cluster().node(alone_).leader() != raft::kNoNode) api_.Run(Milliseconds(10));
  }
  std::shared_ptr<FakeCall> Start(const char* path, const char* hasleader) {
    return api_.Start(alone_, path, {}, {{"hasleader", hasleader}});
  }

  TestApi api_{3};
  const size_t alone_ = api_.follower();
};

TEST_F(HasLeaderTest, EveryMethodFailsAtOnceWithoutALeader) {
  LoseLeader();
  for (const Method* method : api_.member(alone_).methods().All()) {
    if (method->kind == MethodKind::kServerStream) continue;  // health only
    EXPECT_EQ(Start(method->path.c_str(), "true")->status(), kv::ErrNoLeader()) << method->path;
  }
}

TEST_F(HasLeaderTest, OnlyTheValueTrueCounts) {
  LoseLeader();
  for (const char* value : {"false", "1", "True", ""}) {
    EXPECT_FALSE(Start("/etcdserverpb.Watch/Watch", value)->status().has_value()) << value;
  }
}

TEST_F(HasLeaderTest, WithALeaderNothingIsRefused) {
  EXPECT_FALSE(Start("/etcdserverpb.Watch/Watch", "true")->status().has_value());
  EXPECT_TRUE(Start("/etcdserverpb.Lease/LeaseLeases", "true")->status()->ok());
}

TEST_F(HasLeaderTest, OpenStreamsOfThoseWhoAskedEndLater) {
  const auto watch = Start("/etcdserverpb.Watch/Watch", "true");
  const auto keep_alive = Start("/etcdserverpb.Lease/LeaseKeepAlive", "true");
  const auto patient = Start("/etcdserverpb.Watch/Watch", "false");
  LoseLeader();
  api_.Run(Milliseconds(2900));
  EXPECT_FALSE(watch->status().has_value());
  api_.Run(Milliseconds(200));
  EXPECT_EQ(watch->status(), kv::ErrNoLeader());
  EXPECT_EQ(keep_alive->status(), kv::ErrNoLeader());
  EXPECT_FALSE(patient->status().has_value());
}

}  // namespace
}  // namespace conclave::server
