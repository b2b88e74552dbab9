// Forgetting the start of the log. A member lets go only of what every member of the configuration
// holds durably, so that nobody ever needs an entry that is gone; the leader knows how far that is
// and tells the others. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// The state machine holds everything up to `index` durably: forgets as much of it as may be
// forgotten now.
void OnCompacted(CoreState& state, LogIndex index);

}  // namespace conclave::raft
