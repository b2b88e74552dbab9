// Leadership transfer (thesis 3.10): the leader stops taking proposals, brings the target up to
// date, and tells it to campaign at once. If that has not worked within an election timeout, it
// goes on leading. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// To `target`, or to the voter that suits best if it is kNoNode: alive, well, nearly caught up, of
// the highest priority. Ignored unless leading, and if the target is not another voter.
void OnTransferRequested(CoreState& state, NodeId target);
// The target's log grew: tells it to campaign once it has everything.
void ContinueTransfer(CoreState& state, const Leader& leader);
void AbortTransfer(Leader& leader);

// For a leader that goes at once: tells the best voter that has everything to campaign, if there is
// one.
void SendTimeoutNowToBest(CoreState& state, const Leader& leader);

// `id` has told its priority. If it is higher than this leader's, and the peer is well and has
// what is committed, leadership goes to it; not before this leader has led for ten election
// timeouts, nor sooner than that after a try that failed. Elections know no priority, so that it
// costs no failover any time.
void HandOverToPreferred(CoreState& state, Leader& leader, NodeId id);
// The earliest instant for that, counted from now.
Instant NextPreference(const CoreState& state);

// The leader of this term wants this member to succeed it.
void OnTimeoutNow(CoreState& state, NodeId from);

}  // namespace conclave::raft
