#include "server/stages/chain_round.h"

#include <algorithm>
#include <set>
#include <utility>

#include "raft/core/quorum.h"

namespace conclave::server {

ChainRound::ChainRound(raft::LogIndex index, raft::Configuration configuration)
    : index_(index), configuration_(std::move(configuration)) {}

void ChainRound::Add(raft::NodeId member, uint64_t chain) {
  if (configuration_.Contains(member)) chains_.emplace(member, chain);
}

std::optional<uint64_t> ChainRound::Right() const {
  if (configuration_.voters.empty()) return std::nullopt;
  for (const auto& [candidate, chain] : chains_) {
    const auto has_it = [this, chain = chain](raft::NodeId voter) -> std::optional<bool> {
      const auto found = chains_.find(voter);
      if (found == chains_.end()) return std::nullopt;
      return found->second == chain;
    };
    if (raft::TallyVotes(configuration_, has_it) == raft::VoteResult::kWon) return chain;
  }
  return std::nullopt;
}

std::vector<raft::NodeId> ChainRound::WhoHas(bool right) const {
  std::vector<raft::NodeId> members;
  const std::optional<uint64_t> chain = Right();
  if (!chain) return members;
  for (const auto& [member, has] : chains_) {
    if ((has == *chain) == right) members.push_back(member);
  }
  return members;
}

bool ChainRound::Disputed() const {
  if (Right()) return false;
  std::set<uint64_t> different;
  for (const auto& [member, chain] : chains_) {
    if (configuration_.IsVoter(member)) different.insert(chain);
  }
  return different.size() > 1;
}

}  // namespace conclave::server
