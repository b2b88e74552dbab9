// Calls of every kind through a real connection: what the client sees, and what the handler is
// told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using GrpcCallTest = ServerTest;

TEST_F(GrpcCallTest, UnaryEcho) {
  auto client = NewClient();
  const int32_t id = client->Call(kEcho, "hello");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  const ClientCall& call = client->call(id);
  EXPECT_EQ(call.headers.at(":status"), "200");
  EXPECT_EQ(call.headers.at("content-type"), "application/grpc");
  EXPECT_THAT(call.Messages(), ElementsAre("hello"));
  EXPECT_EQ(call.status(), 0);
  EXPECT_EQ(call.header_blocks, 2u);
  EXPECT_EQ(call.error_code, 0u);
}

TEST_F(GrpcCallTest, AnEmptyMessageIsAMessage) {
  auto client = NewClient();
  const int32_t id = client->Call(kEcho, "");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre(""));
}

TEST_F(GrpcCallTest, AThousandCallsAtOnceAreAllAnswered) {
  auto client = NewClient();
  std::vector<int32_t> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(client->Call(kEcho, std::to_string(i)));
  ASSERT_TRUE(loop_.RunUntil([&] { return client->closed_count() == 1000; }));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_THAT(client->call(ids[static_cast<size_t>(i)]).Messages(),
                ElementsAre(std::to_string(i)));
  }
}

TEST_F(GrpcCallTest, ARequestIsServedBeforeItsClientHalfCloses) {
  auto client = NewClient();
  const int32_t id = client->Open(kEcho);
  client->Send(id, "no end");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("no end"));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(GrpcCallTest, LargeMessagesPassBothWindows) {
  auto client = NewClient();
  std::string big;
  while (big.size() < (2u << 20) - 100) big += std::to_string(big.size());
  const int32_t id = client->Call(kEcho, big);
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre(big));
}

TEST_F(GrpcCallTest, AnAnswerMayComeLater) {
  auto client = NewClient();
  const int32_t id = client->Call(kHold, "x");
  loop_.RunUntilQuiet();
  ASSERT_EQ(held_.size(), 1u);
  EXPECT_FALSE(client->closed(id));
  held_[0]->SendBytes("late");
  held_[0]->Finish(absl::OkStatus());
  held_[0]->Finish(absl::InternalError("only the first counts"));
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("late"));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(GrpcCallTest, AnErrorWithoutMessagesIsOneHeaderBlock) {
  auto client = NewClient();
  const int32_t id = client->Call(kHold, "x");
  loop_.RunUntilQuiet();
  held_.at(0)->Finish(absl::InvalidArgumentError("größer als 100%"));
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).header_blocks, 1u);
  EXPECT_EQ(client->call(id).status(), 3);
  EXPECT_EQ(client->call(id).message(), "gr%C3%B6%C3%9Fer als 100%25");
}

TEST_F(GrpcCallTest, RefusalsHaveGrpcsCodes) {
  auto client = NewClient();
  const struct {
    const char* path;
    TestClient::Headers headers;
    const char* http_status;
    int status;
  } cases[] = {
      {"/test.Echo/Nothing", {}, "200", 12},
      {"/test.Nothing/Unary", {}, "200", 12},
      {kEcho, {{"content-type", "application/json"}}, "415", 3},
      {kEcho, {{"content-type", ":none"}}, "415", 3},
      {kEcho, {{":method", "GET"}}, "405", 13},
      {kEcho, {{"grpc-timeout", "x"}}, "400", 13},
      {kEcho, {{"grpc-encoding", "gzip"}}, "200", 12},
  };
  for (const auto& c : cases) {
    const int32_t id = client->Open(c.path, c.headers);
    ASSERT_TRUE(RunUntilClosed(*client, id)) << c.path;
    EXPECT_EQ(client->call(id).headers.at(":status"), c.http_status);
    EXPECT_EQ(client->call(id).status(), c.status) << c.path;
    EXPECT_EQ(client->call(id).header_blocks, 1u);
  }
  const int32_t id = client->Call(kEcho, "still well");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(GrpcCallTest, OddAuthoritiesAreServed) {
  auto client = NewClient();
  const int32_t id = client->Call(
      kEcho, "x", {{":authority", "#initially=[http://127.0.0.1:2379;http://b:2379]"}});
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(GrpcCallTest, HandlersSeeMetadataAndDeadline) {
  auto client = NewClient();
  client->Open(kChat, {{"token", "abc"}, {"hasleader", "true"}, {"grpc-timeout", "5S"}});
  client->Open(kChat);
  loop_.RunUntilQuiet();
  ASSERT_EQ(chats_.size(), 2u);
  EXPECT_EQ(chats_[0]->Metadata("token"), "abc");
  EXPECT_EQ(chats_[0]->Metadata("hasleader"), "true");
  EXPECT_FALSE(chats_[0]->Metadata("authorization").has_value());
  EXPECT_GT(chats_[0]->deadline(), loop_->Now());
  EXPECT_LE(chats_[0]->deadline(), loop_->Now() + Seconds(5));
  EXPECT_EQ(chats_[1]->deadline(), kNever);
}

TEST_F(GrpcCallTest, MessagesOfTheWrongSizeOrKindEndTheCall) {
  http2_.receive_message_bytes_max = 1000;
  auto client = NewClient();
  const struct {
    std::string request;
    int status;
    const char* message;
  } cases[] = {
      {GrpcFrame(std::string(1001, 'x')), 8,
       "grpc: received message larger than max (1001 vs. 1000)"},
      {std::string("\1\0\0\0\1x", 6), 13,
       "grpc: compressed flag set with identity or empty encoding"},
      {GrpcFrame("cut").substr(0, 6), 13, "unexpected EOF"},
      {"", 13, "the client sent no request message"},
  };
  for (const auto& c : cases) {
    const int32_t id = client->Open(kEcho);
    client->SendRaw(id, c.request, true);
    ASSERT_TRUE(RunUntilClosed(*client, id)) << c.message;
    EXPECT_EQ(client->call(id).status(), c.status);
    EXPECT_EQ(client->call(id).message(), c.message);
  }
}

TEST_F(GrpcCallTest, BidirectionalMessagesFlowBothWaysUntilTheHalfClose) {
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  client->Send(id, "one");
  loop_.RunUntilQuiet();
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("one"));
  client->SendRaw(id, GrpcFrame("two") + GrpcFrame("three") + "\0\0", false);
  loop_.RunUntilQuiet();
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("one", "two", "three"));
  EXPECT_FALSE(client->closed(id));
  EXPECT_EQ(closed_, 0);
}

