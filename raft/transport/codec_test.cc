#include "raft/transport/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "raft/base/random.h"

namespace conclave::raft {
namespace {

// Small numbers and large ones, so that every width of a varint is met.
uint64_t AnyNumber(Random& random) { return random.Next() >> random.Below(64); }

Bytes AnyBytes(Random& random) {
  std::string bytes(random.OneIn(3) ? 0 : random.Below(300), '\0');
  for (char& c : bytes) c = static_cast<char>(random.Next());
  return Bytes::Copy(bytes);
}

AppendRequest AnyAppendRequest(Random& random) {
  AppendRequest body;
  body.prev_index = LogIndex(AnyNumber(random) / 2);
  body.prev_term = Term(AnyNumber(random));
  body.commit = LogIndex(AnyNumber(random));
  body.everywhere = LogIndex(AnyNumber(random));
  body.round = AnyNumber(random);
  LogIndex index = body.prev_index;
  for (uint64_t left = random.Below(5); left > 0; --left) {
    const auto kind = static_cast<EntryKind>(random.Below(3));
    body.entries.push_back({Term(AnyNumber(random)), ++index, kind, AnyBytes(random)});
  }
  return body;
}

MessageBody AnyBody(Random& random, size_t alternative) {
  const auto flag = [&] { return random.OneIn(2); };
  const auto number = [&] { return AnyNumber(random); };
  switch (alternative) {
    case 0:
      return VoteRequest{flag(), flag(), LogIndex(number()), Term(number())};
    case 1:
      return VoteResponse{flag(), flag()};
    case 2:
      return AnyAppendRequest(random);
    case 3:
      return AppendResponse{flag(),  LogIndex(number()), LogIndex(number()), Term(number()), flag(),
                            number()};
    case 4:
      return Heartbeat{LogIndex(number()), number(), LogIndex(number())};
    case 5:
      return HeartbeatResponse{number(), static_cast<uint32_t>(number())};
    case 6:
      return ReadIndexRequest{ReadId(number())};
    case 7:
      return ReadIndexResponse{ReadId(number()), flag(), LogIndex(number())};
    case 8: {
      ProposeRequest body;
      for (uint64_t left = random.Below(5); left > 0; --left) {
        Proposal& proposal = body.proposals.emplace_back();
        proposal.id = ProposalId(number());
        proposal.payload = AnyBytes(random);
        for (uint64_t changes = random.Below(3); changes > 0; --changes) {
          const auto kind = static_cast<MemberChangeKind>(random.Between(1, 3));
          proposal.changes.push_back({kind, NodeId(random.Next())});
        }
      }
      return body;
    }
    case 9: {
      ProposeResponse body{static_cast<RejectReason>(random.Below(5)), {}};
      for (uint64_t left = random.Below(5); left > 0; --left) {
        body.rejected.push_back(ProposalId(number()));
      }
      return body;
    }
    case 10:
      return TimeoutNow{};
    default:
      return SnapshotOffer{LogIndex(number())};
  }
}

Message AnyMessage(Random& random, size_t alternative) {
  Message message;
  message.from = NodeId(random.Next());
  message.to = NodeId(random.Next());
  message.term = Term(AnyNumber(random));
  message.body = AnyBody(random, alternative);
  return message;
}

std::string Encoded(const Message& message) {
  std::string out;
  EncodeMessage(message, out);
  return out;
}

class CodecTest : public ::testing::TestWithParam<size_t> {};

TEST_P(CodecTest, EveryMessageIsReadBackAsItWas) {
  Random random(GetParam());
  for (int i = 0; i < 2000; ++i) {
    const Message message = AnyMessage(random, GetParam());
    ASSERT_EQ(message.body.index(), GetParam());
    const absl::StatusOr<Message> decoded = DecodeMessage(Bytes::Copy(Encoded(message)));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ASSERT_EQ(*decoded, message);
  }
}

TEST_P(CodecTest, NoBeginningOfAMessageIsAMessageAndNothingMayFollowOne) {
  Random random(GetParam() + 100);
  for (int i = 0; i < 20; ++i) {
    const std::string whole = Encoded(AnyMessage(random, GetParam()));
    for (size_t cut = 0; cut < whole.size(); ++cut) {
      const absl::StatusOr<Message> decoded = DecodeMessage(Bytes::Copy(whole.substr(0, cut)));
      ASSERT_TRUE(absl::IsInvalidArgument(decoded.status())) << cut << " of " << whole.size();
    }
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeMessage(Bytes::Copy(whole + "x")).status()));
  }
}

