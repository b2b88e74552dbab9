// The disk of one simulated member: the disk in memory (raft/base/memory_file_system.h says what a
// crash takes), which also takes its time, fails, fills up, hangs, rots, and can die in the middle
// of what the process is doing. It belongs to the machine and outlives the member's processes. One
// thread, and the same calls give the same outcome; for LevelDB, which has a thread of its own, put
// a LockedFileSystem around it and let the engine run LevelDB drained (LevelDbOptions::drained).
//
// LevelDB must never see an I/O error in a simulation: it would end the process on its own thread.
// So runs with LevelDB keep sync errors, a full disk and read errors to the log's directory
// (DiskOptions::faults_under). Crashes need no such care: see the fuse.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "jepsen-style-tests/sim/fault_atlas.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"
#include "raft/base/time.h"

namespace conclave::sim {

struct DiskOptions {
  // How long a WriteAndSync, or one work of RunInBackground, takes; blocking calls take no time.
  Duration sync_min = std::chrono::microseconds(100);
  Duration sync_max = std::chrono::microseconds(500);
  // One in so many takes between sync_max and slow_max instead; 0 is none.
  uint32_t slow_one_in = 0;
  Duration slow_max = Milliseconds(200);
  // One read in so many fails; 0 is none.
  uint32_t read_error_one_in = 0;
  // Sync errors, read errors and a full disk befall only files whose path starts so.
  std::string faults_under = {};
};

class SimDisk : public MemoryFileSystem {
 public:
  // Damage at rest needs the atlas of the cluster and the number of the member in it.
  SimDisk(uint64_t seed, DiskOptions options, const FaultAtlas* atlas = nullptr, size_t member = 0);

  void SetOptions(DiskOptions options) { options_ = std::move(options); }

  // ---- The ends of a process. Whatever it still waits for never comes. ----

  // The power goes: unsynced sectors and names are kept or lost by chance.
  void Crash(Random& random);
  // The process goes and the machine stays: all it wrote is there, as unsynced as it was.
  void Kill();

  // After this many more mutating operations (creation, write, sync, truncation, rename, removal,
  // directory sync) the fuse blows: what the disk holds is settled there, and Crash or Kill goes
  // from there. The process does not know that it is dead: its calls succeed and it reads back
  // what it writes, but nothing of that outlives it, and no callback of the disk runs any more.
  // It must be ended after the present event, and until then nothing that it says may leave it:
  // it may believe to have synced what it has not. 0 blows at once. The end of the process takes
  // the fuse out.
  void CrashAfter(uint64_t operations);
  bool fuse_blown() const { return frozen(); }
  // Called at the moment the fuse blows, perhaps on LevelDB's thread while the member's waits for
  // it; must not call the disk.
  void SetFuseObserver(absl::AnyInvocable<void()> blown) { fuse_observer_ = std::move(blown); }

  // ---- Faults. They last until lifted, over crashes as well, but for FailNextSync. ----

  // The next sync of a file fails, and what was to be synced stays unsynced.
  void FailNextSync() { fail_next_sync_ = true; }
  // While full, creating a file or writing beyond its end is ResourceExhausted, but for the room of
  // files that are removed meanwhile.
  void SetFull(bool full);
  bool full() const { return full_; }
  // While hung, no WriteAndSync and no RunInBackground completes.
  void Hang();
  void Unhang();
  bool hung() const { return hung_; }
  // How long the oldest WriteAndSync has been held up, by the clock of its lane; zero if none is.
  Duration WriteHeldUp() const;

  // ---- Damage at rest, between two processes. Only if the atlas allows; false if nothing was
  // done. Both keep to what a later record of the same segment vouches for (docs/wal-format.md), so
  // that the log can always tell: damage to its very last write looks like a torn one. ----

  // Flips some bits of one segment of the log in `log_directory`.
  bool Rot(const std::string& log_directory, Random& random);
  // The write before the last of the log's last segment went to an earlier place of the file
  // instead.
  bool Misdirect(const std::string& log_directory, Random& random);

  absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) override;

  // A hash of every mutating operation so far, in order, with its bytes, and of all that befell the
  // disk.
  uint64_t trace() const { return trace_; }
  uint64_t operations() const { return operations_; }  // mutating ones so far

 protected:
  absl::Status Before(const Access& access) override;
  void After(const Access& access) override;
  void StartSync(Executor* lane, Task sync) override;
  void StartWork(Executor* lane, Task work) override;
  void ProcessEnded() override;

 private:
  struct Waiting {
    Executor* lane;
    Task task;
    bool is_write = false;  // a WriteAndSync
    Instant since = {};     // of what is parked
  };

  bool HasRoom(const Access& access) const;
  Duration Delay();
  // On the lane once the delay is over: runs the task, or keeps it while the disk hangs.
  void RunOrPark(Executor* lane, bool is_write, Task task);
  void StartOldestWork();
  void Blow();
  bool MayDamage() const;
  void NoteDamage(std::string_view path, uint64_t offset, std::string_view bytes);
  bool Befalls(const std::string& path) const { return path.starts_with(options_.faults_under); }
  void Mix(uint64_t value);
  void Mix(std::string_view bytes);

  DiskOptions options_;
  const FaultAtlas* const atlas_;
  const size_t member_;
  Random delays_;
  Random read_errors_;

  bool fail_next_sync_ = false;
  bool full_ = false;
  uint64_t room_ = 0;  // freed while full
  bool hung_ = false;
  std::deque<Waiting> parked_;  // while hung, oldest first
  std::deque<Waiting> works_;   // the first one is under way

  bool fuse_set_ = false;
  uint64_t fuse_left_ = 0;
  absl::AnyInvocable<void()> fuse_observer_;

  uint64_t operations_ = 0;
  uint64_t trace_;
};

}  // namespace conclave::sim
