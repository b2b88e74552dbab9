// The files of a log: their names, how one is made ready before it is needed, and how one is given
// back. All functions block; the WAL runs them in the background, Create and recovery at start-up.
//
//   <16 hex digits>.wal   a segment, or one made ready to become the next
//   <16 hex digits>.free  the file of a released segment, kept to become a later one
//   <16 hex digits>.wal.tmp  a segment's file while it is being made
//   reserve  room for a full disk (reserve.h)
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/file_system.h"

namespace conclave::raft {

// Files of released segments that are kept.
inline constexpr size_t kFreeFilesMax = 2;

// No segment's file is shorter, so one that is has been damaged.
inline constexpr uint64_t kSegmentBytesMin = 512;

std::string SegmentPath(const std::string& directory, uint64_t sequence);
std::string FreePath(const std::string& directory, uint64_t sequence);

// The sequence number in the name of a segment or of a free file; nothing for any other name.
std::optional<uint64_t> SequenceOfSegment(std::string_view name);
std::optional<uint64_t> SequenceOfFree(std::string_view name);
// A file that was being made when the process ended; of no use.
bool IsUnfinishedSegment(std::string_view name);

// Zeros [from, to) of the file and makes that durable, piece by piece: one large flush would hold
// up the syncs of the segment in use.
absl::Status ZeroAndSync(File& file, uint64_t from, uint64_t to);

// Of a segment's file: what it has, and how much of that is written already, so that the disk has
// room for it for certain.
struct SegmentSize {
  uint64_t bytes = 0;
  uint64_t written = 0;
};

// A segment file under the name of `sequence`, its blocks written so that a later sync of records
// changes no metadata, durable with its name. Made from the free file of `recycle` if set (then it
// holds the old records, which no longer count: record.h), else new and zero. Whatever was under
// the name is lost.
absl::StatusOr<std::unique_ptr<File>> PrepareSegment(FileSystem& fs, const std::string& directory,
                                                     uint64_t sequence, SegmentSize size,
                                                     std::optional<uint64_t> recycle);

// Removes a segment nobody needs, or keeps its file as a free one; durable.
absl::Status DropSegment(FileSystem& fs, const std::string& directory, uint64_t sequence,
                         bool keep_file);

}  // namespace conclave::raft
