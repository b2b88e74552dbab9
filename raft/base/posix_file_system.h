// The disk behind the FileSystem seam: plain system calls. Made once in main. It owns three
// threads, started on first use: one carries out every WriteAndSync, one what runs in the
// background, so that preparing a file never delays a sync, and one removes gradually. Blocking
// calls may come from any thread; a File stays with one lane at a time.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "raft/base/file_system.h"
#include "raft/base/posix_executor.h"
#include "raft/base/posix_removal.h"

namespace conclave {

struct PosixFileSystemOptions {
  // False: nothing is made durable by anybody but the kernel in its own time. A crash of the
  // process loses nothing, one of the machine may lose or tear anything.
  bool sync = true;
};

class PosixFileSystem : public FileSystem {
 public:
  explicit PosixFileSystem(const PosixFileSystemOptions& options = {});
  // Finishes what was handed to its threads; the lanes they answer to must still be there. All
  // files must be gone.
  ~PosixFileSystem() override;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status CreateDirectory(const std::string& directory) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveGradually(const std::string& path) override;
  absl::Status RemoveTree(const std::string& directory) override;
  bool Exists(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) override;
  void RunInBackground(Work work, Executor* lane, File::SyncDone done) override;

 private:
  friend class PosixFile;

  // The thread for WriteAndSync.
  Executor& sync_lane();
  GradualRemoval& removal();

  const PosixFileSystemOptions options_;
  std::mutex mutex_;
  std::unique_ptr<PosixExecutor> sync_lane_;        // guarded by mutex_
  std::unique_ptr<PosixExecutor> background_lane_;  // guarded by mutex_
  std::unique_ptr<GradualRemoval> removal_;         // guarded by mutex_
};

}  // namespace conclave
