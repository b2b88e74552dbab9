#include "server/stages/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/engine/memory_engine.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/text.h"
#include "raft/core/configuration.h"

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

// The newest in the log, which is in force whether it is committed or not (thesis 4.1). The log may
// begin before the cluster grew.
raft::Configuration LatestConfiguration(const raft::WalContents& found) {
  const auto newest = std::find_if(
      found.entries.rbegin(), found.entries.rend(),
      [](const raft::Entry& entry) { return entry.kind == raft::EntryKind::kConfiguration; });
  if (newest == found.entries.rend()) return found.configuration;
  const auto entry = raft::DecodeConfigurationEntry(newest->payload.view());
  return entry.ok() ? entry->configuration : found.configuration;
}

bool HasOtherVoters(const raft::WalContents& found, raft::NodeId member) {
  const raft::Configuration latest = LatestConfiguration(found);
  const std::vector<raft::NodeId> members = latest.Members();
  return std::any_of(members.begin(), members.end(),
                     [&](raft::NodeId other) { return other != member && latest.IsVoter(other); });
}

// A durable one that holds nothing.
absl::StatusOr<std::shared_ptr<kv::Engine>> ReplaceByEmpty(kv::EngineHome& home) {
  absl::StatusOr<std::unique_ptr<kv::Engine>> empty = home.StartIncoming();
  if (!empty.ok()) return empty.status();
  (*empty)->Flush();
  if (absl::Status space = (*empty)->CheckSpace(); !space.ok()) return space;
  empty->reset();
  if (absl::Status adopted = home.Adopt(); !adopted.ok()) return adopted;
  absl::StatusOr<std::unique_ptr<kv::Engine>> engine = home.Open();
  if (!engine.ok()) return engine.status();
  if (absl::Status removed = home.RemoveOld(); !removed.ok()) return removed;
  return *std::move(engine);
}

}  // namespace

absl::StatusOr<std::shared_ptr<kv::Engine>> OpenEngine(kv::EngineHome& home,
                                                       const raft::WalContents& found,
                                                       raft::NodeId member, std::string* note) {
  absl::StatusOr<std::unique_ptr<kv::Engine>> opened = home.Open();
  if (opened.ok()) return *std::move(opened);
  if (!home.damaged()) return opened.status();
  const std::string_view damage = MessageOf(opened.status());
  if (found.snapshot_index == LogIndex(0)) {
    SIM_REACHED("stages.recovery.state_from_log");
    *note = fmt::format("{}: the whole log is applied again", damage);
    return ReplaceByEmpty(home);
  }
  if (!HasOtherVoters(found, member)) {
    return absl::DataLossError(fmt::format(
        "{}; the log begins at entry {}, and there is no other member to take the state "
        "from",
        damage, found.snapshot_index.value() + 1));
  }
  *note = fmt::format("{}: the state is fetched from another member", damage);
  return std::make_shared<kv::MemoryEngine>();
}

absl::StatusOr<Recovered> Recover(raft::WalContents found, const kv::Store& store,
                                  raft::NodeId member) {
  const kv::LogPosition position = store.position();
  const LogIndex applied(position.index);
  const Term term(position.term);
  Recovered result;
  raft::RecoveredState& recovered = result.core;
  recovered.hard_state = found.hard_state;
  recovered.snapshot_index = found.snapshot_index;
  recovered.snapshot_term = found.snapshot_term;
  recovered.applied = applied;
  recovered.lost_through = found.lost_through;
  result.state_lost = applied < found.snapshot_index && HasOtherVoters(found, member);
  if (result.state_lost) {
    SIM_REACHED("stages.recovery.state_lost");
    recovered.applied = found.snapshot_index;
  }
  if (result.state_lost || Fits(found, applied, term)) {
    recovered.configuration = std::move(found.configuration);
    recovered.entries = std::move(found.entries);
    return result;
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
  return result;
}

}  // namespace conclave::server
