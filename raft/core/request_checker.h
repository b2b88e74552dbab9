// What a member owes those who ask it: a refused proposal never shows up, a command is committed in
// the term in which it was proposed, and a read is answered once and never misses what was
// committed before it came. Fed by TestCluster with everything that happens. Tests only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "raft/core/cluster_checker.h"
#include "raft/core/core.h"
#include "raft/core/findings.h"

namespace conclave::raft {

class RequestChecker {
 public:
  // `cluster` says what is committed.
  RequestChecker(const ClusterChecker* cluster, Findings* findings)
      : cluster_(*cluster), findings_(*findings) {}

  // A command is known by its payload, which no two proposals share.
  void OnProposed(Term term, const std::string& payload);
  void OnProposalFailed(const std::string& payload);
  // More may be committed than before.
  void OnCommit();
  void OnReadRequested(NodeId member, ReadId read);
  void OnReadReady(NodeId member, ReadId read, LogIndex index);
  void OnReadFailed(NodeId member, ReadId read);
  // Its reads will not be answered any more.
  void OnCrash(NodeId member);

 private:
  void CheckCommitted(const Entry& entry);

  const ClusterChecker& cluster_;
  Findings& findings_;
  LogIndex checked_;                      // of what is committed
  std::map<std::string, Term> proposed_;  // in which term
  std::set<std::string> refused_;
  std::set<std::string> committed_;
  std::map<std::pair<NodeId, ReadId>, LogIndex> reads_;  // what was committed when they came
};

}  // namespace conclave::raft
