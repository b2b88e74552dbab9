// A follower asks the leader about leases; what the leader answers to other members (reference:
// behaviour section 7).
#include "server/api/lease_keeper.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseTimeToLiveRequest;
using etcdserverpb::LeaseTimeToLiveResponse;

template <typename Response>
using Received = std::shared_ptr<std::optional<absl::StatusOr<Response>>>;

Received<LeaseKeepAliveResponse> KeepAlive(TestApi& api, size_t member, int64_t id) {
  auto received = std::make_shared<std::optional<absl::StatusOr<LeaseKeepAliveResponse>>>();
  LeaseKeepAliveRequest request;
  request.set_id(id);
  api.member(member).leases().KeepAlive(
      request, [received](absl::StatusOr<LeaseKeepAliveResponse> r) { *received = std::move(r); });
  return received;
}

Received<LeaseTimeToLiveResponse> TimeToLive(TestApi& api, size_t member, int64_t id) {
  auto received = std::make_shared<std::optional<absl::StatusOr<LeaseTimeToLiveResponse>>>();
  LeaseTimeToLiveRequest request;
  request.set_id(id);
  api.member(member).leases().TimeToLive(
      request, [received](absl::StatusOr<LeaseTimeToLiveResponse> r) { *received = std::move(r); });
  return received;
}

TEST(LeaseKeeperTest, AFollowerPassesTheQuestionOn) {
  TestApi api(3);
  api.Grant(10, 60);
  const size_t follower = api.follower();
  const auto renewed = KeepAlive(api, follower, 10);
  const auto remaining = TimeToLive(api, follower, 10);
  const auto unknown = KeepAlive(api, follower, 77);
  const auto unknown_time = TimeToLive(api, follower, 77);
  api.Run(Milliseconds(100));
  EXPECT_EQ(renewed->value()->ttl(), 60);
  EXPECT_EQ(remaining->value()->ttl(), 59);
  EXPECT_EQ(remaining->value()->grantedttl(), 60);
  EXPECT_EQ(unknown->value()->ttl(), 0);
  EXPECT_EQ(unknown_time->value()->ttl(), -1);
  EXPECT_EQ(api.member(follower).peers().asked(), 4u);
}

TEST(LeaseKeeperTest, ARenewalThroughAFollowerCounts) {
  TestApi api(3);
  api.Grant(10, 5);
  for (int i = 0; i < 5; ++i) {
    api.Run(Seconds(4));
    const auto renewed = KeepAlive(api, api.follower(), 10);
    api.Run(Milliseconds(100));
    EXPECT_EQ(renewed->value()->ttl(), 5);
  }
}

TEST(LeaseKeeperTest, AConnectionThatComesBackInTimeIsWaitedFor) {
  TestApi api(3);
  api.Grant(10, 60);
  const size_t follower = api.follower();
  api.member(follower).peers().set_failure(kv::ErrNoLeader());
  const auto renewed = KeepAlive(api, follower, 10);
  api.Run(Seconds(3));
  EXPECT_FALSE(renewed->has_value());
  api.member(follower).peers().set_failure(absl::OkStatus());
  api.Run(Milliseconds(200));
  EXPECT_EQ(renewed->value()->ttl(), 60);
}

TEST(LeaseKeeperTest, AConnectionThatStaysAwayEndsInNoLeader) {
  TestApi api(3);
  const size_t follower = api.follower();
  api.member(follower).peers().set_failure(kv::ErrNoLeader());
  const auto renewed = KeepAlive(api, follower, 10);
  api.Run(Milliseconds(6800));
  EXPECT_FALSE(renewed->has_value());
  api.Run(Milliseconds(300));
  EXPECT_EQ(renewed->value().status(), kv::ErrNoLeader());
}

TEST(LeaseKeeperTest, OtherErrorsOfThePeerAreNotTriedAgain) {
  TestApi api(3);
  const size_t follower = api.follower();
  api.member(follower).peers().set_failure(kv::ErrTimeout());
  const auto renewed = KeepAlive(api, follower, 10);
  api.Run(Milliseconds(1));
  EXPECT_EQ(renewed->value().status(), kv::ErrTimeout());
  EXPECT_EQ(api.member(follower).peers().asked(), 1u);
}

