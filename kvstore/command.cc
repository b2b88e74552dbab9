#include "kvstore/command.h"

#include <string>

#include "fmt/format.h"

namespace conclave::kv {
namespace {

constexpr size_t kProposerOffset = 1;
constexpr size_t kRequestIdOffset = 9;

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
      return true;
  }
  return false;
}

}  // namespace

Bytes EncodeCommand(const CommandHeader& header, std::string_view request) {
  char encoded[kCommandHeaderBytes];
  encoded[0] = static_cast<char>(header.kind);
  StoreLittleEndian(header.proposer, encoded + kProposerOffset);
  StoreLittleEndian(header.request_id, encoded + kRequestIdOffset);
  return Bytes::Concat({encoded, kCommandHeaderBytes}, request);
}

absl::StatusOr<Command> DecodeCommand(std::string_view payload) {
  if (payload.size() < kCommandHeaderBytes) {
    return absl::DataLossError(
        fmt::format("command of {} bytes is shorter than its header", payload.size()));
  }
  Command command;
  command.header.kind = static_cast<CommandKind>(payload[0]);
  if (!IsKnown(command.header.kind)) {
    return absl::DataLossError(
        fmt::format("unknown command kind {}", static_cast<unsigned char>(payload[0])));
  }
  command.header.proposer = LoadLittleEndian(payload.data() + kProposerOffset);
  command.header.request_id = LoadLittleEndian(payload.data() + kRequestIdOffset);
  command.request = payload.substr(kCommandHeaderBytes);
  return command;
}

}  // namespace conclave::kv
