// A TestCluster with the moves that hand-driven scenarios are made of: whole exchanges between two
// members, and campaigns with exactly the votes that the scenario wants. Tests only; one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "raft/core/test_cluster.h"

namespace conclave::raft {

class DrivenCluster : public TestCluster {
 public:
  using TestCluster::TestCluster;

  // Everything on the way from one to the other arrives, or is lost.
  void DeliverAll(NodeId from, NodeId to);
  void DropAll(NodeId from, NodeId to);
  void FinishWrites(NodeId member);
  void ApplyAll(NodeId member);
  // `to` gets everything from `from`, writes it, and its answers arrive.
  void Exchange(NodeId from, NodeId to);
  // The members have seen their connection to `leader` break, so they listen to others.
  void LoseConnections(NodeId leader, const std::vector<NodeId>& members);
  // `member` asks for pre-votes and then for votes, and only `voters` ever hear of it. It leads if
  // they are enough; what it then sends is under way.
  void Campaign(NodeId member, const std::vector<NodeId>& voters);
  // As Campaign, but its requests for real votes have only just left.
  void BecomeCandidate(NodeId member, const std::vector<NodeId>& pre_voters);

  // What the scenario itself wants to hold, beside what TestCluster checks.
  void Expect(bool holds, std::string_view words);
  // Everything that was found wrong, a line each; empty if all is well.
  std::string Verdict() const;

 private:
  Findings wanted_;
};

}  // namespace conclave::raft
