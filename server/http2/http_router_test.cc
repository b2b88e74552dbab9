#include "server/http2/http_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace conclave::server {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Pair;

class HttpRouterTest : public ::testing::Test {
 protected:
  HttpRouterTest() {
    Add("GET", "/health");
    Add("GET", "/livez");
    Add("GET", "/livez/");
    Add("GET", "/livez/deep/");
    Add("POST", "/both");
    Add("PUT", "/both");
  }
  void Add(std::string method, std::string path) {
    routes_.push_back({method, path, [path](const HttpRequest& request, HttpRespond respond) {
                         respond({.body = request.method + " " + path});
                       }});
  }
  HttpResponse Ask(std::string method, std::string path, std::string host = "a:1") {
    HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.headers = {{"host", std::move(host)}};
    std::optional<HttpResponse> response;
    router_.Dispatch(request, [&](HttpResponse r) { response = std::move(r); });
    EXPECT_TRUE(response.has_value());
    return response.value_or(HttpResponse{});
  }
  std::vector<HttpRoute> routes_;
  HttpOptions options_;
  HttpRouter router_{&routes_, &options_};
};

TEST_F(HttpRouterTest, TakesTheLongestRouteThatMatches) {
  EXPECT_EQ(Ask("GET", "/health").body, "GET /health");
  EXPECT_EQ(Ask("GET", "/livez").body, "GET /livez");
  EXPECT_EQ(Ask("GET", "/livez/x").body, "GET /livez/");
  EXPECT_EQ(Ask("GET", "/livez/deep/x").body, "GET /livez/deep/");
  EXPECT_EQ(Ask("PUT", "/both").body, "PUT /both");
}

TEST_F(HttpRouterTest, UnknownPathsGetGos404) {
  for (const char* path : {"/", "/healthy", "/health/", "/heal", "/v2/keys"}) {
    const HttpResponse response = Ask("GET", path);
    EXPECT_EQ(response.code, 404) << path;
    EXPECT_EQ(response.body, "404 page not found\n");
    EXPECT_EQ(response.content_type, "text/plain; charset=utf-8");
  }
}

TEST_F(HttpRouterTest, WrongMethodsGet405AndWhatIsAllowed) {
  const HttpResponse response = Ask("POST", "/health");
  EXPECT_EQ(response.code, 405);
  EXPECT_EQ(response.body, "Method Not Allowed\n");
  EXPECT_THAT(response.headers, Contains(Pair("Allow", "GET")));
  EXPECT_EQ(Ask("HEAD", "/health").code, 405);
  EXPECT_THAT(Ask("GET", "/both").headers, Contains(Pair("Allow", "POST, PUT")));
}

TEST_F(HttpRouterTest, OptionsIsAnsweredForAnyPath) {
  EXPECT_EQ(Ask("OPTIONS", "/anything").code, 200);
  EXPECT_EQ(Ask("OPTIONS", "/health").body, "");
}

TEST_F(HttpRouterTest, OnlyWhitelistedHostsAreServed) {
  options_.host_whitelist = {"db.example", "[::1]", "10.0.0.1"};
  EXPECT_EQ(Ask("GET", "/health", "db.example:2379").code, 200);
  EXPECT_EQ(Ask("GET", "/health", "db.example").code, 200);
  EXPECT_EQ(Ask("GET", "/health", "[::1]:2379").code, 200);
  EXPECT_EQ(Ask("GET", "/health", "[::1]").code, 200);
  EXPECT_EQ(Ask("GET", "/health", "10.0.0.1:80").code, 200);
  EXPECT_EQ(Ask("GET", "/health", "evil.example:2379").code, 421);
  EXPECT_EQ(Ask("GET", "/health", "").code, 421);
}

TEST_F(HttpRouterTest, TellsBrowsersWhichOriginsMayCall) {
  HttpRequest request;
  request.headers = {{"origin", "http://ui.example"}};
  EXPECT_THAT(router_.CommonHeaders(request), Contains(Pair("Access-Control-Allow-Origin", "*")));
  options_.cors_origins = {"http://ui.example"};
  EXPECT_THAT(router_.CommonHeaders(request),
              Contains(Pair("Access-Control-Allow-Origin", "http://ui.example")));
  options_.cors_origins = {"http://other.example"};
  EXPECT_THAT(router_.CommonHeaders(request), IsEmpty());
}

}  // namespace
}  // namespace conclave::server
