// Majority arithmetic over a Configuration: how far a majority has come, and whether a vote is
// decided. While the configuration is joint, both voter sets must agree (thesis 4.3). Learners
// count for nothing (thesis 4.2.1). Pure functions; called by the candidate, the leader and their
// tests, on the raft lane.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "raft/core/configuration.h"

namespace conclave::raft {

// The greatest value that a majority has reached, where `value_of` says how far each voter has
// come: a commit index from match indexes, a confirmed round from acknowledged ones, the time of
// the last contact with a quorum from those of each. Requires at least one voter.
uint64_t MajorityValue(const Configuration& configuration,
                       absl::FunctionRef<uint64_t(NodeId)> value_of);

enum class VoteResult : uint8_t { kPending, kWon, kLost };

// Where a vote stands when `vote_of` says what each voter has answered, nullopt if nothing yet.
// Lost as soon as it cannot be won any more. Requires at least one voter.
VoteResult TallyVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote_of);

}  // namespace conclave::raft
