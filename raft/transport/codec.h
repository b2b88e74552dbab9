// Bytes of the messages between members: a flat little-endian encoding of our own, so that entries
// of a received AppendRequest are slices of the frame and are never copied. One message encodes to
// one byte string; framing, checksums and the handshake belong to the transport.
// docs/peer-protocol.md has the layout. Any lane.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "raft/base/bytes.h"
#include "raft/core/message.h"

namespace conclave::raft {

// Appends the encoding of `message` to `out`.
void EncodeMessage(const Message& message, std::string& out);

// The message in `bytes`, its entry payloads being slices of it. InvalidArgument says what is
// wrong; never reads outside, whatever the bytes.
absl::StatusOr<Message> DecodeMessage(const Bytes& bytes);

}  // namespace conclave::raft
