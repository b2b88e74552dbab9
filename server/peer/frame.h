// Frames: how the bytes of a connection between members are cut into pieces. A frame is
//   payload size u32 | kind u8 | CRC32C u32 of kind and payload | payload
// in little-endian (docs/peer-protocol.md). Writing goes straight into a connection's output,
// reading looks at its input where it lies. Used by PeerStream; pure functions of their arguments,
// any lane. No input, whatever its bytes, does more than return an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/bytes.h"
#include "raft/core/message.h"
#include "server/peer/peer_calls.h"

namespace conclave::server {

// Numbers are on the wire: never change or reuse one.
enum class FrameKind : uint8_t {
  kMessages = 1,  // raft messages, each with its size in front
  kCall = 2,      // a question of PeerCalls
  kAnswer = 3,    // its answer
  kPing = 4,      // the sender's clock, to be sent back unchanged in a kPong
  kPong = 5,
};

inline constexpr size_t kFrameHeaderBytes = 9;

// Starts a frame at the end of `out` and returns its offset; the payload is appended to `out` next.
size_t BeginFrame(FrameKind kind, std::string& out);
// Ends the frame that began at `begin`: everything after its header is its payload.
void EndFrame(size_t begin, std::string& out);

// A frame at the front of some input; `payload` points into it.
struct Frame {
  FrameKind kind = FrameKind::kMessages;
  std::string_view payload;
  size_t size() const { return kFrameHeaderBytes + payload.size(); }
};

// The frame at the front of `input`, or nothing if its end has not arrived. DataLoss if the size is
// above `payload_bytes_max`, the kind unknown or the checksum wrong: the stream cannot be trusted
// any more. A bad size or kind is found as soon as the header is there.
absl::StatusOr<std::optional<Frame>> ParseFrame(std::string_view input, size_t payload_bytes_max);

// Appends `message` to the payload of a kMessages frame.
void AppendMessage(const raft::Message& message, std::string& out);
// Appends the messages of a kMessages payload to `messages`; the payloads of their entries are
// slices of it. DataLoss if the payload is not whole messages.
absl::Status DecodeMessages(const Bytes& payload, std::vector<raft::Message>& messages);

// The payload of a kCall frame. The method may be one that this member does not know.
struct CallFrame {
  uint64_t call = 0;  // chosen by the caller, unique on its connection
  PeerMethod method{};
  std::string_view request;
};
void AppendCall(const CallFrame& call, std::string& out);
absl::StatusOr<CallFrame> DecodeCall(std::string_view payload);

// The payload of a kAnswer frame: an answer, or an error's code and text.
void AppendAnswer(uint64_t call, const absl::StatusOr<std::string>& answer, std::string& out);
struct AnswerFrame {
  uint64_t call = 0;
  absl::StatusOr<std::string> answer;
};
absl::StatusOr<AnswerFrame> DecodeAnswer(std::string_view payload);

// The payload of kPing and kPong: the sender's monotonic clock in nanoseconds, which means nothing
// to anybody else.
void AppendPing(uint64_t sent_ns, std::string& out);
absl::StatusOr<uint64_t> DecodePing(std::string_view payload);

}  // namespace conclave::server
