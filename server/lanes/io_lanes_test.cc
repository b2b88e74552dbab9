// Real threads: the services on the test's own lane, connections on others.
#include "server/lanes/io_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "raft/base/posix_clock.h"
#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;

class IoLanesTest : public ServerTest {
 protected:
  static constexpr size_t kLanes = 2;

  ~IoLanesTest() override { lanes_.reset(); }

  void Start() {
    ServerContext context;
    context.loop = loop_.get();
    context.methods = &methods_;
    context.routes = routes_;
    context.http2 = http2_;
    context.observer = &observer_;
    lanes_ = std::make_unique<IoLanes>(kLanes, &clock_, context);
  }
  ScopedFd ConnectToLane() {
    if (lanes_ == nullptr) Start();
    auto [servers, clients] = MakeSocketPair();
    lanes_->Serve(std::move(servers));
    return std::move(clients);
  }
  std::unique_ptr<TestClient> NewLaneClient(TestClient::Options options = {}) {
    return std::make_unique<TestClient>(loop_.get(), ConnectToLane(), options);
  }
  bool AllClosed(std::vector<std::unique_ptr<TestClient>>& clients, size_t calls) {
    return loop_.RunUntil([&] {
      size_t closed = 0;
      for (const auto& client : clients) closed += client->closed_count();
      return closed == calls;
    });
  }

  PosixClock clock_;
  std::unique_ptr<IoLanes> lanes_;
};

TEST_F(IoLanesTest, ManyCallsOfManyConnectionsAreEachAnswered) {
  constexpr int kClients = 6;
  constexpr int kCalls = 300;
  std::vector<std::unique_ptr<TestClient>> clients;
  std::vector<std::vector<int32_t>> ids(kClients);
  for (int i = 0; i < kClients; ++i) clients.push_back(NewLaneClient());
  for (int call = 0; call < kCalls; ++call) {
    for (int i = 0; i < kClients; ++i) {
      ids[i].push_back(clients[i]->Call(kEcho, std::to_string(1000 * i + call)));
    }
  }
  ASSERT_TRUE(AllClosed(clients, kClients * kCalls));
  for (int i = 0; i < kClients; ++i) {
    for (int call = 0; call < kCalls; ++call) {
      EXPECT_THAT(clients[i]->call(ids[i][call]).Messages(),
                  ElementsAre(std::to_string(1000 * i + call)));
    }
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return observer_.handled.size() == kClients * kCalls; }));
  EXPECT_EQ(observer_.started, kClients * kCalls);
  EXPECT_THAT(observer_.handled,
              Each(Eq(std::make_pair(std::string(kEcho), absl::StatusCode::kOk))));
}

TEST_F(IoLanesTest, AnAnswerMayComeLater) {
  auto client = NewLaneClient();
  const int32_t id = client->Call(kHold, "x");
  ASSERT_TRUE(loop_.RunUntil([&] { return held_.size() == 1; }));
  held_.at(0)->SendBytes("later");
  held_.at(0)->Finish(absl::OkStatus());
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("later"));
}

TEST_F(IoLanesTest, AStreamGoesBothWays) {
  auto client = NewLaneClient();
  const int32_t id = client->Open(kChat);
  std::vector<std::string> sent;
  for (int i = 0; i < 200; ++i) {
    sent.push_back(std::to_string(i));
    client->Send(id, sent.back(), i == 199);
  }
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).Messages(), sent);
  EXPECT_TRUE(loop_.RunUntil([&] { return closed_ == 1; }));
}

TEST_F(IoLanesTest, AFastReaderGetsAStreamOfAnyLength) {
  auto client = NewLaneClient({.grant_windows = true, .stream_window = 1 << 20});
  const int32_t id = client->Call(kProduce, "");
  ASSERT_TRUE(loop_.RunUntil([&] { return client->call(id).body.size() > (16u << 20); }));
  client->Reset(id);
  EXPECT_TRUE(loop_.RunUntil([&] { return closed_ == 1; }));
}

