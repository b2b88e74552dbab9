// One comparison of the members' states, all at one entry of the log: what a quorum of the voters
// has come to there is right, and who has come to something else is wrong (docs/integrity.md). The
// rule alone, without time and messages. Used by IntegrityStage; on the raft lane.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "raft/base/types.h"
#include "raft/core/configuration.h"

namespace conclave::server {

class ChainRound {
 public:
  // Every member of `configuration` is to be compared at `index`.
  ChainRound(raft::LogIndex index, raft::Configuration configuration);

  raft::LogIndex index() const { return index_; }
  const raft::Configuration& configuration() const { return configuration_; }

  // What a member's sum is there. The first that it says counts; of others than members, nothing.
  void Add(raft::NodeId member, uint64_t chain);
  bool Knows(raft::NodeId member) const { return chains_.contains(member); }
  bool complete() const { return chains_.size() == configuration_.Members().size(); }

  // The sum that a quorum of the voters has (of both sets while the configuration is joint);
  // nothing if there is none, or not yet. Once there is one it stays.
  std::optional<uint64_t> Right() const;
  // Whose sum is another one than the right one, and whose is that; both ascending. Empty while
  // none is known to be right.
  std::vector<raft::NodeId> Wrong() const { return WhoHas(/*right=*/false); }
  std::vector<raft::NodeId> Sound() const { return WhoHas(/*right=*/true); }
  // Voters differ, and none of their sums is known to be right.
  bool Disputed() const;

 private:
  std::vector<raft::NodeId> WhoHas(bool right) const;

  const raft::LogIndex index_;
  const raft::Configuration configuration_;
  std::map<raft::NodeId, uint64_t> chains_;
};

}  // namespace conclave::server
