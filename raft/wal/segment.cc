#include "raft/wal/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {
namespace {

constexpr uint64_t kZeroPieceBytes = 1 << 20;  // between two syncs
// Of one write. A large one makes a large folio in the page cache, and then each later write of
// some records makes all of it dirty: measured on ext4 of Linux 6.18, 1 MiB charged for a sync of
// 20 kB.
constexpr uint64_t kZeroWriteBytes = 4 << 10;
constexpr size_t kSequenceDigits = 16;

std::optional<uint64_t> ParseName(std::string_view name, std::string_view suffix) {
  if (name.size() != kSequenceDigits + suffix.size() || !name.ends_with(suffix))
    return std::nullopt;
  uint64_t sequence = 0;
  const char* const end = name.data() + kSequenceDigits;
  const auto [parsed, error] = std::from_chars(name.data(), end, sequence, 16);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return sequence;
}

absl::StatusOr<std::unique_ptr<File>> RecycleFile(FileSystem& fs, const std::string& from,
                                                  const std::string& to, uint64_t bytes) {
  SIM_REACHED("wal.segment_recycled");
  if (absl::Status status = fs.Rename(from, to); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<File>> file = fs.Open(to, OpenMode::kMustExist);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  absl::Status status = absl::OkStatus();
  if (*size > bytes) {
    SIM_REACHED("wal.recycled_segment_cut");
    status = (*file)->Truncate(bytes);
    if (status.ok()) status = (*file)->Sync();
  } else {
    status = ZeroAndSync(**file, *size, bytes);
  }
  if (!status.ok()) return status;
  return file;
}

absl::Status MakeFile(FileSystem& fs, const std::string& path, SegmentSize size) {
  absl::StatusOr<std::unique_ptr<File>> file = fs.Open(path, OpenMode::kCreateOrKeep);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Truncate(0);
  if (status.ok()) status = ZeroAndSync(**file, 0, size.written);
  if (!status.ok() || size.written >= size.bytes) return status;
  status = (*file)->Truncate(size.bytes);
  return status.ok() ? (*file)->Sync() : status;
}

// It gets its name when it is as long as it should be.
absl::StatusOr<std::unique_ptr<File>> NewFile(FileSystem& fs, const std::string& path,
                                              SegmentSize size) {
  const std::string temporary = path + ".tmp";
  if (absl::Status status = MakeFile(fs, temporary, size); !status.ok()) {
    // Part of it would only take the room of others.
    if (fs.Exists(temporary)) fs.Remove(temporary).IgnoreError();
    return status;
  }
  if (absl::Status status = fs.Rename(temporary, path); !status.ok()) return status;
  return fs.Open(path, OpenMode::kMustExist);
}

}  // namespace

std::string SegmentPath(const std::string& directory, uint64_t sequence) {
  return fmt::format("{}/{:016x}.wal", directory, sequence);
}

std::string FreePath(const std::string& directory, uint64_t sequence) {
  return fmt::format("{}/{:016x}.free", directory, sequence);
}

bool IsUnfinishedSegment(std::string_view name) { return ParseName(name, ".wal.tmp").has_value(); }

std::optional<uint64_t> SequenceOfSegment(std::string_view name) { return ParseName(name, ".wal"); }
std::optional<uint64_t> SequenceOfFree(std::string_view name) { return ParseName(name, ".free"); }

absl::Status ZeroAndSync(File& file, uint64_t from, uint64_t to) {
  static constexpr char kZeros[kZeroWriteBytes] = {};
  absl::Status status = absl::OkStatus();
  while (from < to && status.ok()) {
    const uint64_t piece_end = std::min(from + kZeroPieceBytes, to);
    while (from < piece_end && status.ok()) {
      const uint64_t size = std::min(kZeroWriteBytes - from % kZeroWriteBytes, piece_end - from);
      status = file.WriteAt(from, std::string_view(kZeros, size));
      from += size;
    }
    if (status.ok()) status = file.Sync();
  }
  return status;
}

absl::StatusOr<std::unique_ptr<File>> PrepareSegment(FileSystem& fs, const std::string& directory,
                                                     uint64_t sequence, SegmentSize size,
                                                     std::optional<uint64_t> recycle) {
  const std::string path = SegmentPath(directory, sequence);
  if (fs.Exists(path)) {
    SIM_REACHED("wal.unused_segment_replaced");
    if (absl::Status status = fs.Remove(path); !status.ok()) return status;
  }
  absl::StatusOr<std::unique_ptr<File>> file =
      recycle.has_value() ? RecycleFile(fs, FreePath(directory, *recycle), path, size.bytes)
                          : NewFile(fs, path, size);
  if (!file.ok() || SEEDED_BUG(kSegmentNameNotSynced)) return file;
  if (absl::Status status = fs.SyncDirectory(directory); !status.ok()) return status;
  return file;
}

absl::Status DropSegment(FileSystem& fs, const std::string& directory, uint64_t sequence,
                         bool keep_file) {
  const std::string path = SegmentPath(directory, sequence);
  absl::Status status =
      keep_file ? fs.Rename(path, FreePath(directory, sequence)) : fs.Remove(path);
  // One sync for each: a crash must never leave a gap in the sequence.
  return status.ok() ? fs.SyncDirectory(directory) : status;
}

}  // namespace conclave::raft
