// The configurations of a log by index: the one in force is the newest in the log, committed or not
// (thesis 4.1; docs/decisions/0002), so a truncation brings back the one before. Follows every
// append, truncation and compaction of the log. Raft lane, owned by CoreState.
#pragma once

#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "raft/base/check.h"
#include "raft/core/configuration.h"
#include "raft/core/entry.h"

namespace conclave::raft {

class Configurations {
 public:
  // `start` is in force at the log's start, `index`.
  Configurations(LogIndex index, Configuration start);

  const Configuration& current() const {
    CHECK(!by_index_.empty());
    return by_index_.back().second;
  }
  // Where its entry is; at or before the log's start if it came from there.
  LogIndex current_index() const { return by_index_.back().first; }
  // The one in force at `index`, which is not before the log's start.
  const Configuration& At(LogIndex index) const;
  // True if `matches` one of those in force at `index` or later.
  bool AnySince(LogIndex index, absl::FunctionRef<bool(const Configuration&)> matches) const;

  // Takes note of an entry as it joins the log; only kConfiguration entries matter. One that does
  // not decode ends the process: its bytes were made by a member and checked on the way here.
  void OnAppend(const Entry& entry);
  // Requires index > the log's start.
  void TruncateFrom(LogIndex index);
  // The log's start moved to `index`: forgets what is no longer in force there.
  void CompactTo(LogIndex index);

 private:
  std::vector<std::pair<LogIndex, Configuration>> by_index_;  // ascending, never empty
};

}  // namespace conclave::raft
