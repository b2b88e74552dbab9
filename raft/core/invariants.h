// What must hold of one member's state after every step. What needs several members to be seen (one
// leader per term, log matching, leader completeness) is checked by test_cluster.h and the
// simulator. Raft lane.
#pragma once

#include <optional>
#include <string>

#include "raft/core/state.h"

namespace conclave::raft {

// The words for the first broken invariant, or nullopt.
std::optional<std::string> FindBrokenInvariant(const CoreState& state);

}  // namespace conclave::raft
