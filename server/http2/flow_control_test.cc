// Slow readers, paused handlers and greedy clients: each costs bounded memory and holds up nobody
// else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using FlowControlTest = ServerTest;

constexpr TestClient::Options kNoGrants = {.grant_windows = false, .stream_window = 65535};

TEST_F(FlowControlTest, AReaderThatDoesNotReadStopsTheProducer) {
  auto client = NewClient(kNoGrants);
  const int32_t id = client->Call(kProduce, "");
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->call(id).body.size(), 65535u) << "the window, and no byte more";
  const int produced = produced_;
  // The high mark, what the client's window took, and the message that crossed the mark.
  EXPECT_LE(static_cast<size_t>(produced) * kProducedBytes,
            http2_.call_output_high_mark + 65535 + kProducedBytes);
  loop_.Skip(Seconds(60));
  EXPECT_EQ(produced_, produced);
  EXPECT_EQ(closed_, 0);
}

TEST_F(FlowControlTest, TheProducerGoesOnWhenThereIsRoomAgain) {
  auto client = NewClient(kNoGrants);
  const int32_t id = client->Call(kProduce, "");
  loop_.RunUntilQuiet();
  EXPECT_EQ(writable_, 0);
  size_t granted = 0;
  for (int i = 0; i < 100 && writable_ < 3; ++i) {
    const size_t bytes = client->call(id).body.size() - granted;
    granted += bytes;
    client->Grant(id, bytes);
    loop_.RunUntilQuiet();
    EXPECT_LE(static_cast<size_t>(produced_) * kProducedBytes,
              granted + 65535 + http2_.call_output_high_mark + 2 * kProducedBytes);
  }
  EXPECT_EQ(writable_, 3);
  EXPECT_GT(client->call(id).body.size(), http2_.call_output_high_mark);
}

TEST_F(FlowControlTest, AFastReaderGetsAStreamOfAnyLength) {
  auto client = NewClient({.grant_windows = true, .stream_window = 1 << 20});
  const int32_t id = client->Call(kProduce, "");
  ASSERT_TRUE(loop_.RunUntil([&] { return client->call(id).body.size() > (16u << 20); }));
  client->Reset(id);
  loop_.RunUntilQuiet();
  EXPECT_EQ(closed_, 1);
}

TEST_F(FlowControlTest, AMessageInPartsIsOneMessage) {
  auto client = NewClient({.grant_windows = true, .stream_window = 1 << 20});
  const int32_t id = client->Call(kHold, "");
  loop_.RunUntilQuiet();
  held_.at(0)->BeginMessage(6);
  held_.at(0)->SendPart("abc");
  loop_.RunUntilQuiet();
  EXPECT_EQ(client->call(id).body.size(), 8u) << "the part is there before the message is whole";
  held_.at(0)->SendPart("def");
  held_.at(0)->Finish(absl::OkStatus());
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("abcdef"));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(FlowControlTest, AnAbandonedCallIsResetThoughItsWindowIsFull) {
  auto client = NewClient(kNoGrants);
  const int32_t produced = client->Call(kProduce, "");
  const int32_t held = client->Call(kHold, "");
  loop_.RunUntilQuiet();
  held_.at(0)->SendBytes(std::string(200'000, 'x'));
  held_.at(0)->Finish(absl::OkStatus());  // and is not taken
  loop_.RunUntilQuiet();
  EXPECT_FALSE(client->closed(held));
  held_.at(0)->Abandon();
  ASSERT_TRUE(RunUntilClosed(*client, held));
  EXPECT_EQ(client->call(held).error_code, 0xbu) << "ENHANCE_YOUR_CALM: ResourceExhausted to gRPC";
  EXPECT_FALSE(client->closed(produced));
  EXPECT_FALSE(client->disconnected());
}

TEST_F(FlowControlTest, AStuckStreamDoesNotHoldUpOthersOfItsConnection) {
  auto client = NewClient({.grant_windows = false, .stream_window = 60000});
  client->Call(kProduce, "");
  loop_.RunUntilQuiet();
  const int32_t id = client->Call(kEcho, "me too");
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("me too"));
}

TEST_F(FlowControlTest, APausedHandlerHoldsItsClientBackAtTheWindow) {
  http2_.stream_window_bytes = 100'000;
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  client->Send(id, "pause");
  loop_.RunUntilQuiet();
  EXPECT_EQ(messages_, 1);
  const std::string message(1000, 'x');
  for (int i = 0; i < 500; ++i) client->Send(id, message);
  loop_.RunUntilQuiet();
  EXPECT_EQ(messages_, 1) << "paused";
  const int32_t other = client->Call(kEcho, "not paused");
  ASSERT_TRUE(RunUntilClosed(*client, other));
  chats_.at(0)->ResumeReading();
  EXPECT_EQ(messages_, 1) << "never from within ResumeReading";
  ASSERT_TRUE(loop_.RunUntil([&] { return messages_ == 501; }));
  EXPECT_EQ(closed_, 0);
}

TEST_F(FlowControlTest, AHalfCloseWaitsForThePausedHandler) {
  auto client = NewClient();
  const int32_t id = client->Open(kChat);
  client->SendRaw(id, GrpcFrame("pause") + GrpcFrame("after"), true);
  loop_.RunUntilQuiet();
  EXPECT_FALSE(client->closed(id));
  chats_.at(0)->ResumeReading();
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("after"));
  EXPECT_EQ(client->call(id).status(), 0);
}

TEST_F(FlowControlTest, UnfinishedMessagesOfOneConnectionAreBounded) {
  http2_.connection_input_bytes_max = 1 << 20;
  auto client = NewClient();
  const std::string part = GrpcFrame(std::string(1 << 20, 'x')).substr(0, 100'000);
  for (int i = 0; i < 20; ++i) {
    const int32_t id = client->Open(kEcho);
    client->SendRaw(id, part, false);
    loop_.RunUntilQuiet();
    EXPECT_EQ(client->closed(id), i >= 10) << "ten parts of 100 kB fit into 1 MiB: " << i;
    EXPECT_EQ(client->call(id).status(), i >= 10 ? 8 : -1);
  }
}

TEST_F(FlowControlTest, AClientThatReadsNoResponsesGetsNoNewCalls) {
  http2_.connection_output_bytes_max = 3 << 20;
  auto client = NewClient({.grant_windows = false, .stream_window = 1000});
  std::vector<int32_t> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(client->Call(kProduce, ""));
    loop_.RunUntilQuiet();
  }
  EXPECT_FALSE(client->closed(ids[0]));
  ASSERT_TRUE(client->closed(ids[5]));
  EXPECT_EQ(client->call(ids[5]).status(), 8);
}

TEST_F(FlowControlTest, AFloodOfRequestBytesAfterTheAnswerIsDropped) {
  auto client = NewClient();
  const int32_t id = client->Open(kEcho);
  client->SendRaw(id, GrpcFrame("x") + std::string(200'000, '\0'), false);
  ASSERT_TRUE(RunUntilClosed(*client, id));
  EXPECT_THAT(client->call(id).Messages(), ElementsAre("x"));
  // The connection's window was granted again: much more than it can still follow.
  for (int i = 0; i < 100; ++i) {
    const int32_t next = client->Call(kEcho, std::string(100'000, 'y'));
    ASSERT_TRUE(RunUntilClosed(*client, next));
  }
}

}  // namespace
}  // namespace conclave::server
