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

// The most that a hello says of where its sender listens.
inline constexpr size_t kHelloUrlsBytesMax = 4096;

// The layout of Hello and Verdict is the same in every version: they decide which version is
// spoken.
struct Hello {
  uint32_t version = kPeerProtocolVersion;
  uint64_t cluster_id = 0;
  raft::NodeId from;  // who dials
  raft::NodeId to;    // whom it wants to reach
  // Where `from` listens, separated by commas: a member that was down while others joined has no
  // other way to find them. At most kHelloUrlsBytesMax.
  std::string urls = {};
  friend bool operator==(const Hello&, const Hello&) = default;

  // Of one that does not belong yet: it wants any member, of any cluster if cluster_id is 0, and
  // may not know its own id.
  bool guest() const { return to == raft::kNoNode; }
};

// Numbers are on the wire: never change or reuse one.
enum class VerdictKind : uint8_t {
  kAccepted = 0,
  kRefused = 1,
  kRemoved = 2,  // refused: `from` was a member of this cluster and was removed, for good
};

struct Verdict {
  uint32_t version = kPeerProtocolVersion;  // the accepting member's
  uint64_t cluster_id = 0;                  // the accepting member's
  raft::NodeId from;                        // the accepting member
  VerdictKind kind = VerdictKind::kAccepted;
  std::string refusal;  // why not; at most 255 bytes are sent
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
// Whether the one that was wanted says that `hello.from` was removed. Nobody else is believed.
bool SaysRemoved(const Verdict& verdict, const Hello& hello);

}  // namespace conclave::server
