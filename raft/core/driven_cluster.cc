#include "raft/core/driven_cluster.h"

#include <algorithm>

#include "raft/base/check.h"

namespace conclave::raft {

void DrivenCluster::DeliverAll(NodeId from, NodeId to) {
  // What is sent meanwhile in this direction is not part of it.
  for (size_t count = Underway(from, to); count > 0; --count) Deliver(from, to);
}

void DrivenCluster::DropAll(NodeId from, NodeId to) {
  while (Drop(from, to)) {
  }
}

void DrivenCluster::FinishWrites(NodeId member) {
  while (FinishWrite(member)) {
  }
}

void DrivenCluster::ApplyAll(NodeId member) {
  while (Apply(member)) {
  }
}

void DrivenCluster::Exchange(NodeId from, NodeId to) {
  CHECK(from != to);
  DeliverAll(from, to);
  FinishWrites(to);
  DeliverAll(to, from);
}

void DrivenCluster::LoseConnections(NodeId leader, const std::vector<NodeId>& members) {
  for (NodeId member : members) Step(member, PeerUnreachable{leader});
}

void DrivenCluster::BecomeCandidate(NodeId member, const std::vector<NodeId>& pre_voters) {
  for (NodeId other : members()) {
    if (other != member) DropAll(member, other);
  }
  TimeOut(member);
  for (NodeId voter : pre_voters) Exchange(member, voter);
  for (NodeId other : members()) {
    if (other != member) DropAll(member, other);
  }
  FinishWrites(member);
}

void DrivenCluster::Campaign(NodeId member, const std::vector<NodeId>& voters) {
  BecomeCandidate(member, voters);
  for (NodeId voter : voters) Exchange(member, voter);
}

void DrivenCluster::Expect(bool holds, std::string_view words) {
  wanted_.Expect(holds, "{}", words);
}

std::string DrivenCluster::Verdict() const {
  // What follows from the first breach is not news.
  constexpr size_t kLinesMax = 8;
  std::vector<std::string> all = wanted_.problems();
  all.insert(all.begin(), problems().begin(), problems().end());
  std::string verdict;
  for (size_t i = 0; i < std::min(all.size(), kLinesMax); ++i) verdict += all[i] + "\n";
  return verdict;
}

}  // namespace conclave::raft
