#include "server/stages/snapshot_wire.h"

#include <gtest/gtest.h>

#include "raft/base/random.h"

namespace conclave::server {
namespace {

SnapshotChunkRequest ARequest() {
  return {.member = raft::NodeId(0x8e9e05c52164694d),
          .session = 77,
          .at_least = raft::LogIndex(300),
          .after_key = std::string("k\0ey", 4)};
}

SnapshotChunkAnswer AnAnswer() {
  return {.start = {.index = raft::LogIndex(300),
                    .term = raft::Term(4),
                    .configuration = {.voters = {raft::NodeId(1), raft::NodeId(2)},
                                      .outgoing = {},
                                      .learners = {raft::NodeId(3)}}},
          .total_bytes = 1 << 20,
          .chunk = "rows"};
}

TEST(SnapshotWireTest, RoundTrip) {
  EXPECT_EQ(*DecodeSnapshotChunkRequest(EncodeSnapshotChunkRequest(ARequest())), ARequest());
  EXPECT_EQ(*DecodeSnapshotChunkAnswer(EncodeSnapshotChunkAnswer(AnAnswer())), AnAnswer());
}

TEST(SnapshotWireTest, WhatIsCutOffIsRefusedOrShorterInItsLastField) {
  const std::string request = EncodeSnapshotChunkRequest(ARequest());
  for (size_t size = 0; size < request.size(); ++size) {
    const auto decoded = DecodeSnapshotChunkRequest(request.substr(0, size));
    const bool fixed_part_whole = size >= request.size() - ARequest().after_key.size();
    EXPECT_EQ(decoded.ok(), fixed_part_whole) << size;
    EXPECT_TRUE(decoded.ok() || absl::IsDataLoss(decoded.status())) << size;
  }
  const std::string answer = EncodeSnapshotChunkAnswer(AnAnswer());
  for (size_t size = 0; size < answer.size(); ++size) {
    const auto decoded = DecodeSnapshotChunkAnswer(answer.substr(0, size));
    EXPECT_EQ(decoded.ok(), size >= answer.size() - AnAnswer().chunk.size()) << size;
  }
}

TEST(SnapshotWireTest, AConfigurationWithoutVotersIsRefused) {
  SnapshotChunkAnswer answer = AnAnswer();
  answer.start.configuration.voters.clear();
  EXPECT_TRUE(
      absl::IsDataLoss(DecodeSnapshotChunkAnswer(EncodeSnapshotChunkAnswer(answer)).status()));
}

TEST(SnapshotWireTest, AnyBytesAreDecodedOrRefused) {
  Random random(1);
  std::string answer = EncodeSnapshotChunkAnswer(AnAnswer());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = answer;
    bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    const auto decoded = DecodeSnapshotChunkAnswer(bytes);
    if (!decoded.ok()) continue;
    EXPECT_EQ(*DecodeSnapshotChunkAnswer(EncodeSnapshotChunkAnswer(*decoded)), *decoded);
  }
}

}  // namespace
}  // namespace conclave::server
