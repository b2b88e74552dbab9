#include "server/peer/frame.h"

#include <limits>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/base/text.h"
#include "raft/transport/codec.h"

namespace conclave::server {
namespace {

constexpr size_t kKindAt = 4;
constexpr size_t kChecksumAt = 5;

uint32_t Checksum(std::string_view kind, std::string_view payload) {
  return ExtendCrc32c(Crc32c(kind), payload);
}

bool IsKnown(uint8_t kind) {
  return kind >= static_cast<uint8_t>(FrameKind::kMessages) &&
         kind <= static_cast<uint8_t>(FrameKind::kPong);
}

// The gRPC codes, which are absl's number for number.
constexpr uint8_t kLastStatusCode = 16;

}  // namespace

size_t BeginFrame(FrameKind kind, std::string& out) {
  const size_t begin = out.size();
  PutFixed32(out, 0);
  PutByte(out, static_cast<uint8_t>(kind));
  PutFixed32(out, 0);
  return begin;
}

void EndFrame(size_t begin, std::string& out) {
  const std::string_view frame = std::string_view(out).substr(begin);
  CHECK(frame.size() >= kFrameHeaderBytes);
  const std::string_view payload = frame.substr(kFrameHeaderBytes);
  CHECK(payload.size() <= std::numeric_limits<uint32_t>::max());
  const uint32_t checksum = Checksum(frame.substr(kKindAt, 1), payload);
  StoreFixed32(out.data() + begin + kChecksumAt, checksum);
  StoreFixed32(out.data() + begin, static_cast<uint32_t>(payload.size()));
}

absl::StatusOr<std::optional<Frame>> ParseFrame(std::string_view input, size_t payload_bytes_max) {
  if (input.size() < kFrameHeaderBytes) return std::nullopt;
  const size_t payload_size = LoadFixed32(input.data());
  if (payload_size > payload_bytes_max) {
    return absl::DataLossError(
        fmt::format("frame of {} bytes, at most {} allowed", payload_size, payload_bytes_max));
  }
  const uint8_t kind = static_cast<uint8_t>(input[kKindAt]);
  if (!IsKnown(kind)) return absl::DataLossError(fmt::format("unknown frame kind {}", kind));
  if (input.size() - kFrameHeaderBytes < payload_size) return std::nullopt;
  const std::string_view payload = input.substr(kFrameHeaderBytes, payload_size);
  if (Checksum(input.substr(kKindAt, 1), payload) != LoadFixed32(input.data() + kChecksumAt)) {
    return absl::DataLossError("frame with a wrong checksum");
  }
  return Frame{.kind = static_cast<FrameKind>(kind), .payload = payload};
}

void AppendMessage(const raft::Message& message, std::string& out) {
  const size_t begin = out.size();
  PutFixed32(out, 0);
  raft::EncodeMessage(message, out);
  const size_t size = out.size() - begin - sizeof(uint32_t);
  CHECK(size <= std::numeric_limits<uint32_t>::max());
  StoreFixed32(out.data() + begin, static_cast<uint32_t>(size));
}

absl::Status DecodeMessages(const Bytes& payload, std::vector<raft::Message>& messages) {
  ByteReader reader(payload.view());
  while (reader.remaining() > 0) {
    const uint32_t size = reader.Fixed32();
    const size_t offset = reader.offset();
    reader.Take(size);
    if (!reader.ok()) return absl::DataLossError("message longer than its frame");
    absl::StatusOr<raft::Message> message = raft::DecodeMessage(payload.Slice(offset, size));
    if (!message.ok()) {
      return absl::DataLossError(fmt::format("bad message: {}", MessageOf(message.status())));
    }
    messages.push_back(*std::move(message));
  }
  return absl::OkStatus();
}

void AppendCall(const CallFrame& call, std::string& out) {
  PutFixed64(out, call.call);
  PutByte(out, static_cast<uint8_t>(call.method));
  out.append(call.request);
}

absl::StatusOr<CallFrame> DecodeCall(std::string_view payload) {
  ByteReader reader(payload);
  CallFrame call;
  call.call = reader.Fixed64();
  call.method = static_cast<PeerMethod>(reader.Byte());
  call.request = reader.Take(reader.remaining());
  if (!reader.ok()) return absl::DataLossError("call cut short");
  return call;
}

void AppendAnswer(uint64_t call, const absl::StatusOr<std::string>& answer, std::string& out) {
  PutFixed64(out, call);
  PutByte(out, static_cast<uint8_t>(answer.status().code()));
  out.append(answer.ok() ? std::string_view(*answer) : MessageOf(answer.status()));
}

absl::StatusOr<AnswerFrame> DecodeAnswer(std::string_view payload) {
  ByteReader reader(payload);
  const uint64_t call = reader.Fixed64();
  const uint8_t code = reader.Byte();
  const std::string_view text = reader.Take(reader.remaining());
  if (!reader.ok()) return absl::DataLossError("answer cut short");
  if (code > kLastStatusCode) {
    return absl::DataLossError(fmt::format("answer with unknown status code {}", code));
  }
  if (code == 0) return AnswerFrame{call, std::string(text)};
  return AnswerFrame{call, absl::Status(static_cast<absl::StatusCode>(code), ToAbsl(text))};
}

void AppendPing(uint64_t sent_ns, std::string& out) { PutFixed64(out, sent_ns); }

absl::StatusOr<uint64_t> DecodePing(std::string_view payload) {
  ByteReader reader(payload);
  const uint64_t sent_ns = reader.Fixed64();
  if (!reader.finished()) return absl::DataLossError("ping of a wrong size");
  return sent_ns;
}

}  // namespace conclave::server
