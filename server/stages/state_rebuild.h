// Replaces the state of a member whose state is known to be wrong, or lost, by that of the leader,
// though the member's log is sound and complete: so raft has no part in it (docs/integrity.md).
// Entries are held back meanwhile, so that the state that comes is never older than the one it
// replaces. Owned by Node, on the raft lane.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/stages/apply_stage.h"
#include "server/stages/snapshot_fetcher.h"

namespace conclave::server {

struct StateRebuildOptions {
  Duration try_every = Milliseconds(200);
  // Beyond it the attempt starts anew, for the log cannot let go of what is held: entries are
  // applied to the wrong state all the same, or, if there is none, are left to the state that
  // comes, which must have them then.
  size_t held_bytes_max = 512 << 20;
};

class StateRebuild {
 public:
  // Nothing is owned. `leader` says who leads (kNoNode if nobody is known). `install` puts in place
  // what was fetched, which ends in OnInstalled.
  StateRebuild(const StateRebuildOptions& options, raft::NodeId member, Executor* lane,
               kv::Store* store, ApplyStage* apply, SnapshotFetcher* fetcher,
               absl::AnyInvocable<raft::NodeId()> leader,
               absl::AnyInvocable<void(const raft::LogStart&)> install);
  ~StateRebuild();
  StateRebuild(const StateRebuild&) = delete;
  StateRebuild& operator=(const StateRebuild&) = delete;

  // Goes on until a state was installed.
  void Start();
  // The same, before any entry is applied: there is no state, and what comes must hold everything
  // up to `through`, where the log begins.
  void StartWithoutState(raft::LogIndex through);
  void OnInstalled();
  bool under_way() const { return under_way_; }

  // A state is here (SnapshotFetcher::Observer): true if it is taken, and being installed.
  // Otherwise it may be what raft waits for.
  bool Take(const raft::LogStart& start);

 private:
  void Try();
  // What the state that comes must have at least.
  raft::LogIndex Floor() const;

  const StateRebuildOptions options_;
  const raft::NodeId member_;
  Executor* const lane_;
  kv::Store* const store_;
  ApplyStage* const apply_;
  SnapshotFetcher* const fetcher_;
  absl::AnyInvocable<raft::NodeId()> leader_;
  absl::AnyInvocable<void(const raft::LogStart&)> install_;
  bool under_way_ = false;
  std::optional<raft::LogIndex> lost_through_;  // while there is no state
  bool installing_ = false;
  TimerId timer_ = 0;
};

}  // namespace conclave::server
