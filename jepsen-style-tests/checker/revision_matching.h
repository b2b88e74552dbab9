// Which unacknowledged operations explain the revisions that no acknowledged one does: a maximum
// matching, because an operation may apply at most once. Called by the revision oracle. Pure; any
// lane.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/kv_history.h"

namespace conclave::checker {

// Whether `operation` would have made exactly the events of `revision`, and was called by then.
bool Explains(const KvOperation& operation, const EventLog& log, const KeyVersions& versions,
              int64_t revision);

// Each revision of `revisions` that can have an operation of its own from `candidates`, and which.
std::map<int64_t, const KvOperation*> MatchRevisions(
    const std::vector<int64_t>& revisions, const std::vector<const KvOperation*>& candidates,
    const EventLog& log, const KeyVersions& versions);

}  // namespace conclave::checker
