// Forgetting the start of the log. A member lets go of what every member of the configuration holds
// durably (the leader knows how far that is and tells the others), and keeps no more than a tail
// for those that are further behind: beyond it they need a snapshot (snapshots.h). Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// The state machine holds everything up to `index` durably: forgets as much of it as may be
// forgotten now.
void OnCompacted(CoreState& state, LogIndex index);

}  // namespace conclave::raft
