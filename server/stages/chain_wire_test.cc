#include "server/stages/chain_wire.h"

#include <gtest/gtest.h>

namespace conclave::server {
namespace {

using raft::LogIndex;

const ChainQuestion kQuestion{.index = LogIndex(300), .right = {LogIndex(299), 0x8877665544332211}};

TEST(ChainWireTest, WhatIsWrittenIsRead) {
  const auto question = DecodeChainQuestion(EncodeChainQuestion(kQuestion));
  ASSERT_TRUE(question.ok());
  EXPECT_EQ(*question, kQuestion);
  for (const std::optional<uint64_t> there : {std::optional<uint64_t>(), {0}, {UINT64_MAX}}) {
    const ChainAnswer answer{.newest = {LogIndex(302), 5}, .there = there};
    const auto read = DecodeChainAnswer(EncodeChainAnswer(answer));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, answer);
  }
}

// The example of docs/peer-protocol.md.
TEST(ChainWireTest, HasTheDocumentedForm) {
  EXPECT_EQ(EncodeChainQuestion(kQuestion), "\xac\x02\xab\x02\x11\x22\x33\x44\x55\x66\x77\x88");
}

TEST(ChainWireTest, NothingElseIsTaken) {
  const std::string question = EncodeChainQuestion(kQuestion);
  for (size_t size = 0; size < question.size(); ++size) {
    EXPECT_FALSE(DecodeChainQuestion(question.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeChainQuestion(question + "x").ok());
  const std::string answer = EncodeChainAnswer({.newest = {LogIndex(1), 2}, .there = 3});
  for (size_t size = 0; size < answer.size(); ++size) {
    EXPECT_EQ(DecodeChainAnswer(answer.substr(0, size)).ok(), size == 9) << size;
  }
  EXPECT_FALSE(DecodeChainAnswer(answer + "x").ok());
}

}  // namespace
}  // namespace conclave::server
