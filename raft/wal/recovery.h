// Reading a log back: which records count, where the log ends, and whether what follows is an
// unfinished last write (cut off and forgotten) or damage (reported, never repaired: a member that
// lost entries it has acknowledged must not vote as if it had never held them). Called by Wal::Open
// at start-up; blocks.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/file_system.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

// What one segment's bytes say.
struct SegmentScan {
  struct Record {
    uint64_t offset = 0;
    RecordHeader header;
  };
  std::vector<Record> records;  // from the front, without a gap
  uint64_t end = 0;             // where they end
  // A record somewhere after `end` that was written when the bytes at `end` were durable already:
  // they are damaged.
  bool damaged = false;
  uint64_t witness = 0;  // where that record is
  bool leftovers =
      false;          // something of this segment is after `end`: pieces of an unfinished write
  uint64_t used = 0;  // after it all is zero
};
SegmentScan ScanSegment(std::string_view segment, uint32_t id_sum);

// A segment on disk as the WAL keeps account of it.
struct LiveSegment {
  uint64_t sequence = 0;
  LogIndex last_index;  // the greatest index ever written in it; nothing in it is needed once that
                        // is released
};

struct RecoveredLog {
  WalContents contents;
  LogState state;                    // what they amount to
  std::deque<LiveSegment> segments;  // the last one is appended to
  std::unique_ptr<File> file;        // of the last one
  uint64_t end = 0;                  // where to go on in it
  std::vector<uint64_t> free_files;  // sequences of their names
};

// Reads the log, cuts an unfinished last write off and makes all that it found durable: it may have
// been written by a process that was killed before its sync. Errors as Wal::Open.
absl::StatusOr<RecoveredLog> RecoverLog(FileSystem& fs, const WalOptions& options);

}  // namespace conclave::raft
