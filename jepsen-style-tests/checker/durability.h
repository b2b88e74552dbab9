// What remains at the end: every acknowledged write, and the same state everywhere. Called by
// whoever holds a finished history and has read everything after the cluster healed; any lane.
// Deterministic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::checker {

// All pairs of one member, read after everything has come to rest.
struct FinalState {
  std::string member;
  int64_t revision = 0;  // of the store that was read
  std::vector<mvccpb::KeyValue> kvs;
};

struct DurabilityOptions {
  uint64_t writes_min = 5;  // fewer acknowledged operations that made a revision: kInvalid
};

// Names of anomalies, in the order in which they are looked for in each final state:
//   revision-went-back   the final revision is below that of an acknowledged write
//   lost-write           a key that an acknowledged write put is gone or older, and no later event
//                        deleted it
//   lost-delete          a key that an acknowledged operation deleted is still as before
//   wrong-final-value    a pair differs from what the log's events leave
Report CheckDurability(const std::vector<KvOperation>& history, const EventLog& log,
                       const std::vector<FinalState>& final_states,
                       const DurabilityOptions& options = {});

// The hash of everything replicated in one copy of the state.
struct StateHash {
  std::string copy;  // a member, or "replay" for a fresh replay of the log
  uint64_t applied_index = 0;
  uint32_t hash = 0;
};

// Anomaly "state-diverged": two copies with different hashes at the same applied index. Invalid if
// fewer than `compared_min` hashes could be compared with another.
Report CheckStateHashes(const std::vector<StateHash>& hashes, uint64_t compared_min = 1);

}  // namespace conclave::checker
