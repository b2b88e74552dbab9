// A copy of one member's log, made from what passes its seam: what is durable, what is handed over,
// and what of that is still on its way to the disk. Owned by RaftInvariants, on its thread.
#pragma once

#include <deque>
#include <string>
#include <variant>

#include "raft/core/configurations.h"
#include "raft/core/core.h"
#include "raft/core/disk.h"
#include "raft/wal/wal.h"

namespace conclave::sim {

class MirroredMember {
 public:
  // A disk of which nothing was known holds `recovered`.
  explicit MirroredMember(const raft::WalContents& recovered);

  void Append(const raft::AppendTask& task);
  // Requires an index that the log holds.
  void Release(const raft::LogStart& to);
  // `write` and all before it are on the disk. False if it is not on its way there.
  bool Done(raft::WriteId write);

  // A new run that found `recovered`. Empty if the disk may have come to be so: it holds all that
  // was durable, and of what was on its way there the first writes, whole. Otherwise what is wrong,
  // in words. Either way that is what the disk holds from now on.
  std::string Restart(const raft::WalContents& recovered);

  const raft::Disk& disk() const { return disk_; }  // what is durable
  const raft::Disk& log() const { return log_; }    // with all that is on its way
  const raft::Configuration& configuration() const { return configurations_.current(); }
  // In force at `index`, which is not before the log's start.
  const raft::Configuration& ConfigurationAt(raft::LogIndex index) const {
    return configurations_.At(index);
  }

 private:
  using Write = std::variant<raft::AppendTask, raft::LogStart>;

  void Begin(raft::Disk disk);
  std::string RestartWithLoss(const raft::Disk& found, raft::LogIndex lost_through);
  std::string WhatIsWrong(const raft::Disk& found) const;

  raft::Disk disk_;
  raft::Disk log_;
  std::deque<Write> writes_;             // handed over, not durable
  raft::Configurations configurations_;  // of log_
};

}  // namespace conclave::sim
