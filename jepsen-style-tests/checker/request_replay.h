// What a request would do and answer at a given state, said from the reference alone (behaviour
// sections 3.2 to 3.7). The revision oracle compares it with what was done and answered. Pure; any
// lane.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/kv_history.h"

namespace conclave::checker {

struct Replayed {
  bool refused = false;         // it cannot succeed at that state; nothing else is set then
  std::vector<KvEvent> events;  // of revision base + 1; none if it changes nothing
  KvResponse response;          // headers hold revisions only
};

// Carries `request` out on the state as of `base`. Does not know which leases exist and what was
// compacted: refuses for neither.
Replayed Replay(const KvRequest& request, const KeyVersions& versions, int64_t base);

// Whether an acknowledged request changed something, by its response alone.
bool MadeRevision(const KvResponse& response);

// How two responses to `request` differ: empty, or one of "wrong-branch", "wrong-prev-kv",
// "wrong-count", "wrong-read", "wrong-response". Pairs of equal sort target
// must be in the order of their keys, which is stricter than the reference.
std::string DifferenceOf(const KvRequest& request, const KvResponse& expected,
                         const KvResponse& answered);

}  // namespace conclave::checker
