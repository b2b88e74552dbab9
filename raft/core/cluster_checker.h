// The promises of Raft that only a view of all members can check (thesis figure 3.2): election
// safety, log matching, leader completeness, state machine safety; and that votes, acknowledgements
// and commits rest on stable storage. Fed with everything that happens by TestCluster, and by the
// simulator for whole members. Every problem begins with the name of the rule that is broken. Tests
// and simulation only; one thread.
#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "raft/core/core.h"
#include "raft/core/disk.h"
#include "raft/core/findings.h"

namespace conclave::raft {

// By the definition alone, without the code that is being checked: more than half of the voters,
// and while the configuration is joint, of the outgoing ones as well.
bool IsQuorum(const Configuration& configuration, absl::FunctionRef<bool(NodeId)> agrees);

class ClusterChecker {
 public:
  // What is stable of a member's log; null if nothing is known of it.
  // Whether the entry of that term is on the member's disk, or was acknowledged from it.
  using Holds = absl::FunctionRef<bool(NodeId, LogIndex, Term)>;

  explicit ClusterChecker(Findings* findings) : findings_(*findings) {}

  // `log`, the member's log as it is now, got `entries` with its last write.
  void OnWritten(NodeId member, const Disk& log, const std::vector<Entry>& entries);
  // The hard state is on the member's stable storage.
  void OnHardState(NodeId member, const HardState& durable);
  // `message` left its sender, whose stable storage is `disk`.
  void OnSent(const Message& message, const Disk& disk);
  // `log` is the new leader's whole log, with `configuration` in force; `disk` what of it is
  // stable.
  void OnLeader(NodeId leader, Term term, const Configuration& configuration, const Disk& log,
                const Disk& disk);
  // The member now knows `commit` to be committed; `log` is its whole log, with `configuration` in
  // force.
  void OnCommit(NodeId member, LogIndex commit, const Configuration& configuration, const Disk& log,
                Holds holds);
  // The entry at `index` was handed to apply by a member whose stable storage is `disk`. `command`
  // is empty for an entry without one. The commit is already known.
  void OnApply(NodeId member, LogIndex index, std::string_view command, const Disk& disk);

  // The last index known to be committed by any member, ever.
  LogIndex committed() const { return LogIndex(committed_.size()); }
  // Requires 0 < index <= committed().
  const Entry& Committed(LogIndex index) const { return committed_[index.value() - 1]; }

 private:
  // An entry, and the term of the one before it.
  struct Written {
    Term prev_term;
    Entry entry;
  };

  void OnEntry(NodeId member, Term prev_term, const Entry& entry);
  void OnVote(NodeId voter, Term term, NodeId candidate);
  void ClaimTerm(NodeId leader, Term term);
  void CheckAccepted(const Message& message, const AppendResponse& response, const Disk& disk);

  Findings& findings_;
  // Every entry ever written, by index; one for each term that it had there.
  std::vector<absl::InlinedVector<Written, 1>> written_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;  // granted, real ones
  std::map<Term, NodeId> leaders_;
  std::vector<Entry> committed_;    // by index - 1
  std::vector<Term> committed_in_;  // likewise: the term of who knew it first, ascending
};

}  // namespace conclave::raft
