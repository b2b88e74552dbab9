// The Lease service, and who knows how long a lease has left (reference: behaviour section 7).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseLeasesRequest;
using etcdserverpb::LeaseLeasesResponse;
using etcdserverpb::LeaseRevokeRequest;
using etcdserverpb::LeaseRevokeResponse;
using etcdserverpb::LeaseTimeToLiveRequest;
using etcdserverpb::LeaseTimeToLiveResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kGrant[] = "/etcdserverpb.Lease/LeaseGrant";
constexpr char kRevoke[] = "/etcdserverpb.Lease/LeaseRevoke";
constexpr char kKeepAlive[] = "/etcdserverpb.Lease/LeaseKeepAlive";
constexpr char kTimeToLive[] = "/etcdserverpb.Lease/LeaseTimeToLive";
constexpr char kLeases[] = "/etcdserverpb.Lease/LeaseLeases";

LeaseGrantRequest GrantOf(int64_t id, int64_t ttl) {
  LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl);
  return request;
}

template <typename Request>
Request Of(int64_t id) {
  Request request;
  request.set_id(id);
  return request;
}

LeaseTimeToLiveRequest WithKeys(int64_t id) {
  auto request = Of<LeaseTimeToLiveRequest>(id);
  request.set_keys(true);
  return request;
}

void KeepAlive(FakeCall& call, int64_t id) { call.ReceiveMessage(Of<LeaseKeepAliveRequest>(id)); }

// The answers sent since the last look, each as its id and TTL.
std::vector<std::pair<int64_t, int64_t>> Answers(FakeCall& call) {
  std::vector<std::pair<int64_t, int64_t>> answers;
  for (const auto& sent : call.TakeSent<LeaseKeepAliveResponse>()) {
    answers.emplace_back(sent.id(), sent.ttl());
  }
  return answers;
}

