#include "server/peer/frame.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raft/base/coding.h"
#include "raft/base/random.h"
#include "raft/base/text.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPayloadBytesMax = 1 << 20;

std::string FrameOf(FrameKind kind, std::string_view payload) {
  std::string out;
  const size_t begin = BeginFrame(kind, out);
  out.append(payload);
  EndFrame(begin, out);
  return out;
}

raft::Message MessageWithEntries(uint64_t term, std::vector<std::string> payloads) {
  raft::AppendRequest append;
  append.prev_index = raft::LogIndex(7);
  append.prev_term = raft::Term(2);
  append.commit = raft::LogIndex(6);
  append.round = 11;
  for (size_t i = 0; i < payloads.size(); ++i) {
    append.entries.push_back({.term = raft::Term(term),
                              .index = raft::LogIndex(8 + i),
                              .kind = raft::EntryKind::kCommand,
                              .payload = Bytes::Copy(payloads[i])});
  }
  return {raft::NodeId(1), raft::NodeId(2), raft::Term(term), std::move(append)};
}

TEST(Frame, ComesBackWithKindPayloadAndWholeSize) {
  const std::string bytes = FrameOf(FrameKind::kCall, "question") + FrameOf(FrameKind::kPing, "");
  auto first = ParseFrame(bytes, kPayloadBytesMax);
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_EQ((*first)->kind, FrameKind::kCall);
  EXPECT_EQ((*first)->payload, "question");
  EXPECT_EQ((*first)->size(), kFrameHeaderBytes + 8);

  auto second = ParseFrame(std::string_view(bytes).substr((*first)->size()), kPayloadBytesMax);
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_EQ((*second)->kind, FrameKind::kPing);
  EXPECT_EQ((*second)->payload, "");
}

TEST(Frame, BytesAreAsTheProtocolPageSays) {
  const std::string bytes = FrameOf(FrameKind::kPong, "12345678");
  ASSERT_EQ(bytes.size(), 17u);
  EXPECT_EQ(bytes.substr(0, 5), std::string("\x08\x00\x00\x00\x05", 5));
  EXPECT_EQ(LoadFixed32(bytes.data() + 5), 0x7dbb4ec8u) << "of the byte 5 and the payload";
}

TEST(Frame, TruncatedAtEveryByteIsNotThereYet) {
  const std::string bytes = FrameOf(FrameKind::kMessages, "some payload");
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto frame = ParseFrame(std::string_view(bytes).substr(0, size), kPayloadBytesMax);
    ASSERT_TRUE(frame.ok()) << size;
    EXPECT_FALSE(frame->has_value()) << size;
  }
}

TEST(Frame, AnyFlippedBitAfterTheSizeIsFound) {
  const std::string bytes = FrameOf(FrameKind::kMessages, "some payload");
  for (size_t bit = 4 * 8; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(ParseFrame(damaged, kPayloadBytesMax).ok()) << "bit " << bit;
  }
}

TEST(Frame, OversizeIsFoundByTheHeaderAlone) {
  const std::string largest = FrameOf(FrameKind::kMessages, std::string(100, 'x'));
  EXPECT_TRUE(ParseFrame(largest, 100).ok());
  auto oversize = ParseFrame(std::string_view(largest).substr(0, kFrameHeaderBytes), 99);
  ASSERT_FALSE(oversize.ok());
  EXPECT_THAT(MessageOf(oversize.status()), HasSubstr("100 bytes, at most 99"));
}

TEST(Frame, UnknownKindIsFoundByTheHeaderAlone) {
  for (int kind : {0, 6, 255}) {
    std::string header = FrameOf(FrameKind::kCall, "x").substr(0, kFrameHeaderBytes);
    header[4] = static_cast<char>(kind);
    EXPECT_FALSE(ParseFrame(header, kPayloadBytesMax).ok()) << kind;
  }
}

