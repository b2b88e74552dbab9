// /health and /version (reference: wire section 8).
#include "server/api/http_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class HttpRoutesTest : public ::testing::Test {
 protected:
  // The answer of `member`; asked for it as GET path?query.
  HttpResponse Get(const std::string& path, const std::string& query = "", size_t member = 0) {
    std::optional<HttpResponse> answer;
    const auto routes = HealthAndVersionRoutes(
        api_.member(member).context(), [this](bool healthy) { observed_.push_back(healthy); });
    for (const HttpRoute& route : routes) {
      if (route.path != path) continue;
      EXPECT_EQ(route.method, "GET");
      route.handler({.method = "GET", .path = path, .query = query, .headers = {}, .body = {}},
                    [&](HttpResponse response) { answer = std::move(response); });
    }
    for (int i = 0; i < 10'000 && !answer.has_value(); ++i) api_.Run(Milliseconds(1));
    return answer.value();
  }

  void Activate(etcdserverpb::AlarmType type) {
    etcdserverpb::AlarmRequest request;
    request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
    request.set_alarm(type);
    request.set_memberid(1);
    ASSERT_TRUE(api_.StatusOf("/etcdserverpb.Maintenance/Alarm", request).ok());
    api_.Run(Seconds(1));
  }

  TestApi api_{3, {.reported_version = "3.6.14"}};
  std::vector<bool> observed_;
};

TEST_F(HttpRoutesTest, HealthyMembersSaySo) {
  for (size_t member = 0; member < 3; ++member) {
    const HttpResponse response = Get("/health", "", member);
    EXPECT_EQ(response.code, 200);
    EXPECT_EQ(response.body, R"({"health":"true","reason":""})");
    EXPECT_EQ(response.content_type, "text/plain; charset=utf-8");
    EXPECT_THAT(response.headers, IsEmpty());
  }
  EXPECT_THAT(observed_, ElementsAre(true, true, true));
}

TEST_F(HttpRoutesTest, AnAlarmIsUnhealthyUnlessExcluded) {
  Activate(etcdserverpb::NOSPACE);
  const HttpResponse response = Get("/health");
  EXPECT_EQ(response.code, 503);
  EXPECT_EQ(response.body, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
  EXPECT_THAT(response.headers, ElementsAre(Pair("X-Content-Type-Options", "nosniff")));
  EXPECT_THAT(observed_, ElementsAre(false));
  EXPECT_EQ(Get("/health", "exclude=NOSPACE").code, 200);
  EXPECT_EQ(Get("/health", "exclude=CORRUPT").code, 503);
  EXPECT_EQ(Get("/health", "x=1&exclude=CORRUPT&exclude=NOSPACE&&y").code, 200);
  EXPECT_EQ(Get("/health", "serializable=true").code, 503);
  EXPECT_EQ(Get("/health", "serializable=true&exclude=NOSPACE").code, 200);
}

TEST_F(HttpRoutesTest, WithoutALeaderOnlySerializableIsHealthy) {
  const size_t alone = api_.follower();
  api_.cluster().Isolate(alone);
  api_.Run(Seconds(5));
  EXPECT_EQ(Get("/health", "", alone).body,
            "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
  EXPECT_EQ(Get("/health", "serializable=false", alone).code, 503);
  EXPECT_EQ(Get("/health", "serializable=true", alone).code, 200);
}

TEST_F(HttpRoutesTest, ALeaderThatLostItsQuorumWithoutKnowingIsUnhealthyInTheEnd) {
  const size_t leader = api_.leader();
  api_.cluster().Isolate(leader);
  EXPECT_EQ(Get("/health", "", leader).body,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
}

TEST_F(HttpRoutesTest, VersionIsWhatClientsAreTold) {
  const HttpResponse response = Get("/version");
  EXPECT_EQ(response.code, 200);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(response.body, R"({"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"})");
  EXPECT_THAT(observed_, IsEmpty());
}

}  // namespace
}  // namespace conclave::server
