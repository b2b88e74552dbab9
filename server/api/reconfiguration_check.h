// Whether a cluster can afford a change of membership, by what its leader sees of the voters
// (reference: behaviour section 9.2, --strict-reconfig-check). Pure functions, any lane.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "raft/base/types.h"

namespace conclave::server {

// A voter as the leader sees it.
struct VoterHealth {
  raft::NodeId id;
  bool started = false;    // it has published its name
  bool connected = false;  // now; always, of the leader itself
  bool steady = false;     // connected for some seconds without a break; likewise
};

// Each says OK, ErrMemberNotEnoughStarted or ErrUnhealthy. `voters` are those of before the change.
absl::Status MayAddVoter(const std::vector<VoterHealth>& voters);
absl::Status MayAddLearner(const std::vector<VoterHealth>& voters);
absl::Status MayPromoteLearner(const std::vector<VoterHealth>& voters);
// `id` is one of the voters.
absl::Status MayRemoveVoter(const std::vector<VoterHealth>& voters, raft::NodeId id);

}  // namespace conclave::server
