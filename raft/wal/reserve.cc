#include "raft/wal/reserve.h"

#include <fmt/format.h>

#include "raft/base/probe.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

std::string ReservePath(const std::string& directory) { return directory + "/reserve"; }

absl::StatusOr<bool> IsThere(FileSystem& fs, const std::string& path, uint64_t bytes) {
  if (!fs.Exists(path)) return false;
  absl::StatusOr<std::unique_ptr<File>> file = fs.Open(path, OpenMode::kMustExist);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return *size == bytes;
}

absl::Status Fill(FileSystem& fs, const std::string& path, uint64_t bytes) {
  absl::StatusOr<std::unique_ptr<File>> file = fs.Open(path, OpenMode::kCreateOrKeep);
  if (!file.ok()) return file.status();
  const absl::Status status = (*file)->Truncate(0);
  return status.ok() ? ZeroAndSync(**file, 0, bytes) : status;
}

}  // namespace

absl::Status KeepReserve(FileSystem& fs, const std::string& directory, uint64_t bytes) {
  const std::string path = ReservePath(directory);
  const absl::StatusOr<bool> there = IsThere(fs, path, bytes);
  if (!there.ok() || *there) return there.status();
  const absl::StatusOr<uint64_t> free = fs.FreeBytes(directory);
  if (!free.ok()) return free.status();
  if (*free / 2 < bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("{}: {} bytes are free, too few to reserve {}", directory, *free, bytes));
  }
  absl::Status status = Fill(fs, path, bytes);
  if (status.ok()) return fs.SyncDirectory(directory);
  // Part of it would only take the room of others.
  if (fs.Exists(path)) fs.Remove(path).IgnoreError();
  return status;
}

absl::Status GiveUpReserve(FileSystem& fs, const std::string& directory) {
  SIM_REACHED("wal.reserve_given_up");
  const absl::Status status = fs.Remove(ReservePath(directory));
  return status.ok() ? fs.SyncDirectory(directory) : status;
}

}  // namespace conclave::raft
