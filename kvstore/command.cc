#include "kvstore/command.h"

#include <string>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::kv {
namespace {

constexpr size_t kProposerOffset = 1;
constexpr size_t kRequestIdOffset = 9;
// In the byte of the kind: an identity follows the header.
constexpr uint8_t kIdentityFlag = 0x80;
constexpr size_t kIdentityBytesMax = 1 + kRequestIdBytesMax + 8;

void StoreLittleEndian(uint64_t value, char* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i));
}

uint64_t LoadLittleEndian(const char* in) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  }
  return value;
}

// No default: the compiler asks for a new kind to be added here.
bool IsKnown(CommandKind kind) {
  switch (kind) {
    case CommandKind::kPut:
    case CommandKind::kDeleteRange:
    case CommandKind::kTxn:
    case CommandKind::kCompact:
    case CommandKind::kLeaseGrant:
    case CommandKind::kLeaseRevoke:
    case CommandKind::kMemberAttributes:
    case CommandKind::kAlarm:
    case CommandKind::kMemberAdd:
    case CommandKind::kMemberRemove:
    case CommandKind::kMemberPromote:
    case CommandKind::kMemberUpdate:
    case CommandKind::kLeaseCheckpoint:
    case CommandKind::kQuotaAlarm:
    case CommandKind::kDivergenceAlarm:
      return true;
  }
  return false;
}

}  // namespace

bool TakesIdentity(CommandKind kind) {
  switch (kind) {
    case CommandKind::kPut:
    case CommandKind::kDeleteRange:
    case CommandKind::kTxn:
    case CommandKind::kCompact:
    case CommandKind::kLeaseGrant:
    case CommandKind::kLeaseRevoke:
      return true;
    default:
      return false;
  }
}

Bytes EncodeCommand(const CommandHeader& header, std::string_view request,
                    const RequestIdentity& identity) {
  char encoded[kCommandHeaderBytes + kIdentityBytesMax];
  encoded[0] = static_cast<char>(header.kind);
  StoreLittleEndian(header.proposer, encoded + kProposerOffset);
  StoreLittleEndian(header.request_id, encoded + kRequestIdOffset);
  size_t size = kCommandHeaderBytes;
  if (identity.present()) {
    CHECK(TakesIdentity(header.kind) && IsRequestId(identity.id));
    encoded[0] = static_cast<char>(static_cast<uint8_t>(header.kind) | kIdentityFlag);
    encoded[size++] = static_cast<char>(identity.id.size());
    size += identity.id.copy(encoded + size, identity.id.size());
    StoreLittleEndian(identity.fingerprint, encoded + size);
    size += 8;
  }
  return Bytes::Concat({encoded, size}, request);
}

absl::StatusOr<Command> DecodeCommand(std::string_view payload) {
  if (payload.size() < kCommandHeaderBytes) {
    return absl::DataLossError(
        fmt::format("command of {} bytes is shorter than its header", payload.size()));
  }
  Command command;
  const auto first = static_cast<uint8_t>(payload[0]);
  const bool has_identity = (first & kIdentityFlag) != 0;
  command.header.kind = static_cast<CommandKind>(first & ~kIdentityFlag);
  if (!IsKnown(command.header.kind) || (has_identity && !TakesIdentity(command.header.kind))) {
    return absl::DataLossError(
        fmt::format("unknown command kind {}", static_cast<unsigned char>(payload[0])));
  }
  command.header.proposer = LoadLittleEndian(payload.data() + kProposerOffset);
  command.header.request_id = LoadLittleEndian(payload.data() + kRequestIdOffset);
  ByteReader rest(payload.substr(kCommandHeaderBytes));
  if (has_identity) {
    command.identity.id = rest.Take(rest.Byte());
    command.identity.fingerprint = rest.Fixed64();
    if (!rest.ok() || !IsRequestId(command.identity.id)) {
      return absl::DataLossError("a command's identity is damaged");
    }
  }
  command.request = rest.Take(rest.remaining());
  return command;
}

}  // namespace conclave::kv
