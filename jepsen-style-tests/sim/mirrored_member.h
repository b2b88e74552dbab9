// A copy of one member's log, made from what passes its seam: what is durable, what is handed over,
// and what of that is still on its way to the disk. It remembers what damage took: entries that
// were durable once may have been acknowledged, and count for what was said of them. Owned by
// RaftInvariants, on its thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "jepsen-style-tests/sim/damaged_log.h"
#include "raft/core/configurations.h"
#include "raft/core/core.h"
#include "raft/core/disk.h"
#include "raft/wal/wal.h"

namespace conclave::sim {

// What is on one disk.
struct MirroredDisk {
  raft::Disk disk;
  // With what damage took from its end and nothing has replaced yet; empty if nothing is missing.
  std::optional<raft::Disk> promised = {};
  raft::LogIndex lost_through = {};  // as WalContents::lost_through

  void Perform(const raft::AppendTask& task);
  void Perform(const raft::LogStart& release);
  // Whether a log that was left like this may be found as `recovered`. Damage may have taken
  // entries from its end, if it says that all of them up to the last may be lost, and the last
  // places up to which it was let go. `damage` is null if there was none.
  bool MayBeFoundAs(const raft::WalContents& recovered, const DamagedLog* damage) const;
};

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
  // was durable, and of what was on its way there the first writes, whole; or, after `damage` since
  // the last run, what that left of it, and says how much is lost. Otherwise what is wrong, in
  // words. Either way that is what the disk holds from now on.
  std::string Restart(const raft::WalContents& recovered, const DamagedLog* damage);
  // What would be wrong with it, if the power went now and a new run found `recovered`.
  std::string WhatIfFound(const raft::WalContents& recovered) const;

  const raft::Disk& disk() const { return durable_.disk; }  // what is durable
  const raft::Disk& log() const { return log_; }            // with all that is on its way
  // What was durable: with the entries that damage took.
  const raft::Disk& promised() const {
    return durable_.promised ? *durable_.promised : durable_.disk;
  }
  // The first write that is handed over and not durable.
  std::optional<raft::WriteId> OldestWrite() const;
  // Whether a write is handed over and not durable that starts the log anew.
  bool ResetUnderWay() const;
  raft::LogIndex lost_through() const { return durable_.lost_through; }
  const raft::Configuration& configuration() const { return configurations_.current(); }
  const raft::Configurations& configurations() const { return configurations_; }
  // In force at `index`, which is not before the log's start.
  const raft::Configuration& ConfigurationAt(raft::LogIndex index) const {
    return configurations_.At(index);
  }

 private:
  using Write = std::variant<raft::AppendTask, raft::LogStart>;

  void Begin(MirroredDisk durable);
  // The first state that the disk may have been left in and can be found as `recovered`; the last
  // one, and false, if none can.
  std::pair<MirroredDisk, bool> LeftAs(const raft::WalContents& recovered,
                                       const DamagedLog* damage) const;
  std::string WhatIsWrong(const raft::WalContents& recovered) const;

  MirroredDisk durable_;
  raft::Disk log_;
  std::deque<Write> writes_;             // handed over, not durable
  raft::Configurations configurations_;  // of log_
};

}  // namespace conclave::sim
