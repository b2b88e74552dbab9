// What a member's core starts from: the log as it was found on disk, with what the state machine
// already holds. Used once per run of a member, before its node is made.
#pragma once

#include "absl/status/statusor.h"
#include "kvstore/store.h"
#include "raft/core/core.h"
#include "raft/wal/wal.h"

namespace conclave::server {

// A log that does not reach from where the state machine stands is to be started anew there if that
// is how a crash leaves it between the installation of a snapshot and the log's reset
// (docs/snapshots.md), or if its end is known to be lost. Otherwise DataLoss: acknowledged writes
// of this member, or its votes, would be gone.
absl::StatusOr<raft::RecoveredState> Recover(raft::WalContents found, const kv::Store& store);

}  // namespace conclave::server
