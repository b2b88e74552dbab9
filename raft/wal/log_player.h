// Plays the records of the segments that were found, in order, and finds the words for damage on
// the way. Used by recovery and by the dump tool.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/bytes.h"
#include "raft/wal/log_scan.h"
#include "raft/wal/replay.h"

namespace conclave::raft {

class LogPlayer {
 public:
  explicit LogPlayer(std::string directory) : directory_(std::move(directory)) {}

  // The segment is in use. Returns the greatest index of an entry that was ever written in it, as
  // far as can be seen. DataLoss if its records contradict each other.
  absl::StatusOr<LogIndex> Play(const FoundSegment& segment);

  // As Replay::Finish, with the words for what is damaged.
  absl::StatusOr<Replay::Outcome> Finish();

 private:
  absl::Status PlayRecord(const Bytes& segment, const SegmentScan::Record& record,
                          LogIndex& last_index);
  absl::Status PlayHeader(const SegmentHeader& header);
  void Lose(std::string what);

  const std::string directory_;
  Replay replay_;
  std::string damage_;          // the first, since the log last went on after some
  uint64_t other_damages_ = 0;  // likewise
};

}  // namespace conclave::raft
