// Valid histories for the tests of the etcd-semantics checkers: random clients on the store oracle,
// which shares nothing with the checkers but the rules of ranges and compares. Test code.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "jepsen-style-tests/checker/durability.h"
#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/lease_rules.h"
#include "jepsen-style-tests/checker/lock_rules.h"
#include "jepsen-style-tests/checker/revision_oracle.h"
#include "jepsen-style-tests/checker/watch_rules.h"
#include "raft/base/random.h"

namespace conclave::checker {

struct GeneratedHistory {
  std::vector<KvOperation> operations;
  EventLog log;
  RevisionOracleOptions oracle_options;
  std::vector<WatcherHistory> watchers;
  WatchRulesOptions watch_options;
  LeaseHistory leases;
  LockHistory locks;
  std::vector<FinalState> final_states;
  std::vector<StateHash> hashes;
  int64_t end_ns = 0;
};

// The same history for the same arguments; about one operation per step.
GeneratedHistory GenerateHistory(uint64_t seed, int steps = 600);

// What watchers of a log receive: a few of each kind, with resumes, progress and compactions.
std::vector<WatcherHistory> GenerateWatchers(const EventLog& log,
                                             const std::set<int64_t>& compact_revisions,
                                             Random random);

}  // namespace conclave::checker
