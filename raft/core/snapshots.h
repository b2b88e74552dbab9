// Members that are too far behind for the log (thesis 5). The leader offers its state, the follower
// has it fetched at its own pace, and starts its log anew after it. The state itself is not the
// core's business: the stages fetch and install it (core.h, SnapshotFetched and rule R2). Raft
// lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// Leader: `peer` needs what is no longer in the log. Offers the state, once per heartbeat.
void OfferSnapshot(CoreState& state, NodeId id, Peer& peer);

// Follower.
void OnSnapshotOffer(CoreState& state, NodeId from, const SnapshotOffer& offer);
// The state is here: begins its installation if it is still of use.
void OnSnapshotFetched(CoreState& state, const LogStart& start);
// The state machine has taken the state that was being installed, durably.
void OnInstalled(CoreState& state);

}  // namespace conclave::raft
