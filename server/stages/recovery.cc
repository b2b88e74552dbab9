#include "server/stages/recovery.h"

#include <fmt/format.h>

#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::server {

namespace {

using raft::LogIndex;
using raft::Term;

// The log holds the entry at the state machine's position, or begins right after it.
bool Fits(const raft::WalContents& found, LogIndex applied, Term term) {
  if (applied == found.snapshot_index) return true;
  const bool holds =
      applied > found.snapshot_index && applied <= found.snapshot_index + found.entries.size();
  return holds && found.entries[applied - found.snapshot_index - 1].term == term;
}

absl::Status PartIsMissing(const raft::WalContents& found, LogIndex applied) {
  return absl::DataLossError(
      fmt::format("the log holds entries {} to {}, but the state machine stands at {}: part of "
                  "this member's data is missing",
                  found.snapshot_index.value() + 1,
                  (found.snapshot_index + found.entries.size()).value(), applied.value()));
}

}  // namespace

absl::StatusOr<raft::RecoveredState> Recover(raft::WalContents found, const kv::Store& store) {
  const kv::LogPosition position = store.position();
  const LogIndex applied(position.index);
  const Term term(position.term);
  raft::RecoveredState recovered;
  recovered.hard_state = found.hard_state;
  recovered.snapshot_index = found.snapshot_index;
  recovered.snapshot_term = found.snapshot_term;
  recovered.applied = applied;
  recovered.lost_through = found.lost_through;
  if (Fits(found, applied, term)) {
    recovered.configuration = std::move(found.configuration);
    recovered.entries = std::move(found.entries);
    return recovered;
  }
  // Nothing was applied since the snapshot, so the log may well be the one from before it.
  const bool installed = store.installed_index() == position.index;
  const bool lost = found.lost_through >= applied;
  if (applied < found.snapshot_index || (!installed && !lost)) return PartIsMissing(found, applied);
  if (installed) SIM_REACHED("snapshot.recovery.log_from_before");
  if (!installed) SIM_REACHED("snapshot.recovery.end_of_log_lost");
  // Its term may be one that the hard state does not know yet: the core writes it with the reset.
  recovered.snapshot_index = applied;
  recovered.snapshot_term = term;
  recovered.configuration = std::move(found.configuration);
  if (!position.configuration.empty()) {
    absl::StatusOr<raft::Configuration> configuration =
        raft::DecodeConfiguration(position.configuration);
    if (!configuration.ok()) return configuration.status();
    recovered.configuration = *std::move(configuration);
  }
  recovered.reset_log = true;
  return recovered;
}

}  // namespace conclave::server
