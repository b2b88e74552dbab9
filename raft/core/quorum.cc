#include "raft/core/quorum.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {
namespace {

size_t Majority(const std::vector<NodeId>& voters) { return voters.size() / 2 + 1; }

uint64_t MajorityValueOf(const std::vector<NodeId>& voters,
                         absl::FunctionRef<uint64_t(NodeId)> value_of) {
  CHECK(!voters.empty());
  absl::InlinedVector<uint64_t, 9> values;
  for (NodeId voter : voters) values.push_back(value_of(voter));
  const auto reached = values.begin() + static_cast<std::ptrdiff_t>(Majority(voters)) - 1;
  CHECK(values.size() >= Majority(voters));
  std::nth_element(values.begin(), reached, values.end(), std::greater<>());
  return *reached;
}

VoteResult TallyVotesOf(const std::vector<NodeId>& voters,
                        absl::FunctionRef<std::optional<bool>(NodeId)> vote_of) {
  CHECK(!voters.empty());
  size_t granted = 0;
  size_t unanswered = 0;
  for (NodeId voter : voters) {
    const std::optional<bool> vote = vote_of(voter);
    if (!vote.has_value()) ++unanswered;
    if (vote.value_or(false)) ++granted;
  }
  CHECK(granted + unanswered <= voters.size());
  if (granted >= Majority(voters)) return VoteResult::kWon;
  return granted + unanswered >= Majority(voters) ? VoteResult::kPending : VoteResult::kLost;
}

}  // namespace

uint64_t MajorityValue(const Configuration& configuration,
                       absl::FunctionRef<uint64_t(NodeId)> value_of) {
  if (SEEDED_BUG(kLearnerCounted)) return MajorityValueOf(configuration.Members(), value_of);
  const uint64_t incoming = MajorityValueOf(configuration.voters, value_of);
  if (!configuration.joint()) return incoming;
  return std::min(incoming, MajorityValueOf(configuration.outgoing, value_of));
}

VoteResult TallyVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote_of) {
  const VoteResult incoming = TallyVotesOf(configuration.voters, vote_of);
  if (!configuration.joint()) return incoming;
  const VoteResult outgoing = TallyVotesOf(configuration.outgoing, vote_of);
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return incoming == outgoing ? incoming : VoteResult::kPending;
}

}  // namespace conclave::raft
