// Ends the process when the disk under the log hangs: a member that can neither write nor fail is
// of no use to its cluster, and whoever runs it can mend or move what has ended. Told by the raft
// stage of each write to the log; on the raft lane.
//
// It looks several times while a write is under way and counts looks rather than time: a process
// that was suspended, or whose machine was, has looked once at most and is not ended for it.
#pragma once

#include <cstdint>
#include <string>

#include "raft/base/executor.h"
#include "raft/base/time.h"

namespace conclave::server {

struct LogWatchdogOptions {
  // No write was completed for so long though some are under way; zero: never ends the process.
  Duration stall_max = Seconds(10);
  std::string directory = {};  // of the log, for the last words
};

class LogWatchdog {
 public:
  LogWatchdog(LogWatchdogOptions options, Executor* lane);
  ~LogWatchdog();
  LogWatchdog(const LogWatchdog&) = delete;
  LogWatchdog& operator=(const LogWatchdog&) = delete;

  void WriteStarted();
  void WriteDone();
  bool writing() const { return started_ != done_; }

  // The log's own disk is full, as far as the log knows: what it writes may wait for room, which is
  // no hang. What else is short of space, on whichever disk, is no reason to endure one.
  void SetDiskFull(bool full) { disk_full_ = full; }

 private:
  void LookLater();
  void Look();

  const LogWatchdogOptions options_;
  Executor* const lane_;
  bool disk_full_ = false;
  uint64_t started_ = 0;
  uint64_t done_ = 0;
  uint64_t done_at_last_look_ = 0;
  int looks_in_vain_ = 0;  // in a row
  TimerId timer_ = 0;
};

}  // namespace conclave::server
