#include "server/http2/message_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "raft/base/text.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::string Framed(std::string_view message, char flag = 0) {
  const size_t size = message.size();
  std::string framed = {flag, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                        static_cast<char>(size >> 8), static_cast<char>(size)};
  return framed.append(message);
}

// Takes all messages out of the next chunk.
std::vector<std::string> Feed(MessageDecoder& decoder, std::string_view chunk) {
  std::vector<std::string> messages;
  const std::string copy(chunk);  // its own memory, so that a view kept too long is seen by asan
  decoder.Add(copy);
  std::string_view message;
  while (decoder.Next(&message) == MessageDecoder::Result::kMessage) messages.emplace_back(message);
  decoder.Keep();
  return messages;
}

TEST(MessageDecoder, FindsTheSameMessagesHoweverTheBytesAreCut) {
  const std::vector<std::string> messages = {"one", "", std::string(300, 'x'), "four"};
  std::string input;
  for (const std::string& message : messages) input += Framed(message);
  for (size_t step = 1; step <= input.size(); ++step) {
    MessageDecoder decoder(1000);
    std::vector<std::string> found;
    for (size_t at = 0; at < input.size(); at += step) {
      for (std::string& message : Feed(decoder, std::string_view(input).substr(at, step))) {
        found.push_back(std::move(message));
      }
    }
    EXPECT_THAT(found, ElementsAreArray(messages)) << step;
    EXPECT_EQ(decoder.pending_bytes(), 0u) << step;
  }
}

TEST(MessageDecoder, ACutMessageStaysPending) {
  const std::string input = Framed("message");
  for (size_t size = 1; size < input.size(); ++size) {
    MessageDecoder decoder(1000);
    EXPECT_THAT(Feed(decoder, input.substr(0, size)), IsEmpty());
    EXPECT_EQ(decoder.pending_bytes(), size);
    EXPECT_TRUE(decoder.status().ok());
  }
}

TEST(MessageDecoder, AMessageThatLiesWholeInAChunkIsNotCopied) {
  const std::string input = Framed("message");
  MessageDecoder decoder(1000);
  decoder.Add(input);
  std::string_view message;
  ASSERT_EQ(decoder.Next(&message), MessageDecoder::Result::kMessage);
  EXPECT_EQ(message.data(), input.data() + kMessagePrefixBytes);
}

TEST(MessageDecoder, WhatIsNotTakenAtOnceIsKeptInOrder) {
  MessageDecoder decoder(1000);
  std::string_view message;
  {
    const std::string chunk = Framed("a") + Framed("b") + Framed("c").substr(0, 5);
    decoder.Add(chunk);
    ASSERT_EQ(decoder.Next(&message), MessageDecoder::Result::kMessage);
    EXPECT_EQ(message, "a");
    decoder.Keep();  // the reader has paused
  }
  EXPECT_EQ(decoder.kept_bytes(), 6u + 5u);
  ASSERT_EQ(decoder.Next(&message), MessageDecoder::Result::kMessage);
  EXPECT_EQ(message, "b");
  EXPECT_THAT(Feed(decoder, "c" + Framed("d")), ElementsAre("c", "d"));
  EXPECT_EQ(decoder.kept_bytes(), 0u);
}

TEST(MessageDecoder, RefusesInTheWordsOfGrpcGo) {
  const struct {
    std::string input;
    absl::StatusCode code;
    std::string_view words;
  } cases[] = {
      {Framed(std::string(11, 'x')), absl::StatusCode::kResourceExhausted,
       "grpc: received message larger than max (11 vs. 10)"},
      {std::string("\0\xff\xff\xff\xff", 5), absl::StatusCode::kResourceExhausted,
       "grpc: received message larger than max (4294967295 vs. 10)"},
      {Framed("x", 1), absl::StatusCode::kInternal,
       "grpc: compressed flag set with identity or empty encoding"},
      {Framed("x", 7), absl::StatusCode::kInternal, "grpc: received unexpected payload format 7"},
  };
  for (const auto& c : cases) {
    // The prefix alone decides, before any of the message is held.
    MessageDecoder decoder(10);
    EXPECT_THAT(Feed(decoder, c.input.substr(0, 5)), IsEmpty());
    EXPECT_EQ(decoder.status().code(), c.code);
    EXPECT_EQ(MessageOf(decoder.status()), c.words);
    EXPECT_EQ(decoder.kept_bytes(), 0u);
  }
  MessageDecoder decoder(10);
  EXPECT_EQ(Feed(decoder, Framed(std::string(10, 'x'))).size(), 1u) << "the bound itself is fine";
}

}  // namespace
}  // namespace conclave::server
