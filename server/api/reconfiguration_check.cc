#include "server/api/reconfiguration_check.h"

#include <algorithm>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

size_t QuorumOf(size_t voters) { return voters / 2 + 1; }

size_t CountSteady(const std::vector<VoterHealth>& voters) {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(),
                                           [](const VoterHealth& voter) { return voter.steady; }));
}

size_t CountStarted(const std::vector<VoterHealth>& voters) {
  if (SEEDED_BUG(kUnstartedVoterCounted)) return voters.size();
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(),
                                           [](const VoterHealth& voter) { return voter.started; }));
}

}  // namespace

// The new one has not started, so the others must be able to decide without it.
absl::Status MayAddVoter(const std::vector<VoterHealth>& voters) {
  const size_t started = CountStarted(voters);
  const bool grows_from_one = voters.size() == 1 && started == 1;
  if (!grows_from_one && started < QuorumOf(voters.size() + 1)) {
    return kv::ErrMemberNotEnoughStarted();
  }
  return MayAddLearner(voters);
}

// A learner will be promoted soon, most likely: it is held to the same.
absl::Status MayAddLearner(const std::vector<VoterHealth>& voters) {
  if (voters.size() > 1 && CountSteady(voters) < QuorumOf(voters.size() + 1)) {
    return kv::ErrUnhealthy();
  }
  return absl::OkStatus();
}

// The learner itself has started: it could not be in sync otherwise.
absl::Status MayPromoteLearner(const std::vector<VoterHealth>& voters) {
  if (CountStarted(voters) + 1 >= QuorumOf(voters.size() + 1)) return absl::OkStatus();
  return kv::ErrMemberNotEnoughStarted();
}

absl::Status MayRemoveVoter(const std::vector<VoterHealth>& voters, raft::NodeId id) {
  std::vector<VoterHealth> rest = voters;
  const auto removed = std::find_if(rest.begin(), rest.end(),
                                    [id](const VoterHealth& voter) { return voter.id == id; });
  CHECK(removed != rest.end());
  const bool connected = removed->connected;
  rest.erase(removed);
  if (CountStarted(rest) < QuorumOf(rest.size())) return kv::ErrMemberNotEnoughStarted();
  // One that is down takes no part in the quorum that there is.
  if (!connected) return absl::OkStatus();
  const size_t steady = CountSteady(voters);
  if (steady < 2 + (voters.size() - 1) / 2) return kv::ErrUnhealthy();
  return absl::OkStatus();
}

}  // namespace conclave::server
