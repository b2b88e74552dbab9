// A member's log and hard state as plain values, as a crash leaves them or as they will be once all
// writes are done. What the checkers hold against the promises of a member. Tests and simulation
// only; one thread.
#pragma once

#include <vector>

#include "raft/core/core.h"

namespace conclave::raft {

struct Disk {
  HardState hard_state;
  LogStart start;
  std::vector<Entry> entries;  // contiguous from start.index + 1

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
  // Nothing before `index`, or at it, is missing: the log holds it in `term`, or has let go of it.
  bool Covers(LogIndex index, Term term) const;
};

}  // namespace conclave::raft
