// Reading a log back: what its records amount to, where it ends, and whether what follows is an
// unfinished last write (cut off and forgotten) or damage. Damage is never passed over: if records
// are missing and what was written last is whole, the log is said to lack entries, which a leader
// can fill up (WalContents::lost_through); otherwise it is refused, for a member whose vote may be
// lost must not vote again. Called by Wal::Open at start-up; blocks.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/file_system.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

// A segment on disk as the WAL keeps account of it.
struct LiveSegment {
  uint64_t sequence = 0;
  LogIndex last_index;  // the greatest index ever written in it; nothing in it is needed once that
                        // is released
};

struct RecoveredLog {
  WalContents contents;
  LogState state;                    // what they amount to
  bool after_damage = false;         // the next segment must say so (Replay::Outcome)
  std::deque<LiveSegment> segments;  // the last one is appended to
  std::unique_ptr<File> file;        // of the last one
  uint64_t end = 0;                  // where to go on in it
  std::vector<uint64_t> free_files;  // sequences of their names
};

// Reads the log, cuts an unfinished last write off and makes all that it found durable: it may have
// been written by a process that was killed before its sync. Errors as Wal::Open.
absl::StatusOr<RecoveredLog> RecoverLog(FileSystem& fs, const WalOptions& options);

}  // namespace conclave::raft
