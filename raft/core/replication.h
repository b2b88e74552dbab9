// The leader's side of the log: what each peer is sent, what its answers say, and what is committed
// by them (thesis 3.5, 3.6.2, 10.2.1). Sending is deferred to the end of the take, so that
// everything proposed in one drain goes out in one AppendRequest for each peer, while this member's
// own disk writes the same entries. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

void OnAppendResponse(CoreState& state, NodeId from, const AppendResponse& response);
void OnHeartbeatResponse(CoreState& state, NodeId from, const HeartbeatResponse& response);
// What was on its way to `peer` may be lost.
void OnPeerLost(Leader& leader, NodeId peer);

// This member's own log became durable further (it counts itself like any peer), or a peer's did:
// commits what a quorum holds. Nothing happens unless leading.
void MaybeCommit(CoreState& state);

// Fills state.messages with what every peer should get now. Requires to be leading.
void SendToPeers(CoreState& state);

// How far every member of the configuration holds the log durably, as far as this member knows.
// Never falls.
LogIndex HeldEverywhere(const CoreState& state);

}  // namespace conclave::raft
