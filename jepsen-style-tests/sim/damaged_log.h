// What damage at rest may have taken from a log, found by comparing its files with what they were:
// all that was written before the first record that was touched must still be there, and whether
// more may be missing depends on what later records tell (raft/wal/replay.h). The checkers hold
// against it what a member finds. One thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "raft/base/memory_file_system.h"
#include "raft/core/disk.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::sim {

raft::Disk DiskOf(const raft::WalContents& contents);

struct DamagedLog {
  // What the log amounted to right before each run of records that were touched; without entries
  // and without members if nothing came before it.
  std::vector<raft::Disk> before = {};
  // Where the log ended when the first segment after the damage began; nothing if there is none.
  std::optional<raft::LogState> next_segment = {};
  // A record before the damage, or a whole one after it, tells where the log starts. What was
  // written last is whole (sim_disk.h), so such a log can always be opened.
  bool start_told = false;
  // The log had been damaged before, and that was still to be seen: `before` is not all there is.
  bool damaged_before = false;

  // A log that was `whole` may be found as `rest`, or must if `rest` is the whole log. Compares
  // entries and where it starts, not what it says of its loss.
  bool MayLeave(const raft::Disk& rest, const raft::Disk& whole) const;

 private:
  bool MustLeaveWhole(const raft::Disk& whole) const;
};

// `sound` is a copy of the disk as it was, which is used up. Nothing if no record was touched.
std::optional<DamagedLog> FindDamage(std::unique_ptr<MemoryFileSystem> sound,
                                     const MemoryFileSystem& damaged,
                                     const raft::WalOptions& options);

}  // namespace conclave::sim
