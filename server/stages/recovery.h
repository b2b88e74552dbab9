// What a member starts from: the log as it was found on disk, and the state machine that goes with
// it, also when the disk has damaged that. Used once per run of a member, before its node is made.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"
#include "kvstore/engine/engine_home.h"
#include "kvstore/store.h"
#include "raft/core/core.h"
#include "raft/wal/wal.h"

namespace conclave::server {

// Opens the engine of `member`. In place of one that is damaged comes an empty one if the log holds
// everything since the beginning, so that all of it is applied again. Otherwise a stand-in that
// holds nothing and is not kept: Recover sees that the state is lost. `note` says so, for people;
// empty if all is well. DataLoss if there is neither a log nor another member to get the state
// from.
absl::StatusOr<std::shared_ptr<kv::Engine>> OpenEngine(kv::EngineHome& home,
                                                       const raft::WalContents& found,
                                                       raft::NodeId member, std::string* note);

struct Recovered {
  raft::RecoveredState core;
  // The state machine stands before the log's first entry: it is no state to go on from, and has to
  // be fetched (NodeParts::state_lost).
  bool state_lost = false;
};

// A log that does not reach from where the state machine stands is to be started anew there if that
// is how a crash leaves it between the installation of a snapshot and the log's reset
// (docs/snapshots.md), or if its end is known to be lost. If it begins too late, the state is lost,
// which is no harm to the log. Otherwise DataLoss: acknowledged writes of this member, or its
// votes, would be gone.
absl::StatusOr<Recovered> Recover(raft::WalContents found, const kv::Store& store,
                                  raft::NodeId member);

}  // namespace conclave::server
