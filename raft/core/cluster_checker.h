// The promises of Raft that only a view of all members can check (thesis figure 3.2): election
// safety, log matching, leader completeness, state machine safety; and ours: votes and commits rest
// on stable storage, a refused proposal never shows up, a read never misses what was committed
// before it. Fed by TestCluster with everything that happens. Tests only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/core.h"

namespace conclave::raft {

// A member's stable storage: what a crash leaves.
struct Disk {
  HardState hard_state;
  LogStart start;
  std::vector<Entry> entries;  // contiguous from start.index + 1
  LogIndex applied;            // what the state machine holds durably

  // Rule R1: the task's hard state and entries, the latter replacing everything from their first
  // index on.
  void Write(const AppendTask& task);
  // The log up to there is let go.
  void Release(const LogStart& to);

  LogIndex last_index() const { return start.index + entries.size(); }
  // Null if it is not held.
  const Entry* Find(LogIndex index) const;
  // 0 if nothing is known of `index`.
  Term TermAt(LogIndex index) const;
};

class ClusterChecker {
 public:
  // Entries that `log`, the member's log as it is now, got with its last write.
  void OnWritten(NodeId member, const Disk& log, const std::vector<Entry>& entries);
  // `message` left its sender, whose stable storage is `disk`.
  void OnSent(const Message& message, const Disk& disk);
  // `log` is the new leader's whole log, `disk` what of it is stable.
  void OnLeader(NodeId leader, Term term, const Disk& log, const Disk& disk);
  // The member now knows `commit` to be committed. `disks` are those of all members.
  void OnCommit(const CoreStatus& status, const Configuration& configuration, const Disk& log,
                const std::map<NodeId, const Disk*>& disks);
  // `entry` was handed to apply by a member whose stable storage is `disk`.
  void OnApply(NodeId member, const Entry& entry, const Disk& disk);

  // A command is known by its payload, which no two proposals share.
  void OnProposed(Term term, const std::string& payload);
  void OnProposalFailed(const std::string& payload);
  void OnReadRequested(NodeId member, ReadId read);
  void OnReadReady(NodeId member, ReadId read, LogIndex index);
  void OnReadFailed(NodeId member, ReadId read);
  // Its reads will not be answered any more.
  void OnCrash(NodeId member);

  void Report(std::string problem) { problems_.push_back(std::move(problem)); }

  // In words; empty if all is well.
  const std::vector<std::string>& problems() const { return problems_; }
  // The last index known to be committed by any member, ever.
  LogIndex committed() const { return LogIndex(committed_.size()); }

 private:
  struct Origin {
    EntryKind kind;
    std::string payload;
    Term prev_term;
    friend bool operator==(const Origin&, const Origin&) = default;
  };

  void Expect(bool holds, const std::string& problem);
  void AddCommitted(const Entry& entry);

  std::vector<std::string> problems_;
  std::map<std::pair<Term, LogIndex>, Origin> origins_;  // of every entry ever written
  std::map<std::pair<NodeId, Term>, NodeId> votes_;      // granted, real ones
  std::map<Term, NodeId> leaders_;
  std::vector<Entry> committed_;          // by index - 1
  std::map<std::string, Term> proposed_;  // in which term
  std::set<std::string> refused_;
  std::map<std::pair<NodeId, ReadId>, LogIndex> reads_;  // what was committed when they came
};

}  // namespace conclave::raft
