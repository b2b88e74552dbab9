// The member list, and the health service (reference: behaviour section 9.2, wire section 9).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvstore/errors.h"
#include "kvstore/proto/health.pb.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;

constexpr char kMemberList[] = "/etcdserverpb.Cluster/MemberList";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kHealthWatch[] = "/grpc.health.v1.Health/Watch";

MemberListRequest ListRequest(bool linearizable) {
  MemberListRequest request;
  request.set_linearizable(linearizable);
  return request;
}

HealthCheckRequest HealthOf(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

TEST(MemberListTest, HasEveryMemberById) {
  TestApi api(3);
  for (bool linearizable : {false, true}) {
    const auto response =
        api.Ask<MemberListResponse>(kMemberList, ListRequest(linearizable), /*member=*/1);
    ASSERT_TRUE(response.ok()) << response.status();
    ExpectHeader(api, response->header(), /*revision=*/0, /*member=*/1);
    std::vector<std::pair<uint64_t, std::string>> members;
    for (const auto& member : response->members()) {
      members.emplace_back(member.id(), member.name());
    }
    EXPECT_THAT(members, ElementsAre(std::make_pair(1, "m0"), std::make_pair(2, "m1"),
                                     std::make_pair(3, "m2")));
  }
}

TEST(MemberListTest, OnlyTheLinearizableOneNeedsAQuorum) {
  TestApi api(3);
  const size_t alone = api.follower();
  api.cluster().Isolate(alone);
  api.Run(Seconds(5));
  EXPECT_EQ(api.Ask<MemberListResponse>(kMemberList, ListRequest(false), alone)->members_size(), 3);
  EXPECT_EQ(api.StatusOf(kMemberList, ListRequest(true), alone), kv::ErrTimeout());
}

TEST(HealthServiceTest, OnlyTheWholeServerIsKnown) {
  TestApi api;
  EXPECT_EQ(api.Ask<HealthCheckResponse>(kHealthCheck, HealthOf(""))->status(),
            HealthCheckResponse::SERVING);
  EXPECT_TRUE(absl::IsNotFound(api.StatusOf(kHealthCheck, HealthOf("etcdserverpb.KV"))));
}

TEST(HealthServiceTest, AWatchGetsOneAnswerAndStaysOpen) {
  TestApi api;
  const auto known = api.Start(0, kHealthWatch, HealthOf("").SerializeAsString());
  const auto unknown = api.Start(0, kHealthWatch, HealthOf("x").SerializeAsString());
  api.Run(Seconds(10));
  EXPECT_EQ(known->TakeSent<HealthCheckResponse>().at(0).status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(unknown->TakeSent<HealthCheckResponse>().at(0).status(),
            HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_FALSE(known->status().has_value());
  EXPECT_FALSE(unknown->status().has_value());
}

}  // namespace
}  // namespace conclave::server
