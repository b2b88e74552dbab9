// Leadership transfer (thesis 3.10): the leader stops taking proposals, brings the target up to
// date, and tells it to campaign at once. If that has not worked within an election timeout, it
// goes on leading. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// To `target`, or to the voter with the most complete log if it is kNoNode. Ignored unless leading,
// and if the target is not another voter.
void OnTransferRequested(CoreState& state, NodeId target);
// The target's log grew: tells it to campaign once it has everything.
void ContinueTransfer(CoreState& state, const Leader& leader);
void AbortTransfer(Leader& leader);

// For a leader that goes at once: tells the best voter that has everything to campaign, if there is
// one.
void SendTimeoutNowToBest(CoreState& state, const Leader& leader);

// The leader of this term wants this member to succeed it.
void OnTimeoutNow(CoreState& state, NodeId from);

}  // namespace conclave::raft
