// The raft log on disk: an append-only sequence of records in segment files, with group commit
// (docs/wal-format.md). Owned by the raft stage, all calls on its lane; only Open blocks. While one
// sync is under way everything appended meanwhile grows the next batch, so one fdatasync serves
// many proposals (rule R1 of raft/core/core.h: in order, then the callback). The first failed write
// or sync ends the process: what the disk holds is unknown from then on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "raft/base/executor.h"
#include "raft/base/file_system.h"
#include "raft/core/core.h"
#include "raft/core/entry.h"

namespace conclave::raft {

struct WalOptions {
  std::string directory;
  uint64_t cluster_id = 0;
  NodeId member;
  size_t segment_bytes = 16 << 20;  // a segment holds at least one batch, so it may grow beyond
  // Room that is kept for a full disk and given up when there is no other for the next segment:
  // enough for four small segments, of which the log needs the first at once; the rest serves it
  // and the state machine to free more. 0 keeps none.
  size_t reserve_bytes = 8 << 20;
};

// What Open found.
struct WalContents {
  HardState hard_state;
  LogIndex snapshot_index;  // the log starts after it
  Term snapshot_term;
  Configuration configuration;  // as of snapshot_index
  // After damage, what the log began with before it; some of these may have been replaced by what
  // is lost, so who has applied entries compares their terms first.
  std::vector<Entry> entries;
  bool torn_tail = false;  // pieces of an unfinished last write were found and cut off
  // Damage in the middle took the entries after the last one here up to this one, though some of
  // them may have been acknowledged (RecoveredState::lost_through). Stays so until an AppendTask
  // says `complete`. 0 if nothing was lost.
  LogIndex lost_through;
  std::string damage;  // where and how, for the log of a person; empty if there is none
};

struct WalStats {
  uint64_t syncs = 0;
  uint64_t entries = 0;  // entries / syncs is the group-commit factor
  uint64_t bytes = 0;
  uint64_t segments = 0;  // files now
  Duration last_sync{};   // how long the latest write and sync took
};

class Wal {
 public:
  // Creates the directory of a new member whose log starts empty with `initial` as its
  // configuration. AlreadyExists if it holds a log.
  static absl::Status Create(FileSystem& fs, const WalOptions& options,
                             const Configuration& initial);

  // True if the directory holds a log.
  static bool Exists(FileSystem& fs, const WalOptions& options);

  struct Opened {
    std::unique_ptr<Wal> wal;
    WalContents contents;
  };
  // Reads everything back. Damage in the middle takes entries (WalContents::lost_through); DataLoss
  // names file and offset if it took what was written last as well, never for a torn tail;
  // FailedPrecondition if the log is another member's or another cluster's.
  static absl::StatusOr<Opened> Open(FileSystem& fs, const WalOptions& options, Executor* lane);

  // Forgets what is not durable yet; no callback runs any more. The file system may still be at
  // work in the log's directory for a moment: open the log again only after that file system is
  // gone.
  virtual ~Wal() = default;

  // Queues the task's hard state, reset and entries, and that the log is complete again. Requires a
  // reset at or after all that was released. `durable` runs on the lane once this write and all
  // before it are on stable storage; callbacks run in order, those of one sync together. The task's
  // messages are the caller's business.
  using Durable = absl::AnyInvocable<void()>;
  virtual void Append(const AppendTask& task, Durable durable) = 0;

  // Forgets entries up to `index` (whose term is `term`, with `configuration` in force there):
  // whole segments are removed or recycled once nothing in them is needed. Must be durable in the
  // state machine already.
  virtual void Release(LogIndex index, Term term, const Configuration& configuration) = 0;

  virtual WalStats Stats() const = 0;

  // Told true when the reserve is given up: the log goes on, but its member should take no more
  // than what frees room, or step down. Once the disk has room for the reserve again, told false.
  // Told true at once if that is how it is.
  virtual void SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) = 0;

  // How long each sync took, told once per sync; for the metrics.
  virtual void SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t entries)> observer) = 0;
};

}  // namespace conclave::raft
