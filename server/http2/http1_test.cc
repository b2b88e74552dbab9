// Plain HTTP on the same port as gRPC.
#include "server/http2/http1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Http1Test : public ServerTest {
 protected:
  Http1Test() {
    routes_ = {{"GET", "/hello",
                [](const HttpRequest&, HttpRespond respond) { respond({.body = "hello"}); }},
               {"POST", "/echo",
                [](const HttpRequest& request, HttpRespond respond) {
                  respond({.content_type = "application/json", .body = request.body});
                }},
               {"GET", "/later", [this](const HttpRequest&, HttpRespond respond) {
                  later_.push_back(std::move(respond));
                }}};
    http_.cors_origins = {};
  }
  std::string Ask(RawClient& client, std::string_view request) {
    client.Write(request);
    loop_.RunUntilQuiet();
    return client.TakeReceived();
  }
  std::vector<HttpRespond> later_;
};

TEST_F(Http1Test, ServesARoute) {
  RawClient client(loop_.get(), Connect());
  EXPECT_EQ(Ask(client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 5\r\n\r\nhello");
  EXPECT_FALSE(client.disconnected()) << "keep-alive";
  EXPECT_THAT(Ask(client, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
              AllOf(HasSubstr("application/json"), EndsWith("\r\n\r\n{}")));
}

TEST_F(Http1Test, ClosesWhenTheClientWantsIt) {
  RawClient client(loop_.get(), Connect());
  EXPECT_THAT(Ask(client, "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n"),
              AllOf(HasSubstr("Connection: close\r\n"), EndsWith("hello")));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(Http1Test, PipelinedRequestsAreAnsweredInOrder) {
  RawClient client(loop_.get(), Connect());
  client.Write("GET /later HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\nGET /later HTTP/1.1\r\n\r\n");
  loop_.RunUntilQuiet();
  EXPECT_EQ(client.received(), "");
  ASSERT_EQ(later_.size(), 1u) << "one at a time";
  later_[0]({.body = "first"});
  later_[0]({.body = "again"});
  loop_.RunUntilQuiet();
  ASSERT_EQ(later_.size(), 2u);
  const std::string received = client.TakeReceived();
  EXPECT_LT(received.find("first"), received.find("hello"));
  EXPECT_THAT(received, Not(HasSubstr("again")));
  later_[1]({.body = "last"});
  loop_.RunUntilQuiet();
  EXPECT_THAT(client.TakeReceived(), EndsWith("last"));
}

TEST_F(Http1Test, AFloodOfPipelinedRequestsWaitsInTheKernel) {
  RawClient client(loop_.get(), Connect());
  std::string flood;
  for (int i = 0; i < 100'000; ++i) flood += "GET /later HTTP/1.1\r\n\r\n";
  client.Write(flood);
  loop_.RunUntilQuiet();
  ASSERT_EQ(later_.size(), 1u);
  for (size_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(loop_.RunUntil([&] { return later_.size() > i; }));
    later_[i]({.body = "x"});
  }
}

TEST_F(Http1Test, AnAnswerForAClientThatLeftIsIgnored) {
  RawClient client(loop_.get(), Connect());
  Ask(client, "GET /later HTTP/1.1\r\n\r\n");
  client.Disconnect();
  loop_.RunUntilQuiet();
  EXPECT_EQ(server_->connection_count(), 0u);
  later_.at(0)({.body = "too late"});
}

TEST_F(Http1Test, HeadHasNoBody) {
  routes_.push_back({"HEAD", "/hello", routes_[0].handler});
  RawClient client(loop_.get(), Connect());
  EXPECT_THAT(Ask(client, "HEAD /hello HTTP/1.1\r\n\r\n"),
              AllOf(HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(Http1Test, NoContentHasNoLength) {
  RawClient client(loop_.get(), Connect());
  Ask(client, "GET /later HTTP/1.1\r\n\r\n");
  later_.at(0)({.code = 204, .content_type = ""});
  loop_.RunUntilQuiet();
  EXPECT_EQ(client.received(), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(Http1Test, ContinuesWhoAsks) {
  RawClient client(loop_.get(), Connect());
  EXPECT_EQ(Ask(client, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(Ask(client, "body"), EndsWith("\r\n\r\nbody"));
}

TEST_F(Http1Test, RefusesAndCloses) {
  const struct {
    std::string request;
    const char* status;
  } cases[] = {
      {"GET / HTTP/3\r\n\r\n", "HTTP/1.1 505 "},
      {"GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n\r\n", "HTTP/1.1 431 "},
      {"POST /echo HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 413 "},
      {"POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
  };
  for (const auto& c : cases) {
    RawClient client(loop_.get(), Connect());
    EXPECT_THAT(Ask(client, c.request), StartsWith(c.status));
    EXPECT_TRUE(client.disconnected()) << c.status;
  }
}

TEST_F(Http1Test, UnknownPathsAndMethods) {
  RawClient client(loop_.get(), Connect());
  EXPECT_THAT(Ask(client, "GET /nothing HTTP/1.1\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"), EndsWith("404 page not found\n")));
  EXPECT_THAT(
      Ask(client, "PUT /hello HTTP/1.1\r\n\r\n"),
      AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"), HasSubstr("Allow: GET\r\n")));
  EXPECT_FALSE(client.disconnected());
}

TEST_F(Http1Test, BrowsersAreToldWhatTheyMayDo) {
  http_.cors_origins = {"*"};
  RawClient client(loop_.get(), Connect());
  EXPECT_THAT(
      Ask(client, "OPTIONS /echo HTTP/1.1\r\nOrigin: http://ui\r\n\r\n"),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Access-Control-Allow-Origin: *\r\n"),
            HasSubstr("Content-Length: 0\r\n")));
}

TEST_F(Http1Test, SlowRequestsTimeOutByStage) {
  const struct {
    std::string_view sent;
    Duration patience;
    bool told;
  } cases[] = {
      {"GET /hello HT", http2_.handshake_timeout, true},
      {"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", http2_.partial_frame_timeout, true},
      {"GET /hello HTTP/1.1\r\n\r\n", http2_.idle_timeout_http1, false},
  };
  for (const auto& c : cases) {
    RawClient client(loop_.get(), Connect());
    Ask(client, c.sent);
    loop_.Skip(c.patience - Seconds(1));
    EXPECT_FALSE(client.disconnected()) << c.sent;
    loop_.Skip(Seconds(2));
    EXPECT_TRUE(client.disconnected()) << c.sent;
    EXPECT_EQ(client.received().starts_with("HTTP/1.1 408 "), c.told) << c.sent;
  }
}

TEST_F(Http1Test, ADrippingHeadTimesOutAllTheSame) {
  RawClient client(loop_.get(), Connect());
  Ask(client, "GET /hello ");
  for (int i = 0; i < 20 && !client.disconnected(); ++i) {
    client.Write("x");
    loop_.Skip(Seconds(1));
  }
  EXPECT_TRUE(client.disconnected());
}

TEST_F(Http1Test, ASlowHandlerHasAllTheTimeItNeeds) {
  RawClient client(loop_.get(), Connect());
  Ask(client, "GET /later HTTP/1.1\r\n\r\n");
  loop_.Skip(Seconds(3600));
  EXPECT_FALSE(client.disconnected());
  later_.at(0)({.body = "done"});
  loop_.RunUntilQuiet();
  EXPECT_THAT(client.received(), EndsWith("done"));
}

TEST_F(Http1Test, AShutdownFinishesTheRequestUnderWayAndClosesTheIdle) {
  RawClient idle(loop_.get(), Connect());
  Ask(idle, "GET /hello HTTP/1.1\r\n\r\n");
  RawClient busy(loop_.get(), Connect());
  Ask(busy, "GET /later HTTP/1.1\r\n\r\n");
  bool done = false;
  server_->Shutdown(loop_->Now() + Seconds(10), [&] { done = true; });
  loop_.RunUntilQuiet();
  EXPECT_TRUE(idle.disconnected());
  EXPECT_FALSE(busy.disconnected());
  later_.at(0)({.body = "in time"});
  ASSERT_TRUE(loop_.RunUntil([&] { return done; }));
  EXPECT_THAT(busy.received(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("in time")));
}

}  // namespace
}  // namespace conclave::server
