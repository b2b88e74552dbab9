// The state of a log as its records are played one after the other. Used by recovery only.
// Records whose sums are right may still contradict each other if segments are missing or mixed up:
// every call says so (DataLoss) rather than going on.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

class Replay {
 public:
  // The start of each segment, in order. The first says what came before it; the others must agree
  // with what was played.
  absl::Status BeginSegment(const LogState& start);
  // Entries replace all from the first one's index on (thesis 3.5).
  absl::Status Add(Batch batch);
  absl::Status Add(LogStart release);

  const LogState& state() const { return state_; }
  // What the log holds at the end. DataLoss if entries after the snapshot point were never played.
  absl::StatusOr<WalContents> Finish();

 private:
  bool begun_ = false;
  LogState state_;
  LogIndex first_index_;  // of entries_; they end at state_.last_index
  std::vector<Entry> entries_;
};

}  // namespace conclave::raft