TEST_F(GrpcCallTest, TheHalfCloseReachesTheHandler) {
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  client->Send(id, "last", true);
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("last"));
  EXPECT_EQ(client->call(id).status(), 0);
  loop_.RunUntilQuiet();
  EXPECT_EQ(closed_, 1);
}

TEST_F(GrpcCallTest, TheServerMayEndAStreamFirst) {
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  client->SendRaw(id, GrpcFrame("a") + GrpcFrame("bye") + GrpcFrame("b"), false);
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("a"));
  EXPECT_EQ(client->call(id).status(), 10);
  EXPECT_EQ(client->call(id).error_code, 0u) << "RST_STREAM(NO_ERROR): the request need not go on";
  loop_.RunUntilQuiet();
  EXPECT_EQ(messages_, 2) << "nothing is delivered after Finish";
  EXPECT_EQ(closed_, 1);
}

TEST_F(GrpcCallTest, AResetClosesTheHandlerAndNothingElse) {
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  const int32_t other = client->Open(kChat);
  loop_.RunUntilQuiet();
  client->Reset(id);
  loop_.RunUntilQuiet();
  EXPECT_EQ(closed_, 1);
  EXPECT_FALSE(chats_.at(0)->open());
  EXPECT_TRUE(chats_.at(1)->open());
  client->Send(other, "hi");
  loop_.RunUntilQuiet();
  EXPECT_THAT(client->call(other).Messages(), ElementsAre("hi"));
}

TEST_F(GrpcCallTest, ALostConnectionClosesItsCallsAndLateAnswersAreIgnored) {
  auto client = NewClient();
  client->Open(kChat);
  client->Call(kHold, "x");
  loop_.RunUntilQuiet();
  client->Disconnect();
  loop_.RunUntilQuiet();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(server_->connection_count(), 0u);
  ASSERT_EQ(held_.size(), 1u);
  EXPECT_FALSE(held_[0]->open());
  held_[0]->SendBytes("too late");
  held_[0]->Finish(absl::OkStatus());
  EXPECT_EQ(held_[0]->queued_bytes(), 0u);
}

TEST_F(GrpcCallTest, TheDeadlineEndsTheCall) {
  auto client = NewClient();
  const int32_t held = client->Call(kHold, "x", {{"grpc-timeout", "2S"}});
  const int32_t chat = client->Open(kChat, {{"grpc-timeout", "2000m"}});
  loop_.RunUntilQuiet();
  loop_.Skip(Seconds(1));
  EXPECT_FALSE(client->closed(held));
  loop_.Skip(Seconds(2));
  for (const int32_t id : {held, chat}) {
    ASSERT_TRUE(client->closed(id));
    EXPECT_EQ(client->call(id).status(), 4);
    EXPECT_EQ(client->call(id).message(), "context deadline exceeded");
  }
  EXPECT_FALSE(held_.at(0)->open());
  EXPECT_EQ(closed_, 1);
}

TEST_F(GrpcCallTest, TheObserverSeesEveryCallOnce) {
  auto client = NewClient();
  client->Call(kEcho, "12345");
  client->Call("/test.Echo/Nothing", "x");
  const int32_t reset = client->Open(kChat);
  const int32_t bye = client->Open(kChat);
  client->Send(bye, "bye");
  loop_.RunUntilQuiet();
  client->Reset(reset);
  loop_.RunUntilQuiet();
  EXPECT_EQ(observer_.started, 3);
  EXPECT_THAT(observer_.handled, ElementsAre(Pair(kEcho, absl::StatusCode::kOk),
                                             Pair(kChat, absl::StatusCode::kAborted),
                                             Pair(kChat, absl::StatusCode::kCancelled)));
  EXPECT_EQ(observer_.received_bytes, 5u + 3u);
  EXPECT_EQ(observer_.sent_bytes, 5u);
  client->Disconnect();
  loop_.RunUntilQuiet();
  EXPECT_GT(observer_.connection_bytes, 100u);
}

}  // namespace
}  // namespace conclave::server
