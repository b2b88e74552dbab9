// Gives the disk back the space of large files part by part. A file system that tells the disk of
// free space at once (ext4 mounted with "discard") has it busy for milliseconds with a table of
// 8 MiB, and whoever syncs meanwhile waits as long (docs/performance.md). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

#include "raft/base/posix_executor.h"

namespace conclave {

class GradualRemoval {
 public:
  static constexpr uint64_t kPartBytes = 1 << 20;
  // Of files that wait; one more is given back as a whole.
  static constexpr size_t kFilesMax = 64;

  GradualRemoval();
  // On destruction, what is left is given back at once.

  // Takes over a descriptor, open for writing, of a file without a name and of so many bytes. False
  // if it was one too many.
  bool Take(int fd, uint64_t bytes);
  size_t waiting() const;

 private:
  struct Nameless {
    Nameless(int fd_taken, uint64_t size) : fd(fd_taken), bytes(size) {}
    ~Nameless();
    Nameless(const Nameless&) = delete;
    Nameless& operator=(const Nameless&) = delete;

    const int fd;
    uint64_t bytes;
  };

  void RemovePart();

  mutable std::mutex mutex_;
  std::deque<Nameless> files_;  // guarded by mutex_; the first one is the lane's to use
  PosixExecutor lane_;          // ends before its files do
};

}  // namespace conclave
