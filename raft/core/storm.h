// A cluster under random faults: lost, repeated, delayed and overtaking messages, broken
// connections, cuts, slow disks, crashes that keep only what is durable, transfers, compaction with
// snapshots, members that come and go, and disks that lose entries. A seed chooses the cluster, its
// limits and how likely each fault is. Tests only; one thread.
#pragma once

#include <string>
#include <vector>

#include "raft/base/random.h"
#include "raft/core/test_cluster.h"

namespace conclave::raft {

// A run of usual length.
inline constexpr int kStormEvents = 3000;

class Storm {
 public:
  explicit Storm(uint64_t seed);

  // Ends early if something is wrong: cluster().problems().
  void Run(int events);
  // Everybody comes back, nothing is lost any more: the cluster must take a proposal and agree on
  // everything.
  bool Recovers();

  TestCluster& cluster() { return cluster_; }
  // Where everybody stands, for a run that did not recover.
  std::string Describe();

 private:
  NodeId Anybody();
  bool IsStarted(NodeId member);
  void JoinAll();
  std::vector<MemberChange> AnyChanges(const Configuration& configuration);
  void ChangeMembers(NodeId member);
  void LeadersAct();
  void CrashWithDamage(NodeId member);
  void SendTruth(NodeId leader);
  void RunApart();
  void OneEvent();
  void DeliverOne();
  void PassTime();
  void OneFault(NodeId member);
  bool AllHave(const std::string& last);

  Random random_;
  const TestCluster::Options options_;
  TestCluster cluster_;
  bool damages_ = false;
  bool changes_ = false;
  bool apart_ = false;
  uint64_t weights_[12] = {};
  uint64_t proposals_ = 0;
};

}  // namespace conclave::raft
