// A disk in memory that knows what is durable: the FileSystem of unit tests and, as the base of
// its disks, of the simulator. A crash takes away what was not synced, in whole or in part; faults
// and slow syncs come from the test. One thread, and the same calls give the same outcome every
// time.
//
// What it models: a write is durable once its file was synced after it; a creation, rename or
// removal once its directory was. A disk keeps or loses each 512-byte sector of an unsynced write
// on its own, and each change of a directory, unless it builds on a lost one of the same name.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "raft/base/file_system.h"
#include "raft/base/memory_file_content.h"
#include "raft/base/random.h"

namespace conclave {

class MemoryFileSystem : public FileSystem {
 public:
  // Where a fault can be injected. Opening a file that is to be made is kOpen, then kCreate; all
  // from kCreate on change what is on the disk.
  enum class Operation {
    kOpen,
    kRead,
    kCreate,
    kWrite,
    kSync,
    kTruncate,
    kRename,
    kRemove,
    kSyncDirectory,
    kCreateDirectory,
    kRemoveTree,
  };
  static bool Mutates(Operation operation) { return operation >= Operation::kCreate; }
  // Asked before every operation; what it returns, unless OK, is the operation's result and nothing
  // is done.
  using Fault = absl::AnyInvocable<absl::Status(Operation operation, const std::string& path)>;

  MemoryFileSystem();
  ~MemoryFileSystem() override;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status CreateDirectory(const std::string& directory) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveGradually(const std::string& path) override;  // all of it before it returns
  absl::Status RemoveTree(const std::string& directory) override;  // durable at once
  bool Exists(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) override;
  void RunInBackground(Work work, Executor* lane, File::SyncDone done) override;

  void SetFault(Fault fault) { fault_ = std::move(fault); }
  // While cold, ReadIfCached has nothing of any file.
  void SetCold(bool cold) { cold_ = cold; }
  // What FreeBytes says; no call heeds it.
  void SetFreeBytes(uint64_t bytes) { free_bytes_ = bytes; }

  // While held, WriteAndSync and RunInBackground wait for their Release, one call each, oldest
  // first.
  void HoldSyncs(bool hold) { hold_syncs_ = hold; }
  void HoldBackground(bool hold) { hold_background_ = hold; }
  bool ReleaseSync();        // false if none waits
  bool ReleaseBackground();  // likewise
  size_t held_syncs() const { return held_syncs_.size(); }
  size_t held_background() const { return held_background_.size(); }
  uint64_t syncs() const { return syncs_; }  // File syncs done, of both kinds

  // The ends of a process. Open files, locks and held calls are gone; what a dead handle is asked
  // afterwards fails.
  void KillProcess();                      // everything written stays, as unsynced as it was
  void CrashAndLose();                     // nothing unsynced survives
  void CrashAndKeepBytes(uint64_t bytes);  // the first so many unsynced bytes, and all names
  void CrashAndKeepSome(Random& random);   // sectors and names by chance

  // From now on nothing that the process does outlives it, and no callback runs: its calls succeed
  // and it reads back what it writes, but its end, of whichever kind, goes from the state of now.
  void Freeze();
  bool frozen() const { return frozen_ != nullptr; }

  // A disk in the same state, synced and unsynced, that no process uses: to try a crash on.
  std::unique_ptr<MemoryFileSystem> Copy() const;

  // What a program would read now. CHECK-fails if the file is absent.
  std::string Contents(const std::string& path) const;
  uint64_t unsynced_bytes() const;
  // Inverts the bits of `mask` in one byte, durably: damage on the medium.
  void FlipBits(const std::string& path, uint64_t offset, uint8_t mask);
  // Replaces bytes, durably. The file must be synced and hold that range.
  void Damage(const std::string& path, uint64_t offset, std::string_view bytes);
  // Whether all of the file is durable.
  bool IsSynced(const std::string& path) const;

 protected:
  // One operation, for what derives from this disk.
  struct Access {
    Operation operation;
    const std::string& path;
    uint64_t offset = 0;          // of a write; of a truncation, the size it leaves
    std::string_view bytes = {};  // of a write
    std::string_view to = {};     // of a rename
    uint64_t grows = 0;           // of a write: bytes beyond the present end of the file
  };
  // Asked before each; what it returns, unless OK, is the operation's result and nothing is done.
  virtual absl::Status Before(const Access& access);
  // Told after each that changed something.
  virtual void After(const Access&) {}
  // Sees to it that the task runs on the lane: the end of a WriteAndSync, or a RunInBackground.
  virtual void StartSync(Executor* lane, Task sync);
  virtual void StartWork(Executor* lane, Task work);
  // Told when a process ends; nothing that it has started may go on.
  virtual void ProcessEnded() {}
  // False once the present process has ended, or the disk is gone.
  const std::shared_ptr<bool>& process() const { return process_; }

 private:
  friend class MemoryFile;
  friend class MemoryLock;
  struct Change;  // of a directory
  struct Frozen;
  using Names = std::map<std::string, std::shared_ptr<MemoryFileContent>>;
  struct Held {
    Executor* lane;
    Task task;
  };

  const std::shared_ptr<MemoryFileContent>& Find(const std::string& path) const;
  void ApplyChange(Names& names, const Change& change);
  void Record(Change change);
  // After a crash: the names that survive are the durable ones and the changes kept, all of them
  // without `random`.
  void KeepChanges(Random* random);
  void ForgetProcess();
  void Thaw();

  std::set<std::string> directories_;
  Names names_;  // as a program sees them; full paths
  Names durable_names_;
  std::map<std::string, std::vector<Change>> changes_;  // by directory, since its last sync
  std::set<std::string> locks_;
  std::atomic<bool> cold_ = false;
  Fault fault_;
  uint64_t free_bytes_ = uint64_t{1} << 40;
  bool hold_syncs_ = false;
  bool hold_background_ = false;
  std::deque<Held> held_syncs_;
  std::deque<Held> held_background_;
  std::unique_ptr<Frozen> frozen_;
  uint64_t syncs_ = 0;
  uint64_t writes_ = 0;  // numbers the unsynced writes of all files
  // Set to false when the process ends, and replaced: handles and calls of the old one see it.
  std::shared_ptr<bool> process_ = std::make_shared<bool>(true);
};

}  // namespace conclave