TEST(LeaseKeeperTest, TheNewLeaderIsAskedWhenTheOldOneIsGone) {
  TestApi api(3);
  api.Grant(10, 60);
  const size_t old_leader = api.leader();
  const size_t follower = api.follower();
  api.cluster().Isolate(old_leader);
  api.member(follower).peers().set_failure(kv::ErrNoLeader());
  const auto renewed = KeepAlive(api, follower, 10);
  api.Run(Seconds(4));
  api.member(follower).peers().set_failure(absl::OkStatus());
  api.Run(Milliseconds(500));
  EXPECT_NE(api.cluster().node(follower).leader(), api.cluster().node(old_leader).id());
  EXPECT_EQ(renewed->value()->ttl(), 60);
}

// It may have been deposed without knowing, and its successor may let the lease run out.
TEST(LeaseKeeperTest, ALeaderWithoutAQuorumRenewsNothing) {
  TestApi api(3);
  api.Grant(10, 60);
  const size_t leader = api.leader();
  api.cluster().Isolate(leader);
  const auto renewed = KeepAlive(api, leader, 10);
  api.Run(Seconds(15));
  EXPECT_FALSE(renewed->value().ok());
}

// What the member that leads now would say.
int64_t RemainingNow(TestApi& api, int64_t id) {
  const auto remaining = TimeToLive(api, api.leader(), id);
  api.Run(Milliseconds(100));
  return remaining->value()->ttl();
}

void ChangeLeader(TestApi& api) {
  const size_t old_leader = api.leader();
  api.cluster().Isolate(old_leader);
  api.Run(Seconds(4));
  api.cluster().Heal();
  api.Run(Seconds(1));
  ASSERT_NE(api.leader(), old_leader);
}

TEST(LeaseKeeperTest, ANewLeaderGivesALeaseNoMoreThanItHadLeft) {
  TestApi api(3);
  api.Grant(10, 300);
  api.Run(Seconds(200));
  ChangeLeader(api);
  EXPECT_LE(RemainingNow(api, 10), 130);
  EXPECT_GE(RemainingNow(api, 10), 90);
}

// The answer to the renewal comes only once a new leader cannot go by what was left before.
TEST(LeaseKeeperTest, ARenewalIsWorthItsTtlUnderTheNextLeaderToo) {
  TestApi api(3);
  api.Grant(10, 300);
  api.Run(Seconds(200));
  const size_t leader = api.leader();
  ASSERT_TRUE(api.cluster().store(leader).lessor().Checkpointed(10));
  const auto renewed = KeepAlive(api, leader, 10);
  while (!renewed->has_value()) {
    EXPECT_TRUE(api.cluster().store(leader).lessor().Checkpointed(10));
    api.Run(Milliseconds(1));
  }
  EXPECT_EQ(renewed->value()->ttl(), 300);
  EXPECT_FALSE(api.cluster().store(leader).lessor().Checkpointed(10)) << "before the answer";
  ChangeLeader(api);
  EXPECT_GE(RemainingNow(api, 10), 290);
}

TEST(LeaseKeeperTest, AMemberThatDoesNotLeadSaysSoToItsPeers) {
  TestApi api(3);
  LeaseKeepAliveRequest request;
  request.set_id(10);
  const auto answer = api.member(api.follower())
                          .peers()
                          .Ask(PeerMethod::kLeaseKeepAlive, request.SerializeAsString());
  api.Run(Milliseconds(100));
  EXPECT_EQ(answer->value().status(), kv::ErrNotPrimaryLessor());
}

TEST(LeaseKeeperTest, MalformedQuestionsOfPeersAreRefused) {
  TestApi api;
  TestPeerCalls& peers = api.member(0).peers();
  EXPECT_TRUE(absl::IsInvalidArgument(
      peers.Ask(PeerMethod::kLeaseKeepAlive, "\xff\xff")->value().status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      peers.Ask(PeerMethod::kLeaseTimeToLive, "\xff\xff")->value().status()));
}

}  // namespace
}  // namespace conclave::server