TEST(LeaseServiceTest, GrantsRaiseSmallTimesAndRefuseHugeOnes) {
  TestApi api;
  EXPECT_EQ(api.Ask<LeaseGrantResponse>(kGrant, GrantOf(10, 60))->ttl(), 60);
  EXPECT_EQ(api.Ask<LeaseGrantResponse>(kGrant, GrantOf(11, 1))->ttl(), 2);
  EXPECT_EQ(api.Ask<LeaseGrantResponse>(kGrant, GrantOf(12, -5))->ttl(), 2);
  EXPECT_EQ(api.Ask<LeaseGrantResponse>(kGrant, GrantOf(-1, 60))->id(), -1);
  EXPECT_EQ(api.Ask<LeaseGrantResponse>(kGrant, GrantOf(13, 9'000'000'000))->ttl(), 9'000'000'000);
  EXPECT_EQ(api.StatusOf(kGrant, GrantOf(14, 9'000'000'001)), kv::ErrLeaseTtlTooLarge());
  EXPECT_EQ(api.StatusOf(kGrant, GrantOf(10, 60)), kv::ErrLeaseExists());
}

TEST(LeaseServiceTest, IdsThatTheServerChoosesArePositiveAndDiffer) {
  TestApi api;
  std::set<int64_t> ids;
  for (int i = 0; i < 20; ++i) {
    const int64_t id = api.Ask<LeaseGrantResponse>(kGrant, GrantOf(0, 60))->id();
    EXPECT_GT(id, 0);
    EXPECT_EQ(id >> 48, 1) << "begins with the member id";
    EXPECT_TRUE(ids.insert(id).second);
  }
}

TEST(LeaseServiceTest, HeadersHaveTheRevisionAndGrantsDoNotChangeIt) {
  TestApi api;
  ExpectHeader(api, api.Ask<LeaseGrantResponse>(kGrant, GrantOf(10, 60))->header(), 1);
  ASSERT_EQ(api.Put("a", "1", 10), 2);
  ExpectHeader(api, api.Ask<LeaseLeasesResponse>(kLeases, LeaseLeasesRequest())->header(), 2);
  ExpectHeader(api, api.Ask<LeaseTimeToLiveResponse>(kTimeToLive, WithKeys(10))->header(), 2);
  const auto call = api.Start(0, kKeepAlive);
  KeepAlive(*call, 10);
  api.Run(Milliseconds(100));
  ExpectHeader(api, call->TakeSent<LeaseKeepAliveResponse>().at(0).header(), 2);
  // Its keys went in one revision, which the answer shows.
  ExpectHeader(api, api.Ask<LeaseRevokeResponse>(kRevoke, Of<LeaseRevokeRequest>(10))->header(), 3);
  EXPECT_EQ(api.cluster().Get(0, "a"), "(none)");
}

TEST(LeaseServiceTest, RevokeOfAnUnknownLeaseIsNotFound) {
  TestApi api;
  EXPECT_EQ(api.StatusOf(kRevoke, Of<LeaseRevokeRequest>(10)), kv::ErrLeaseNotFound());
}

TEST(LeaseServiceTest, LeasesAreListedByRemainingTime) {
  TestApi api;
  api.Grant(10, 300);
  api.Grant(20, 100);
  api.Grant(30, 200);
  const auto response = *api.Ask<LeaseLeasesResponse>(kLeases, LeaseLeasesRequest());
  std::vector<int64_t> ids;
  for (const auto& lease : response.leases()) ids.push_back(lease.id());
  EXPECT_THAT(ids, ElementsAre(20, 30, 10));
}

TEST(LeaseServiceTest, TimeToLiveCountsDownAndNamesTheKeys) {
  TestApi api;
  api.Grant(10, 60);
  api.Put("b", "1", 10);
  api.Put("a", "1", 10);
  api.Run(Seconds(10));
  const auto with_keys = *api.Ask<LeaseTimeToLiveResponse>(kTimeToLive, WithKeys(10));
  EXPECT_EQ(with_keys.id(), 10);
  EXPECT_EQ(with_keys.ttl(), 49);  // truncated
  EXPECT_EQ(with_keys.grantedttl(), 60);
  EXPECT_THAT(with_keys.keys(), ElementsAre("a", "b"));
  const auto without =
      *api.Ask<LeaseTimeToLiveResponse>(kTimeToLive, Of<LeaseTimeToLiveRequest>(10));
  EXPECT_THAT(without.keys(), IsEmpty());
}

TEST(LeaseServiceTest, TimeToLiveOfAnUnknownLeaseIsMinusOne) {
  TestApi api;
  const auto response = api.Ask<LeaseTimeToLiveResponse>(kTimeToLive, WithKeys(77));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->id(), 77);
  EXPECT_EQ(response->ttl(), -1);
  EXPECT_EQ(response->grantedttl(), 0);
}

TEST(KeepAliveTest, RenewalsKeepALeaseThatWouldRunOut) {
  TestApi api;
  api.Grant(10, 5);
  api.Put("a", "1", 10);
  const auto call = api.Start(0, kKeepAlive);
  for (int i = 0; i < 5; ++i) {
    api.Run(Seconds(4));
    KeepAlive(*call, 10);
    api.Run(Milliseconds(10));
    EXPECT_THAT(Answers(*call), ElementsAre(std::make_pair(10, 5)));
  }
  EXPECT_EQ(api.cluster().Get(0, "a"), "1");
  api.Run(Seconds(7));
  EXPECT_EQ(api.cluster().Get(0, "a"), "(none)");
}

TEST(KeepAliveTest, AnUnknownLeaseGetsZeroAndTheStreamGoesOn) {
  TestApi api;
  api.Grant(10, 60);
  const auto call = api.Start(0, kKeepAlive);
  KeepAlive(*call, 77);
  api.Run(Milliseconds(100));
  EXPECT_THAT(Answers(*call), ElementsAre(std::make_pair(77, 0)));
  KeepAlive(*call, 10);
  api.Run(Milliseconds(100));
  EXPECT_THAT(Answers(*call), ElementsAre(std::make_pair(10, 60)));
  EXPECT_FALSE(call->status().has_value());
}

TEST(KeepAliveTest, ALeaseThatHasJustRunOutIsCertainlyGoneWhenItIsAnsweredWithZero) {
  TestApi api(3);
  const size_t leader = api.leader();
  api.Grant(10, 5);
  api.Put("a", "1", 10);
  const auto call = api.Start(leader, kKeepAlive);
  while (!api.cluster().store(leader).lessor().Expiring(10,
                                                        api.cluster().node(leader).lane()->Now())) {
    api.Run(Milliseconds(1));
  }
  KeepAlive(*call, 10);
  while (call->sent().empty()) api.Run(Milliseconds(1));
  EXPECT_FALSE(api.cluster().store(leader).lessor().Exists(10));
  EXPECT_THAT(Answers(*call), ElementsAre(std::make_pair(10, 0)));
}

TEST(KeepAliveTest, HalfCloseEndsTheStreamAfterWhatWasAsked) {
  TestApi api;
  api.Grant(10, 60);
  const auto call = api.Start(0, kKeepAlive);
  for (int64_t id : {10, 77, 10}) KeepAlive(*call, id);
  call->HalfClose();
  EXPECT_FALSE(call->status().has_value());
  api.Run(Milliseconds(100));
  EXPECT_THAT(Answers(*call),
              ElementsAre(std::make_pair(10, 60), std::make_pair(77, 0), std::make_pair(10, 60)));
  EXPECT_EQ(call->status(), absl::OkStatus());
}

TEST(KeepAliveTest, HalfCloseOfAnIdleStreamEndsItAtOnce) {
  TestApi api;
  const auto call = api.Start(0, kKeepAlive);
  call->HalfClose();
  EXPECT_EQ(call->status(), absl::OkStatus());
}

TEST(KeepAliveTest, MalformedRequestsEndTheStream) {
  TestApi api;
  const auto call = api.Start(0, kKeepAlive);
  call->Receive("\xff\xff\xff");
  EXPECT_TRUE(absl::IsInternal(call->status().value()));
}

TEST(KeepAliveTest, AClientThatFloodsIsNotReadFrom) {
  TestApi api;
  api.Grant(10, 60);
  const auto call = api.Start(0, kKeepAlive);
  for (int i = 0; i < 2000; ++i) KeepAlive(*call, 10);
  EXPECT_TRUE(call->reading_paused());
  api.Run(Seconds(1));
  EXPECT_FALSE(call->reading_paused());
  EXPECT_EQ(call->sent().size(), 2000u);
}

TEST(KeepAliveTest, AClientThatTakesNoAnswersIsNotAskedForMore) {
  TestApi api;
  api.Grant(10, 60);
  const auto call = api.Start(0, kKeepAlive);
  call->BlockOutput(1 << 20);
  for (int i = 0; i < 2000; ++i) KeepAlive(*call, 10);
  api.Run(Seconds(1));
  EXPECT_TRUE(call->reading_paused());
  EXPECT_THAT(call->sent(), IsEmpty());
  call->UnblockOutput();
  api.Run(Seconds(1));
  EXPECT_FALSE(call->reading_paused());
  EXPECT_EQ(call->sent().size(), 2000u);
}

TEST(KeepAliveTest, AStreamWithoutALeaderEndsAfterTheRequestTimeout) {
  TestApi api(3);
  const size_t alone = api.follower();
  api.cluster().Isolate(alone);
  api.Run(Seconds(5));
  const auto call = api.Start(alone, kKeepAlive);
  KeepAlive(*call, 10);
  api.Run(Milliseconds(6800));
  EXPECT_FALSE(call->status().has_value());
  api.Run(Milliseconds(300));
  EXPECT_EQ(call->status(), kv::ErrNoLeader());
}

TEST(KeepAliveTest, TheAnswerToAClientThatLeftGoesNowhere) {
  TestApi api;
  api.Grant(10, 60);
  const auto call = api.Start(0, kKeepAlive);
  KeepAlive(*call, 10);
  call->Close();
  api.Run(Seconds(1));
  EXPECT_THAT(call->sent(), IsEmpty());
}

}  // namespace
}  // namespace conclave::server
