// The seam of disks. The real one is posix_file_system.h, the simulated one loses, tears and
// corrupts by seed. Blocking calls are for start-up and for lanes that may block; the one call that
// a hot lane may make is File::WriteAndSync, which completes by callback, so that a slow or failed
// sync is an ordinary event.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/executor.h"

namespace conclave {

// One open file. Used from one lane at a time.
class File {
 public:
  virtual ~File() = default;

  // Up to `size` bytes from `offset` go to `out`; returns how many, fewer only at the end of the
  // file. Blocks.
  virtual absl::StatusOr<size_t> ReadInto(uint64_t offset, size_t size, char* out) = 0;
  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size);
  // As ReadInto, but Unavailable if that would wait for the disk. What cannot tell waits.
  virtual absl::StatusOr<size_t> ReadIfCached(uint64_t offset, size_t size, char* out) {
    return ReadInto(offset, size, out);
  }

  // Writes all of `bytes` at `offset`, growing the file as needed. Blocks; durable only after Sync.
  virtual absl::Status WriteAt(uint64_t offset, std::string_view bytes) = 0;

  // Makes everything written so far durable (fdatasync). Blocks.
  virtual absl::Status Sync() = 0;

  // Writes `bytes` at `offset` and makes them durable without blocking the caller, then runs `done`
  // on `lane`. At most one per file may be under way, and no other call on the file meanwhile. Both
  // results are final: never retry a failed sync.
  using SyncDone = absl::AnyInvocable<void(absl::Status)>;
  virtual void WriteAndSync(uint64_t offset, std::string bytes, Executor* lane, SyncDone done) = 0;

  virtual absl::StatusOr<uint64_t> Size() = 0;
  virtual absl::Status Truncate(uint64_t size) = 0;
};

// What Open does about a file that is there, or is not.
enum class OpenMode {
  kMustExist,     // NotFound if absent
  kReadOnly,      // likewise, and only to be read
  kMustNotExist,  // AlreadyExists if present
  kCreateOrKeep,  // opens, creating an empty one if absent
};

// An exclusive claim on a directory, let go on destruction or by the death of the process.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

// Paths are plain strings with '/'; relative ones start at the process's working directory. All
// calls but RunInBackground block. Errors carry the path and the system's own words; NotFound and
// AlreadyExists mean what they say, and ResourceExhausted that the disk is full.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Names (without path) of what is in the directory, sorted. NotFound if the directory is absent.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // Creates it and its missing parents, readable by the owner only (0700), durable at once. OK if
  // it is there.
  virtual absl::Status CreateDirectory(const std::string& directory) = 0;
  // Makes creations, renames and removals in the directory durable.
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;
  // Replaces `to` if it is there; atomic in memory, durable only after SyncDirectory.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // The same, of a large file whose content nobody needs any more: neither whoever has it open, nor
  // after a crash that brings the name back. Its space is given back in the background, part by
  // part, so that nobody's sync has to wait for all of it.
  virtual absl::Status RemoveGradually(const std::string& path) = 0;
  // Removes a directory and all that is in it; OK if it is absent.
  virtual absl::Status RemoveTree(const std::string& directory) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // What this process may still write to the disk of the directory, as far as the system can tell.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) = 0;
  // FailedPrecondition if another process (or another holder in this one) has it.
  virtual absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) = 0;

  // Runs `work`, which may block, off the caller's lane, then `done` with its result on `lane`.
  // Works run one at a time, in the order given, and never hold up a WriteAndSync. `work` may use
  // this file system, and files that nobody else uses meanwhile; whatever else it touches must be
  // its own until `done`.
  using Work = absl::AnyInvocable<absl::Status()>;
  virtual void RunInBackground(Work work, Executor* lane, File::SyncDone done) = 0;
};

// Replaces the file at `path` by `bytes` so that a crash leaves the old one or the new one, never a
// mix: a temporary file, its sync, a rename, the directory's sync. Blocks.
absl::Status ReplaceFile(FileSystem& fs, const std::string& path, std::string_view bytes);

// The whole file, if it does not change meanwhile. Blocks.
absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path);

// The directory part of a path, "." if there is none.
std::string DirectoryOf(const std::string& path);

}  // namespace conclave
