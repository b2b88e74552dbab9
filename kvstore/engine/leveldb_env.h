// The world as LevelDB sees it: its files on our FileSystem seam, its background work on a lane of
// its own. Differs from LevelDB's own environment in these ways:
//  - Logs (`.log`) have a name but no content and never reach the disk: whoever owns the engine has
//  a log.
//  - Creations and renames are made durable with their directory before anything can depend on
//  them.
//  - A failed write or sync ends the process at once: nothing may be built on a file in an unknown
//  state. Only a full disk does not: the write failed before any sync did, and what it has of the
//  file is written again once there is space, or LevelDB is told of the failure
//  (SetWaitsForSpace).
//  - A manifest is read without a last record that a crash has torn (leveldb_manifest.h).
// One environment per open database, which must be gone before it. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "leveldb/env.h"
#include "raft/base/file_system.h"
#include "raft/base/posix_executor.h"

namespace conclave::kv {

class LevelDbEnv : public leveldb::Env {
 public:
  // In a drained environment, LevelDB's background work waits until it is told to run.
  // `sync_every_bytes` as in LevelDbOptions.
  explicit LevelDbEnv(FileSystem* fs, bool drained = false, uint64_t sync_every_bytes = 0)
      : fs_(fs), drained_(drained), sync_every_bytes_(sync_every_bytes) {}

  // Whether a step of LevelDB's background work is worth its cost; asked on its own lane, without
  // any lock. Work that is not waits for the next flush, which always runs, or for
  // TryHeldCompaction. Once, after the database is open.
  void SetCompactionGate(std::function<bool()> is_due);
  // What waits at the gate is asked about again.
  void TryHeldCompaction();
  // Returns when a flush that has begun is over, for good or because LevelDB has given up; at once
  // if there is none.
  void AwaitFlush();

  // From RunBackground on, background work runs as it comes; Drain runs what there is, waits until
  // it is done, and holds back what comes later. No-ops in an environment that is not drained.
  void RunBackground();
  void Drain();

  // While on, what finds the disk full tries again until there is space; else it fails, and LevelDB
  // with it. Off at first, so that opening fails at once.
  void SetWaitsForSpace(bool waits);
  // The disk's words once something has failed so.
  absl::Status SpaceStatus() const;

  // Once, after the database is open: the tables that it has count from now on though nobody has
  // opened them yet, and the directory is not read again. LevelDB asks for its files after each
  // compaction, with the lock that every lookup needs, and thousands take milliseconds to read.
  leveldb::Status LearnFiles(const std::string& directory);

  // Of all files this environment has seen.
  uint64_t SizeBytes() const;

  leveldb::Status NewSequentialFile(const std::string& path,
                                    leveldb::SequentialFile** file) override;
  leveldb::Status NewRandomAccessFile(const std::string& path,
                                      leveldb::RandomAccessFile** file) override;
  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;
  bool FileExists(const std::string& path) override;
  leveldb::Status GetChildren(const std::string& directory,
                              std::vector<std::string>* names) override;
  leveldb::Status RemoveFile(const std::string& path) override;
  leveldb::Status CreateDir(const std::string& directory) override;
  leveldb::Status RemoveDir(const std::string& directory) override;
  leveldb::Status GetFileSize(const std::string& path, uint64_t* size) override;
  leveldb::Status RenameFile(const std::string& from, const std::string& to) override;
  leveldb::Status LockFile(const std::string& path, leveldb::FileLock** lock) override;
  leveldb::Status UnlockFile(leveldb::FileLock* lock) override;

  void Schedule(void (*work)(void*), void* argument) override;
  void StartThread(void (*work)(void*), void* argument) override;
  void SleepForMicroseconds(int microseconds) override;
  // Always 0: LevelDB wants it for statistics that nobody reads.
  uint64_t NowMicros() override { return 0; }

  // Not offered: the engine gives LevelDB its logger, and tests have directories of their own.
  leveldb::Status GetTestDirectory(std::string* path) override;
  leveldb::Status NewLogger(const std::string& path, leveldb::Logger** logger) override;

 private:
  friend class DiskFile;

  struct Work {
    void (*run)(void*);
    void* argument;
  };

  void RunIfDue(Work work);
  void Resize(const std::string& path, uint64_t size);
  void Forget(const std::string& path);
  // Carries out what may find the disk full. Any error but that ends the process.
  leveldb::Status WithSpace(const std::function<absl::Status()>& operation);
  // These with mutex_ held.
  void Start(Work work);
  void RunHeld();
  void TryHeldCompactionLocked();
  // LevelDB begins a new log when it begins a flush, and removes the old one at its end.
  bool flushing() const { return logs_ > 1; }

  FileSystem* const fs_;
  const bool drained_;
  const uint64_t sync_every_bytes_;  // 0: once
  mutable std::mutex mutex_;
  bool running_background_ = false;  // guarded by mutex_, like all below
  bool waits_for_space_ = false;
  absl::Status space_status_;
  std::condition_variable waits_changed_;
  std::vector<Work> held_;
  std::function<bool()> compaction_is_due_;
  std::optional<Work> at_gate_;
  uint64_t gate_tries_ = 0;
  int logs_ = 0;
  size_t started_ = 0;               // works that have neither ended nor come to wait at the gate
  std::condition_variable changed_;  // flushing(), or started_ to 0
  std::map<std::string, uint64_t> sizes_;  // of all files, once knows_all_
  bool knows_all_ = false;
  uint64_t size_bytes_ = 0;
  std::unique_ptr<PosixExecutor> background_;
  std::vector<std::unique_ptr<PosixExecutor>> threads_;
};

// Passes LevelDB's lines on, without their ends; drops them if `log` is empty.
class LevelDbLogger : public leveldb::Logger {
 public:
  explicit LevelDbLogger(std::function<void(std::string_view line)> log) : log_(std::move(log)) {}
  void Logv(const char* format, std::va_list arguments) override;

 private:
  const std::function<void(std::string_view line)> log_;
};

}  // namespace conclave::kv