TEST_F(IoLanesTest, AReaderThatDoesNotReadStopsTheProducer) {
  auto client = NewLaneClient({.grant_windows = false, .stream_window = 65535});
  const int32_t id = client->Call(kProduce, "");
  ASSERT_TRUE(loop_.RunUntil([&] { return client->call(id).body.size() == 65535; }));
  loop_.RunUntilQuiet();
  EXPECT_LE(static_cast<size_t>(produced_) * kProducedBytes,
            http2_.call_output_high_mark + 65535 + kProducedBytes);
}

TEST_F(IoLanesTest, ADeadlineEndsTheCallOnBothLanes) {
  auto client = NewLaneClient();
  const int32_t id = client->Call(kHold, "x", {{"grpc-timeout", "50m"}});
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).status(), 4);
  ASSERT_TRUE(loop_.RunUntil([&] { return held_.size() == 1 && !held_.at(0)->open(); }));
  EXPECT_NE(held_.at(0)->deadline(), kNever);
  held_.at(0)->SendBytes("too late");
  held_.at(0)->Finish(absl::OkStatus());
  loop_.RunUntilQuiet();
}

TEST_F(IoLanesTest, PlainHttpIsServedByTheServicesLane) {
  routes_.push_back({"GET", "/hello", [this](const HttpRequest& request, HttpRespond respond) {
                       loop_->Post([query = request.query, respond] {
                         respond({.body = "hello " + query, .headers = {}});
                       });
                     }});
  RawClient client(loop_.get(), ConnectToLane());
  client.Write("GET /hello?you HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(loop_.RunUntil([&] { return client.received().ends_with("hello you"); }))
      << client.received();
  EXPECT_THAT(client.received(), HasSubstr("200 OK"));
}

TEST_F(IoLanesTest, ShutdownLetsCallsEnd) {
  auto client = NewLaneClient();
  const int32_t id = client->Call(kHold, "x");
  ASSERT_TRUE(loop_.RunUntil([&] { return held_.size() == 1; }));
  bool done = false;
  lanes_->Shutdown(clock_.Now() + Seconds(60), [&] { done = true; });
  ASSERT_TRUE(loop_.RunUntil([&] { return client->goaway().has_value(); }));
  EXPECT_FALSE(done);
  held_.at(0)->Finish(absl::OkStatus());
  ASSERT_TRUE(loop_.RunUntil([&] { return done && client->disconnected(); }));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(IoLanesTest, AfterItsLimitShutdownCutsCallsOff) {
  auto client = NewLaneClient();
  client->Open(kChat);
  ASSERT_TRUE(loop_.RunUntil([&] { return chats_.size() == 1; }));
  bool done = false;
  lanes_->Shutdown(clock_.Now() + Milliseconds(20), [&] { done = true; });
  EXPECT_TRUE(loop_.RunUntil([&] { return done && closed_ == 1; }));
}

TEST_F(IoLanesTest, DestroyingTheLanesClosesEveryCall) {
  auto first = NewLaneClient();
  auto second = NewLaneClient();
  first->Open(kChat);
  second->Open(kChat);
  first->Call(kHold, "x");
  ASSERT_TRUE(loop_.RunUntil([&] { return chats_.size() == 2 && held_.size() == 1; }));
  lanes_.reset();
  EXPECT_EQ(closed_, 2) << "at once";
  EXPECT_FALSE(held_.at(0)->open());
  held_.at(0)->SendBytes("to nobody");
  held_.at(0)->Abandon();
  loop_.RunUntilQuiet();
  EXPECT_TRUE(first->disconnected() && second->disconnected());
}

TEST(DefaultIoLanesTest, SmallMachinesHaveNone) {
  EXPECT_EQ(DefaultIoLanes(1), 0u);
  EXPECT_EQ(DefaultIoLanes(2), 0u);
  EXPECT_EQ(DefaultIoLanes(4), 1u);
  EXPECT_EQ(DefaultIoLanes(8), 2u);
  EXPECT_EQ(DefaultIoLanes(128), 4u);
}

}  // namespace
}  // namespace conclave::server
