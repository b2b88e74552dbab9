// Changes of membership (thesis 4): one at a time, in force as soon as they are in the log. A
// change that touches one voter takes one step, since any two majorities then overlap (4.1); a
// larger one goes through a joint configuration in which both majorities must agree (4.3), and
// which the leader leaves by itself. Raft lane.
#pragma once

#include <optional>
#include <vector>

#include "raft/core/state.h"

namespace conclave::raft {

// What `changes` make of `current`, joint if more than one voter comes or goes; nullopt if they do
// not fit: a node twice, one that already is what it is to become, one to be removed that is none,
// a voter to become a learner, or no voter left. Requires that `current` is not joint.
std::optional<Configuration> ChangedConfiguration(const Configuration& current,
                                                  const std::vector<MemberChange>& changes);

// A proposal with changes: appends the new configuration, or says why not.
std::optional<RejectReason> TakeChange(CoreState& state, Leader& leader, const Proposal& proposal);

// The commit index advanced: leaves a joint configuration that is committed.
void LeaveJoint(CoreState& state, Leader& leader);

// Once per take, after everybody was sent what is due: a leader whose removal is committed hands
// over to the best voter and leads no longer (thesis 4.2.2).
void RetireIfRemoved(CoreState& state);

}  // namespace conclave::raft
