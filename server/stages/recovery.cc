#include "server/stages/recovery.h"

#include <fmt/format.h>

#include <utility>

#include "raft/base/text.h"

namespace conclave::server {

absl::StatusOr<raft::RecoveredState> Recover(raft::WalContents found, const kv::Store& store) {
  if (found.lost_through > raft::LogIndex(0)) return absl::DataLossError(ToAbsl(found.damage));
  const raft::LogIndex last = found.snapshot_index + found.entries.size();
  const raft::LogIndex applied(store.applied_index());
  if (applied < found.snapshot_index || applied > last) {
    return absl::DataLossError(
        fmt::format("the log holds entries {} to {}, but the state machine stands at {}: part of "
                    "this member's data is missing",
                    found.snapshot_index.value() + 1, last.value(), applied.value()));
  }
  return raft::RecoveredState{.hard_state = found.hard_state,
                              .snapshot_index = found.snapshot_index,
                              .snapshot_term = found.snapshot_term,
                              .configuration = std::move(found.configuration),
                              .entries = std::move(found.entries),
                              .applied = applied};
}

}  // namespace conclave::server
