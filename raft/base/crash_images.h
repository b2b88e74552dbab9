// What a crash at this moment could leave of a disk, for opening every image of the log and of the
// engine. Tests only; one thread.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"

namespace conclave {

// Calls `check` with copies of `disk` after a crash: with nothing unsynced, with all of it, and
// `torn` times with some of it, by chance.
inline void ForEachCrashImage(const MemoryFileSystem& disk, int torn, Random& random,
                              absl::FunctionRef<void(MemoryFileSystem&)> check) {
  std::unique_ptr<MemoryFileSystem> image = disk.Copy();
  image->CrashAndLose();
  check(*image);
  image = disk.Copy();
  image->CrashAndKeepBytes(image->unsynced_bytes());
  check(*image);
  for (int i = 0; i < torn; ++i) {
    image = disk.Copy();
    image->CrashAndKeepSome(random);
    check(*image);
  }
}

}  // namespace conclave