TEST_P(CodecTest, ChangedBytesAreRefusedOrMeanSomethingWhole) {
  Random random(GetParam() + 200);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = Encoded(AnyMessage(random, GetParam()));
    for (uint64_t changes = random.Between(1, 4); changes > 0; --changes) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    const absl::StatusOr<Message> decoded = DecodeMessage(Bytes::Copy(bytes));
    if (!decoded.ok()) continue;
    const absl::StatusOr<Message> again = DecodeMessage(Bytes::Copy(Encoded(*decoded)));
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(*again, *decoded);
  }
}

INSTANTIATE_TEST_SUITE_P(AllKinds, CodecTest,
                         ::testing::Range(size_t{0}, std::variant_size_v<MessageBody>));

TEST(CodecFuzzTest, RandomBytesAreNeverReadBeyond) {
  Random random(42);
  int refused = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string bytes(random.Below(80), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Next());
    if (!bytes.empty()) bytes[0] = static_cast<char>(random.Between(1, 12));
    if (!DecodeMessage(Bytes::Copy(bytes)).ok()) ++refused;
  }
  EXPECT_GT(refused, 0);
}

TEST(CodecTest, PayloadsAreSlicesOfTheFrame) {
  AppendRequest body;
  body.entries.push_back({Term(1), LogIndex(1), EntryKind::kCommand, Bytes::Copy("payload")});
  const Bytes frame = Bytes::Copy(Encoded({NodeId(1), NodeId(2), Term(1), body}));
  const absl::StatusOr<Message> decoded = DecodeMessage(frame);
  ASSERT_TRUE(decoded.ok());
  const std::string_view payload = std::get<AppendRequest>(decoded->body).entries[0].payload.view();
  EXPECT_EQ(payload, "payload");
  EXPECT_EQ(payload.data() + payload.size(), frame.view().data() + frame.size());
}

TEST(CodecTest, ACountIsBoundedByWhatCanFollow) {
  Message message{NodeId(1), NodeId(2), Term(1), ProposeResponse{RejectReason::kNoLeader, {}}};
  std::string bytes = Encoded(message);
  bytes.pop_back();
  bytes += "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";  // 2^64 - 1 ids
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeMessage(Bytes::Copy(bytes)).status()));
}

TEST(CodecTest, IndexesNeverWrapAround) {
  AppendRequest body;
  body.prev_index = LogIndex(UINT64_MAX - 1);
  body.entries.push_back({Term(1), LogIndex(UINT64_MAX), EntryKind::kNoop, Bytes()});
  std::string bytes = Encoded({NodeId(1), NodeId(2), Term(1), body});
  ASSERT_TRUE(DecodeMessage(Bytes::Copy(bytes)).ok());
  const size_t prev_index_at = 1 + 8 + 8 + 1;
  ASSERT_EQ(bytes[prev_index_at], '\xfe');
  bytes[prev_index_at] = '\xff';
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeMessage(Bytes::Copy(bytes)).status()));
}

TEST(CodecTest, UnknownKindsAndFlagsAreRefused) {
  std::string bytes = Encoded({NodeId(1), NodeId(2), Term(1), VoteResponse{true, true}});
  ASSERT_TRUE(DecodeMessage(Bytes::Copy(bytes)).ok());
  std::string unknown_flag = bytes;
  unknown_flag.back() = 4;
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeMessage(Bytes::Copy(unknown_flag)).status()));
  for (char kind : {char{0}, char{13}}) {
    bytes[0] = kind;
    EXPECT_EQ(DecodeMessage(Bytes::Copy(bytes)).status().message(), "a message of an unknown kind");
  }
}

// The example of docs/peer-protocol.md.
TEST(CodecTest, TheDocumentedExample) {
  AppendRequest body;
  body.prev_index = LogIndex(300);
  body.prev_term = Term(7);
  body.commit = LogIndex(299);
  body.everywhere = LogIndex(290);
  body.round = 5;
  body.entries.push_back({Term(8), LogIndex(301), EntryKind::kCommand, Bytes::Copy("hi")});
  const std::string expected(
      "\x03"
      "\x01\x00\x00\x00\x00\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "\x08"
      "\xac\x02\x07\xab\x02\x05\xa2\x02\x01"
      "\x08\x00\x02hi",
      32);
  EXPECT_EQ(Encoded({NodeId(1), NodeId(2), Term(8), body}), expected);
}

}  // namespace
}  // namespace conclave::raft