TEST(FrameMessages, ManyComeBackInOrderAndShareTheFrame) {
  const std::vector<raft::Message> sent = {MessageWithEntries(3, {"a", "bb"}),
                                           MessageWithEntries(3, {}),
                                           MessageWithEntries(4, {std::string(5000, 'z')})};
  std::string payload;
  for (const raft::Message& message : sent) AppendMessage(message, payload);
  const Bytes block = Bytes::Copy(payload);

  std::vector<raft::Message> received;
  ASSERT_TRUE(DecodeMessages(block, received).ok());
  EXPECT_EQ(received, sent);
  const std::string_view entry =
      std::get<raft::AppendRequest>(received[2].body).entries[0].payload.view();
  EXPECT_GE(entry.data(), block.view().data());
  EXPECT_LE(entry.data() + entry.size(), block.view().data() + block.size());
}

TEST(FrameMessages, TruncatedAtEveryByteIsAnErrorButAtABoundary) {
  std::string payload;
  AppendMessage(MessageWithEntries(3, {"a", "bb"}), payload);
  const size_t boundary = payload.size();
  AppendMessage(MessageWithEntries(4, {"ccc"}), payload);
  for (size_t size = 0; size < payload.size(); ++size) {
    std::vector<raft::Message> received;
    const bool ok = DecodeMessages(Bytes::Copy(payload.substr(0, size)), received).ok();
    EXPECT_EQ(ok, size == 0 || size == boundary) << size;
  }
}

TEST(FrameMessages, NoiseIsNeverMoreThanAnError) {
  Random random(1);
  std::string valid;
  AppendMessage(MessageWithEntries(3, {"a", "bb", "ccc"}), valid);
  for (int round = 0; round < 20'000; ++round) {
    std::string noise = valid;
    for (uint64_t hits = random.Between(1, 4); hits > 0; --hits) {
      noise[random.Below(noise.size())] = static_cast<char>(random.Next());
    }
    std::vector<raft::Message> received;
    const absl::Status status = DecodeMessages(Bytes::Copy(noise), received);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(FrameCall, ComesBackAndIsRefusedWhenCutShort) {
  std::string payload;
  AppendCall({.call = 77, .method = PeerMethod::kLeaseTimeToLive, .request = "req"}, payload);
  auto call = DecodeCall(payload);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->call, 77u);
  EXPECT_EQ(call->method, PeerMethod::kLeaseTimeToLive);
  EXPECT_EQ(call->request, "req");
  for (size_t size = 0; size < 9; ++size) {
    EXPECT_FALSE(DecodeCall(std::string_view(payload).substr(0, size)).ok()) << size;
  }
}

TEST(FrameAnswer, CarriesTheAnswerOrTheErrorUnchanged) {
  const absl::StatusOr<std::string> answers[] = {
      std::string("ok"), std::string(),
      absl::NotFoundError("etcdserver: requested lease not found"), absl::UnauthenticatedError("")};
  for (const absl::StatusOr<std::string>& answer : answers) {
    std::string payload;
    AppendAnswer(9, answer, payload);
    auto decoded = DecodeAnswer(payload);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->call, 9u);
    EXPECT_EQ(decoded->answer.status(), answer.status());
    if (answer.ok()) {
      EXPECT_EQ(*decoded->answer, *answer);
    }
  }
}

TEST(FrameAnswer, CutShortOrOfUnknownCodeIsRefused) {
  std::string payload;
  AppendAnswer(9, absl::NotFoundError("gone"), payload);
  for (size_t size = 0; size < 9; ++size) {
    EXPECT_FALSE(DecodeAnswer(std::string_view(payload).substr(0, size)).ok()) << size;
  }
  payload[8] = 17;
  EXPECT_FALSE(DecodeAnswer(payload).ok());
}

TEST(FramePing, ComesBackAndHasOneSize) {
  std::string payload;
  AppendPing(123'456'789'012, payload);
  EXPECT_EQ(DecodePing(payload).value(), 123'456'789'012u);
  EXPECT_FALSE(DecodePing(payload + "x").ok());
  EXPECT_FALSE(DecodePing(std::string_view(payload).substr(1)).ok());
}

}  // namespace
}  // namespace conclave::server
