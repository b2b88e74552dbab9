// What ends a connection: silence, noise, floods and impatience; and what must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http2/protocol_sniffer.h"
#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ConnectionLimitsTest = ServerTest;

constexpr uint32_t kEnhanceYourCalm = 11;  // RFC 9113 section 7

std::string Frame(uint8_t type, uint8_t flags, std::string_view payload) {
  std::string frame = {0,
                       static_cast<char>(payload.size() >> 8),
                       static_cast<char>(payload.size()),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       0};
  return frame.append(payload);
}
std::string Settings() { return Frame(4, 0, ""); }

TEST_F(ConnectionLimitsTest, GarbageIsClosed) {
  RawClient client(loop_.get(), Connect());
  client.Write("\x16\x03\x01 this is no HTTP");
  loop_.RunUntilQuiet();
  EXPECT_TRUE(client.disconnected());
  EXPECT_EQ(client.received(), "");
}

TEST_F(ConnectionLimitsTest, SilenceIsClosedAfterAWhile) {
  RawClient client(loop_.get(), Connect());
  loop_.Skip(http2_.first_byte_timeout - Seconds(1));
  EXPECT_FALSE(client.disconnected());
  loop_.Skip(Seconds(2));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(ConnectionLimitsTest, HalfAPrefaceIsClosedAfterAWhile) {
  RawClient client(loop_.get(), Connect());
  client.Write(kHttp2Preface.substr(0, 10));
  loop_.Skip(http2_.first_byte_timeout + Seconds(1));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(ConnectionLimitsTest, APrefaceWithoutSettingsIsClosedAfterAWhile) {
  RawClient client(loop_.get(), Connect());
  client.Write(kHttp2Preface);
  client.Write(Settings().substr(0, 8));
  loop_.RunUntilQuiet();
  loop_.Skip(http2_.handshake_timeout + Seconds(1));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(ConnectionLimitsTest, ThePrefaceMayBeCutAnywhere) {
  for (size_t cut = 1; cut < kHttp2Preface.size(); ++cut) {
    RawClient client(loop_.get(), Connect());
    client.Write(kHttp2Preface.substr(0, cut));
    loop_->RunTurn(Duration::zero());
    loop_->RunTurn(Duration::zero());
    EXPECT_EQ(client.received(), "");
    client.Write(kHttp2Preface.substr(cut));
    client.Write(Settings());
    ASSERT_TRUE(loop_.RunUntil([&] { return !client.received().empty(); })) << cut;
    EXPECT_EQ(client.received()[3], 4) << "the server's settings";
  }
}

TEST_F(ConnectionLimitsTest, HalfAFrameAndThenSilenceIsClosed) {
  RawClient client(loop_.get(), Connect());
  client.Write(std::string(kHttp2Preface) + Settings() + Frame(6, 0, "12345678").substr(0, 12));
  loop_.RunUntilQuiet();
  loop_.Skip(http2_.partial_frame_timeout - Seconds(1));
  EXPECT_FALSE(client.disconnected());
  loop_.Skip(Seconds(2));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(ConnectionLimitsTest, AnIdleConnectionStaysAndIsProbed) {
  auto client = NewClient();
  loop_.RunUntilQuiet();
  for (int i = 0; i < 3; ++i) loop_.Skip(http2_.keepalive_interval);
  EXPECT_FALSE(client->disconnected()) << "nghttp2 answers the pings";
}

TEST_F(ConnectionLimitsTest, AClientThatDoesNotAnswerAProbeIsClosed) {
  RawClient client(loop_.get(), Connect());
  client.Write(std::string(kHttp2Preface) + Settings() + Frame(4, 1, ""));
  loop_.RunUntilQuiet();
  client.TakeReceived();
  loop_.Skip(http2_.keepalive_interval);
  ASSERT_EQ(client.received().size(), 9u + 8u);
  EXPECT_EQ(client.received()[3], 6) << "a ping";
  loop_.Skip(http2_.keepalive_timeout);
  EXPECT_TRUE(client.disconnected());
}

TEST_F(ConnectionLimitsTest, TooManyPingsAreToldSo) {
  auto client = NewClient();
  client->Open(kChat);
  loop_.RunUntilQuiet();
  for (int i = 0; i < 3; ++i) {
    client->Ping();
    loop_.Skip(Seconds(1));
  }
  EXPECT_EQ(client->ping_acks(), 3u);
  EXPECT_FALSE(client->goaway().has_value());
  client->Ping();
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->goaway(), kEnhanceYourCalm);
  EXPECT_EQ(client->goaway_text(), "too_many_pings");
  EXPECT_TRUE(client->disconnected());
  EXPECT_EQ(closed_, 1);
}

TEST_F(ConnectionLimitsTest, PingsEveryFiveSecondsAreFine) {
  auto client = NewClient();
  client->Open(kChat);
  for (int i = 0; i < 20; ++i) {
    client->Ping();
    loop_.Skip(Seconds(5));
  }
  EXPECT_EQ(client->ping_acks(), 20u);
  EXPECT_FALSE(client->goaway().has_value());
}

TEST_F(ConnectionLimitsTest, PingsAmongCallsAreFine) {
  auto client = NewClient();
  for (int i = 0; i < 50; ++i) {
    client->Ping();
    const int32_t id = client->Call(kEcho, "x");
    ASSERT_TRUE(RunUntilClosed(*client, id));
  }
  EXPECT_FALSE(client->goaway().has_value());
}

TEST_F(ConnectionLimitsTest, FloodsAreToldToCalmDown) {
  http2_.flood_settings_max = 50;
  auto client = NewClient();
  loop_.RunUntilQuiet();
  for (int i = 0; i < 60; ++i) client->WriteRaw(Settings());
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->goaway(), kEnhanceYourCalm);
  EXPECT_TRUE(client->disconnected());
}

TEST_F(ConnectionLimitsTest, RapidResetsEndTheConnection) {
  http2_.flood_resets_max = 100;
  auto client = NewClient();
  for (int i = 0; i < 200 && !client->disconnected(); ++i) {
    client->Reset(client->Open(kChat));
    loop_->RunTurn(Duration::zero());
  }
  loop_.RunUntilQuiet();
  EXPECT_TRUE(client->disconnected());
  EXPECT_LE(chats_.size(), 102u);
  EXPECT_EQ(closed_, static_cast<int>(chats_.size()));
}

TEST_F(ConnectionLimitsTest, ManyCancelledCallsAreNoFlood) {
  auto client = NewClient();
  for (int i = 0; i < 3000; ++i) client->Reset(client->Open(kChat));
  loop_.RunUntilQuiet();
  const int32_t id = client->Call(kEcho, "well");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("well"));
}

TEST_F(ConnectionLimitsTest, TooManyHeadersEndTheStreamOnly) {
  http2_.header_list_bytes_max = 1000;
  auto client = NewClient();
  const int32_t big = client->Open(kChat, {{"token", std::string(2000, 'x')}});
  ASSERT_TRUE(RunUntilClosed(*client, big));
  EXPECT_EQ(client->call(big).error_code, kEnhanceYourCalm);
  EXPECT_THAT(chats_, IsEmpty());
  const int32_t id = client->Call(kEcho, "x");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(ConnectionLimitsTest, StreamsBeyondTheLimitWait) {
  http2_.concurrent_streams_max = 3;
  auto client = NewClient();
  loop_.RunUntilQuiet();  // the client knows the limit now
  for (int i = 0; i < 5; ++i) client->Call(kHold, "x");
  loop_.RunUntilQuiet();
  ASSERT_EQ(held_.size(), 3u);
  held_[0]->Finish(absl::OkStatus());
  loop_.RunUntilQuiet();
  EXPECT_EQ(held_.size(), 4u);
}

TEST_F(ConnectionLimitsTest, BrokenFramesEndTheConnectionWithGoaway) {
  auto client = NewClient();
  loop_.RunUntilQuiet();
  client->WriteRaw(Frame(6, 0, "short"));  // a ping has 8 bytes
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->goaway(), 6u) << "FRAME_SIZE_ERROR";
  EXPECT_TRUE(client->disconnected());
}

TEST_F(ConnectionLimitsTest, AnAddressWithoutMethodsRefusesHttp2) {
  ServerContext context;
  context.loop = loop_.get();
  Http2Server server(context);
  server_ = &server;
  auto client = NewClient();
  loop_.RunUntilQuiet();
  EXPECT_TRUE(client->disconnected());
}

}  // namespace
}  // namespace conclave::server
