// The revision oracle: every acknowledged request against the one sequence of events. Replays the
// log and asks of each operation whether it made exactly the events it should have, answered what
// the state at its revision says, and did so in an order that real time allows. Called by whoever
// holds a finished history; any lane. Deterministic, and close to linear in the size of the
// history.
//
// The rules are those of the reference: behaviour sections 1 to 3.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

struct RevisionOracleOptions {
  // The revisions that a lease's expiry or revoke made. nullopt: any revision that only deletes
  // keys of one lease, and all of them, may be one.
  std::optional<std::set<int64_t>> lease_deletes = std::nullopt;
  // Revisions made by something that is not in the history, such as the Lock service: anything that
  // a store could do is right.
  std::set<int64_t> internal_revisions = {};
  // Revisions are also compacted by the cluster itself: ErrCompacted is then always plausible.
  bool auto_compaction = false;
  uint64_t ok_writes_min = 5;  // fewer acknowledged operations that made a revision: kInvalid
  uint64_t ok_reads_min = 5;   // fewer other acknowledged operations: kInvalid
};

// Names of anomalies, in the order in which they are looked for (those of EventLog::Check first):
//   revision-reused       two acknowledged writes have one revision
//   lost-write            an acknowledged write's events are not at its revision
//   wrong-branch          a transaction took the branch that its compares forbid
//   wrong-event           a revision did something else than its request says, or broke the rules
//   of
//                         create_revision and version
//   revision-ahead        a response carries a revision that never was
//   stale-read            a linearizable operation saw less than was seen before it was called
//   revision-went-back    a write got a revision that was seen before it was called
//   wrong-prev-kv         a response tells another previous pair than there was
//   wrong-count           ... another number of keys, read or deleted
//   wrong-read            a read returned other pairs than the state at its revision
//   wrong-response        any other difference between a response and the state
//   read-of-compacted     a linearizable read succeeded at a revision compacted before it was
//   called wrong-error           refused as compacted or future although it cannot have been
//   write-applied-twice   a revision that only a write already applied elsewhere explains
//   failed-write-applied  ... that only operations with outcome kFail explain
//   unexplained-event     ... that nothing explains
Report CheckRevisions(const std::vector<KvOperation>& history, const EventLog& log,
                      const RevisionOracleOptions& options = {});

}  // namespace conclave::checker
