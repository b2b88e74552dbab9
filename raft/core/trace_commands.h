// The commands of a golden trace (golden_trace.h has the list): each does something to a cluster of
// cores and says what came of it, a line for each output and each message. Tests only; one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "raft/core/test_cluster.h"

namespace conclave::raft {

class TraceCommands {
 public:
  TraceCommands();

  // What the command brings about, a line each. A command that does not apply, and a problem found
  // by the checks of TestCluster, is a line that starts with "PROBLEM".
  std::vector<std::string> Run(const std::string& command);

 private:
  // Takes the words it needs; false if it does not apply.
  using Action = std::function<bool()>;

  void AddRunning();
  void AddNetwork();
  void AddRequests();
  void AddViews();

  bool MakeCluster();
  bool Propose();
  bool Change();
  bool Split();
  bool OnLink(bool (TestCluster::*verb)(NodeId, NodeId, size_t));

  // The next words, each as what it stands for.
  uint64_t Number();
  NodeId Member() { return NodeId(Number()); }
  // As many as there are.
  std::vector<NodeId> Members();
  struct Link {
    NodeId from;
    NodeId to;
  };
  Link ReadLink();  // A->B
  // The next word as a number if there is one.
  uint64_t NumberOr(uint64_t otherwise);

  bool Do(const std::function<void()>& action);
  // Without telling what comes of it.
  bool Quietly(const Action& action);
  void Say(NodeId member, const std::string& line);

  std::map<std::string, Action> verbs_;
  std::unique_ptr<TestCluster> cluster_;
  std::istringstream words_;
  std::vector<std::string> lines_;
  bool quiet_ = false;
};

}  // namespace conclave::raft
