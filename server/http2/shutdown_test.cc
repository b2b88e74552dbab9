// The orderly stop: clients are told, calls under way end well, late ones are cut off, and nothing
// new is served.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http2/server_test_fixture.h"
#include "server/net/connector.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;

class ShutdownTest : public ServerTest {
 protected:
  void Shutdown(Duration limit = Seconds(10)) {
    server_->Shutdown(loop_->Now() + limit, [this] { done_ = true; });
  }
  bool done_ = false;
};

TEST_F(ShutdownTest, WithoutConnectionsItIsDoneAtOnce) {
  StartServer();
  Shutdown();
  EXPECT_FALSE(done_) << "never from within Shutdown";
  EXPECT_TRUE(loop_.RunUntil([&] { return done_; }));
}

TEST_F(ShutdownTest, IdleClientsAreToldAndClosed) {
  auto client = NewClient();
  loop_.RunUntilQuiet();
  Shutdown();
  ASSERT_TRUE(loop_.RunUntil([&] { return client->disconnected(); }));
  EXPECT_EQ(client->goaway(), 0u);
  EXPECT_TRUE(loop_.RunUntil([&] { return done_; }));
}

TEST_F(ShutdownTest, CallsUnderWayEndWellAndNewOnesAreNotServed) {
  auto client = NewClient();
  const int32_t held = client->Call(kHold, "x");
  loop_.RunUntilQuiet();
  Shutdown();
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->goaway(), 0u);
  EXPECT_EQ(client->goaway_last_stream(), held);
  EXPECT_FALSE(client->disconnected());
  EXPECT_FALSE(done_);
  held_.at(0)->SendBytes("in time");
  held_.at(0)->Finish(absl::OkStatus());
  ASSERT_TRUE(RunUntilClosed(*client, held));
  EXPECT_THAT(client->call(held).Messages(), ElementsAre("in time"));
  EXPECT_TRUE(loop_.RunUntil([&] { return client->disconnected() && done_; }));
}

TEST_F(ShutdownTest, CallsThatCrossTheNoticeAreStillServed) {
  auto client = NewClient();
  loop_.RunUntilQuiet();
  Shutdown();
  const int32_t id = client->Call(kEcho, "crossed");  // the client has not heard yet
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("crossed"));
}

TEST_F(ShutdownTest, AClientThatDoesNotAnswerTheNoticeGetsTheRealGoawayAnyway) {
  RawClient client(loop_.get(), Connect());
  client.Write(std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
               std::string("\0\0\0\4\0\0\0\0\0", 9));
  loop_.RunUntilQuiet();
  client.TakeReceived();
  Shutdown();
  loop_.Skip(Seconds(2));
  EXPECT_TRUE(client.disconnected());
  EXPECT_TRUE(done_);
}

TEST_F(ShutdownTest, TheDeadlineCutsOffTheRest) {
  auto client = NewClient();
  client->Open(kChat);
  loop_.RunUntilQuiet();
  Shutdown(Seconds(10));
  loop_.Skip(Seconds(9));
  EXPECT_EQ(closed_, 0);
  EXPECT_FALSE(done_);
  loop_.Skip(Seconds(2));
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(done_);
  EXPECT_TRUE(client->disconnected());
}

TEST_F(ShutdownTest, ConnectionsThatHaveSaidNothingDoNotHoldItUp) {
  RawClient client(loop_.get(), Connect());
  loop_.RunUntilQuiet();
  Shutdown();
  EXPECT_TRUE(loop_.RunUntil([&] { return client.disconnected() && done_; }));
}

TEST_F(ShutdownTest, DestroyingTheServerClosesEverythingAtOnce) {
  auto client = NewClient();
  client->Open(kChat);
  loop_.RunUntilQuiet();
  lane_.reset();
  EXPECT_EQ(closed_, 1);
  loop_.RunUntilQuiet();
  EXPECT_TRUE(client->disconnected());
}

TEST_F(ShutdownTest, ItNoLongerListens) {
  StartServer();
  ASSERT_TRUE(server_->Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  const SocketAddress address = server_->addresses().at(0);
  std::unique_ptr<TestClient> client;
  Connector first(loop_.get(), address, Seconds(5), [&](absl::StatusOr<ScopedFd> socket) {
    client = std::make_unique<TestClient>(loop_.get(), *std::move(socket));
  });
  ASSERT_TRUE(loop_.RunUntil([&] { return client != nullptr; }));
  const int32_t id = client->Call(kEcho, "over TCP");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  Shutdown();
  ASSERT_TRUE(loop_.RunUntil([&] { return done_; }));
  absl::Status status;
  Connector second(loop_.get(), address, Seconds(5),
                   [&](absl::StatusOr<ScopedFd> socket) { status = socket.status(); });
  loop_.RunUntilQuiet();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace conclave::server
