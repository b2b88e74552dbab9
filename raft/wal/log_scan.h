// All segments of a log as they are found on disk, in order: which files are there, which bytes of
// them must have been durable once, and what is damaged. Reads only. Blocks; used by recovery at
// start-up and by the dump tool.
//
// Segments vouch for each other: one is begun when all of the one before it is durable, and says
// where that ends; and a file is made ready when the segment before it holds something durable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/file_system.h"
#include "raft/wal/record.h"
#include "raft/wal/segment_scan.h"

namespace conclave::raft {

// Sequence numbers, ascending.
struct LogFiles {
  std::vector<uint64_t> segments;
  std::vector<uint64_t> free;
  std::vector<std::string> unfinished;  // names of what was to become a segment
};
// NotFound if there is no segment.
absl::StatusOr<LogFiles> ListLogFiles(FileSystem& fs, const std::string& directory);

struct FoundSegment {
  uint64_t sequence = 0;
  std::string content;
  // As of the front of the file, whole and that of this segment; else it is damaged, or unused.
  std::optional<SegmentHeader> header;
  SegmentScan scan;
  // The last file was made ready and never used, or only by a write that was not finished.
  bool unused = false;
  // The next one is not there, though later ones are.
  bool next_missing = false;
};

// What is wrong at `damage` of the segment, in words, with its path.
std::string DescribeDamage(const std::string& directory, const FoundSegment& segment,
                           const SegmentScan::Damage& damage);
// Likewise of a segment that is not there.
std::string DescribeMissing(const std::string& directory, uint64_t sequence);

// Calls `visit` with each segment in turn; ends with the first error. FailedPrecondition if the log
// is another member's or another cluster's, or of an unknown format. Holds two segments in memory.
absl::Status ScanLog(FileSystem& fs, const std::string& directory, uint64_t cluster_id,
                     NodeId member, const std::vector<uint64_t>& segments,
                     absl::FunctionRef<absl::Status(const FoundSegment&)> visit);

// The segment header at the front of a segment, whole by the identity that it names itself; nothing
// if there is none. It may be that of an earlier life of the file, or somebody else's.
std::optional<SegmentHeader> ReadSegmentHeader(std::string_view segment);

}  // namespace conclave::raft
