// What a member must know to talk to the others: who they are, where they listen, and the bounds
// and times of the peer connections. Filled from the configuration in main, read by every class of
// server/peer. Plain values, any lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "raft/base/executor.h"
#include "raft/base/time.h"
#include "raft/base/types.h"
#include "server/net/event_loop.h"

namespace conclave::server {

struct PeerAddress {
  raft::NodeId id;
  std::vector<std::string> urls;  // tried in turn
};

struct PeerNetworkOptions {
  uint64_t cluster_id = 0;
  raft::NodeId id;                       // this member
  std::vector<std::string> listen_urls;  // empty: nobody can connect to this member
  std::vector<PeerAddress> peers;        // as of PeerNetwork::SetPeers
  std::vector<std::string> own_urls;     // where others reach this member, as it tells strangers
  uint64_t seed = 0;                     // of the pauses between attempts to connect

  Duration election_timeout = Seconds(1);  // a peer silent for this long is taken for dead
  Duration connect_timeout = Seconds(1);
  Duration handshake_timeout = Seconds(2);  // from connected to agreed, at both ends
  Duration redial_min =
      Milliseconds(50);  // pause after the first failed round of addresses; doubles
  Duration redial_max = Milliseconds(500);

  // Output that waits for one peer, in bytes. While it is above this, bulk (entries, proposals) is
  // dropped; the last message taken may exceed it by its own size. What elections and quorum rounds
  // need is taken for as many bytes more as the reserve.
  size_t queue_bytes_max = 16 << 20;
  size_t queue_bytes_reserve = 1 << 20;
  // One encoded raft message, one call, one answer. Larger ones are dropped, or refused when they
  // arrive; so the same at all members, and above any request that clients may send.
  size_t message_bytes_max = 32 << 20;
  size_t calls_pending_max = 16384;  // questions to all peers not yet answered
  size_t handshakes_max = 128;  // connections of guests and of those who have not said who they are
  size_t strangers_max = 16;    // peers that are in no list, and say themselves where they listen
  Duration stranger_stay = Seconds(10);  // of one without a connection; then it is forgotten

  // One line for people about a connection: opened, lost, refused and why.
  absl::AnyInvocable<void(std::string_view line)> log = [](std::string_view) {};
  // Whether a member of this cluster once had the id and was removed.
  absl::AnyInvocable<bool(raft::NodeId id)> is_removed = [](raft::NodeId) { return false; };
  // A peer says that this member itself was removed. Told once, from a task of its own.
  absl::AnyInvocable<void()> removed = [] {};
  // A ping to `peer` came back after `elapsed`, which includes what was queued before it.
  absl::AnyInvocable<void(raft::NodeId peer, Duration elapsed)> round_trip = [](raft::NodeId,
                                                                                Duration) {};
};

// A frame is sent once it holds this many bytes, so that the receiver need not wait for the whole
// of a large batch.
inline constexpr size_t kFrameBytesTarget = 256 << 10;

// Payload bytes of the largest frame: one that was just below the target and took one more message
// and its size.
inline size_t FramePayloadBytesMax(const PeerNetworkOptions& options) {
  return kFrameBytesTarget + sizeof(uint32_t) + options.message_bytes_max;
}

// A guest's questions are empty but for their number; what it does not read of the answers and
// pongs is kept up to this and one answer more. Whatever goes beyond ends its connection.
inline constexpr size_t kGuestPayloadBytesMax = 1 << 10;
inline constexpr size_t kGuestUnreadBytesMax = 64 << 10;

// The most that may wait for one peer before even a heartbeat is dropped, in bytes.
inline size_t QueueBytesLimit(const PeerNetworkOptions& options) {
  return options.queue_bytes_max + FramePayloadBytesMax(options) + options.queue_bytes_reserve;
}

// A peer is given up after this many pings of ours without a byte from it; they fill an election
// timeout.
inline constexpr int kSilentTicksMax = 5;

// What every connection of one PeerNetwork stands on; outlives them.
struct PeerContext {
  EventLoop* loop = nullptr;
  Executor* background = nullptr;  // may block: asks the name service
  PeerNetworkOptions* options = nullptr;
};

}  // namespace conclave::server
