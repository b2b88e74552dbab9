// Questions from member to member outside the log, over the same connections as raft's messages:
// what a follower cannot answer alone (lease renewals and remaining times, changes of membership)
// it asks the leader. The seam beside raft::Transport; the real implementation is
// server/peer/peer_network.h. On the raft lane.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "raft/base/types.h"

namespace conclave::server {

// Numbers are on the wire: never change or reuse one. Requests and answers are Protobuf messages
// where one is named.
enum class PeerMethod : uint8_t {
  kLeaseKeepAlive = 1,   // etcdserverpb.LeaseKeepAliveRequest and Response
  kLeaseTimeToLive = 2,  // etcdserverpb.LeaseTimeToLiveRequest and Response
  kMembers = 3,          // peerpb.MembersRequest and Response; the one that a guest may ask
  kMemberChange = 4,     // peerpb.MemberChangeRequest, and the etcdserverpb response of the change
  kSnapshotChunk = 5,    // server/stages/snapshot_wire.h
  kCompareChain = 6,     // server/stages/chain_wire.h
};

class PeerCalls {
 public:
  using Answer = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
  // Answers `request` once, now or later; an error's code and text reach the caller unchanged.
  using Handler = absl::AnyInvocable<void(std::string_view request, Answer answer)>;

  virtual ~PeerCalls() = default;

  // Who answers the questions of one method; nullptr for nobody, and the asker gets Unimplemented.
  virtual void SetHandler(PeerMethod method, Handler handler) = 0;

  // Since when questions can be sent to `peer` without a break; nothing if they cannot now.
  virtual std::optional<Instant> ConnectedSince(raft::NodeId peer) const = 0;

  // `answer` runs once: with the peer's answer, with ErrTimeout (errors table) after `timeout`, or
  // with ErrNoLeader if the connection is not there or breaks. The request may have been carried
  // out in all cases.
  virtual void CallPeer(raft::NodeId peer, PeerMethod method, std::string request, Duration timeout,
                        Answer answer) = 0;
};

}  // namespace conclave::server
