// The engine on disk: LevelDB, on an environment of our own (leveldb_env.h) that gives it no log.
// After a crash it holds exactly its flushed tables, which are a prefix of what was written; the
// caller's log of commands replays the rest (decision 0001). Opened by the server at start-up, on a
// lane that may block.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"
#include "raft/base/file_system.h"

namespace conclave::kv {

struct LevelDbOptions {
  // Written but unflushed bytes kept in memory (write_buffer.h); twice that while a flush is under
  // way. More means fewer compactions, and more of the log to apply again after a crash
  // (docs/performance.md).
  size_t write_buffer_bytes = 16 << 20;
  // Keys from this one on are history: each is put once, above all that were put before, and
  // deleted from the other end. A flush gives them a table of their own, which lies above all
  // others and is moved from level to level, never merged with anything. It is made first, so after
  // a crash there may be history of batches that the rest does not know yet; whoever opens the
  // engine deletes it. Empty: none.
  std::string history_from;
  size_t block_cache_bytes = 32 << 20;
  // Table files kept open, each with 12 KiB of index and filter for a MiB: enough for the latest
  // records of 40 million keys of 256 bytes, or a get has to read those first.
  int open_files_max = 1536;
  // Opening an absent database is DataLoss, rather than making an empty one.
  bool must_exist = false;
  // What finds the disk full waits until there is space. Otherwise, as for an engine that somebody
  // waits for and could do without, it fails, and Engine::CheckSpace says so.
  bool waits_for_space = true;
  // A table is synced whenever so many bytes of it are written, not only at its end: one sync of a
  // whole table holds up everybody else's on that disk. 0: at its end.
  size_t sync_every_bytes = 64 << 10;
  // Every call returns only once LevelDB's background work is done, and that work runs only while
  // the caller waits for it: what reaches the disk is a function of the calls, as simulations need.
  // Then calls come from one thread at a time, and Reclaim leaves all to the compactions that
  // LevelDB chooses itself: the order of a forced one among those would be a matter of threads.
  bool drained = false;
  // Something that was to be read is damaged, and the process is about to end for it: may note
  // that, so that the next run knows. From any thread, perhaps from several.
  std::function<void()> damaged;
  // LevelDB's own lines about flushes and compactions, from any thread; dropped if empty.
  std::function<void(std::string_view line)> log;
};

// Opens the database in `directory`, making both if they are absent. The directory is locked until
// the engine is gone, and `fs` must outlive it and be usable from two threads. Errors: DataLoss if
// the content is damaged, ResourceExhausted if the disk is full, FailedPrecondition if somebody
// else has the directory open or it cannot be read. Destroying the engine flushes nothing: call
// Flush first.
absl::StatusOr<std::unique_ptr<Engine>> OpenLevelDbEngine(FileSystem* fs,
                                                          const std::string& directory,
                                                          const LevelDbOptions& options);

}  // namespace conclave::kv
