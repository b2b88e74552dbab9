// The handshake of a connection between members: the dialling one says who it is and whom it wants
// (Hello), the accepting one agrees or says why not (Verdict), so that both ends can log the
// reason. Two clusters, or two members, that are configured with each other's addresses never
// exchange a message. Layout in docs/peer-protocol.md. Pure functions, any lane; no input does more
// than return an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/types.h"

namespace conclave::server {

// Version 1 is the first. A member accepts only its own version, until there is a second.
inline constexpr uint32_t kPeerProtocolVersion = 1;

// The layout of Hello and Verdict is the same in every version: they decide which version is
// spoken.
struct Hello {
  uint32_t version = kPeerProtocolVersion;
  uint64_t cluster_id = 0;
  raft::NodeId from;  // who dials
  raft::NodeId to;    // whom it wants to reach
  friend bool operator==(const Hello&, const Hello&) = default;
};

struct Verdict {
  uint32_t version = kPeerProtocolVersion;  // the accepting member's
  uint64_t cluster_id = 0;                  // the accepting member's
  raft::NodeId from;                        // the accepting member
  std::string refusal;  // why not; empty if accepted; at most 255 bytes are sent
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

void AppendHello(const Hello& hello, std::string& out);
void AppendVerdict(const Verdict& verdict, std::string& out);

// What is at the front of some input and how many bytes of it that took.
template <typename T>
struct Parsed {
  T value;
  size_t size = 0;
};

// Nothing if the end has not arrived; InvalidArgument as soon as the input cannot be the wanted
// thing.
absl::StatusOr<std::optional<Parsed<Hello>>> ParseHello(std::string_view input);
absl::StatusOr<std::optional<Parsed<Verdict>>> ParseVerdict(std::string_view input);

// Why the member `self` of `cluster_id` must not talk to whoever sent `hello`, in words for both
// logs; empty if it may. Whether it knows `hello.from` is the caller's to judge.
std::string ReasonToRefuse(const Hello& hello, uint64_t cluster_id, raft::NodeId self);
// The same for the dialling member, which wanted `hello.to`: first what the other end said, then
// what it is.
std::string ReasonToRefuse(const Verdict& verdict, const Hello& hello);

}  // namespace conclave::server
