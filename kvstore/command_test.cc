// The layout of a log entry's payload, byte by byte, and what is refused.
#include "kvstore/command.h"

#include <string>

#include "gtest/gtest.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

std::string EncodedTxn(std::string_view request) {
  return std::string(EncodeCommand({.kind = CommandKind::kTxn,
                                    .proposer = 0x0102030405060708u,
                                    .request_id = 0xf1f2f3f4f5f6f7f8u},
                                   request)
                         .view());
}

TEST(Command, LayoutIsKindThenLittleEndianIdsThenRequest) {
  const std::string expected =
      "\x03"
      "\x08\x07\x06\x05\x04\x03\x02\x01"
      "\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1"
      "request";
  EXPECT_EQ(EncodedTxn("request"), expected);
}

TEST(Command, DecodesWhatWasEncoded) {
  const std::string request("\0\x11\xff", 3);
  const std::string payload = EncodedTxn(request);
  const absl::StatusOr<Command> command = DecodeCommand(payload);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->header.kind, CommandKind::kTxn);
  EXPECT_EQ(command->header.proposer, 0x0102030405060708u);
  EXPECT_EQ(command->header.request_id, 0xf1f2f3f4f5f6f7f8u);
  EXPECT_EQ(command->request, request);
  EXPECT_EQ(command->request.data(), payload.data() + kCommandHeaderBytes) << "must not copy";
}

TEST(Command, IdentityStandsBetweenHeaderAndRequest) {
  const RequestIdentity identity{.id = "sixteen-bytes-id", .fingerprint = 0x0102030405060708u};
  const Bytes payload = EncodeCommand({.kind = CommandKind::kTxn}, "request", identity);
  std::string expected(1, '\x83');
  expected.append(16, '\0');
  expected.append("\x10");
  expected.append("sixteen-bytes-id");
  expected.append("\x08\x07\x06\x05\x04\x03\x02\x01");
  expected.append("request");
  EXPECT_EQ(payload.view(), expected);
  const absl::StatusOr<Command> command = DecodeCommand(payload.view());
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->header.kind, CommandKind::kTxn);
  EXPECT_EQ(command->identity.id, identity.id);
  EXPECT_EQ(command->identity.fingerprint, identity.fingerprint);
  EXPECT_EQ(command->request, "request");
  for (size_t size = 0; size < payload.size() - 7; ++size) {
    EXPECT_EQ(DecodeCommand(payload.view().substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST(Command, ADamagedIdIsDataLoss) {
  const Bytes payload = EncodeCommand({.kind = CommandKind::kPut}, "", {.id = "sixteen-bytes-id"});
  std::string damaged(payload.view());
  damaged[kCommandHeaderBytes + 3] = ' ';
  EXPECT_EQ(DecodeCommand(damaged).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Command, WithoutIdentityThereIsNone) {
  const std::string payload = EncodedTxn("request");
  EXPECT_FALSE(DecodeCommand(payload)->identity.present());
}

TEST(Command, EmptyRequestIsACommand) {
  const std::string payload = EncodedTxn("");
  ASSERT_EQ(payload.size(), kCommandHeaderBytes);
  const absl::StatusOr<Command> command = DecodeCommand(payload);
  ASSERT_TRUE(command.ok());
  EXPECT_TRUE(command->request.empty());
}

TEST(Command, EveryTruncationOfTheHeaderIsDataLoss) {
  const std::string payload = EncodedTxn("");
  for (size_t size = 0; size < payload.size(); ++size) {
    const absl::StatusOr<Command> command = DecodeCommand(payload.substr(0, size));
    EXPECT_EQ(command.status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(Command, OnlyTheFifteenKindsAreKnown) {
  std::string payload = EncodedTxn("");
  for (int kind = 0; kind <= 255; ++kind) {
    payload[0] = static_cast<char>(kind);
    const absl::StatusOr<Command> command = DecodeCommand(payload);
    const std::string identity =
        "\x10"
        "sixteen-bytes-id"
        "12345678";
    if (kind >= 128) {
      EXPECT_EQ(command.status().code(), absl::StatusCode::kDataLoss) << kind;
      const absl::StatusOr<Command> with = DecodeCommand(payload + identity);
      EXPECT_EQ(with.ok(), kind >= 129 && kind <= 134) << kind;
    } else if (kind >= 1 && kind <= 15) {
      ASSERT_TRUE(command.ok()) << kind;
      EXPECT_EQ(static_cast<int>(command->header.kind), kind);
    } else {
      EXPECT_EQ(command.status().code(), absl::StatusCode::kDataLoss) << kind;
    }
  }
}

}  // namespace
}  // namespace conclave::kv
