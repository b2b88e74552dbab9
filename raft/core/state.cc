#include "raft/core/state.h"

#include <algorithm>

#include "raft/base/check.h"

namespace conclave::raft {

Peer* Leader::Find(NodeId id) {
  CHECK(id != kNoNode);
  const auto peer = peers.find(id);
  return peer == peers.end() ? nullptr : &peer->second;
}

const Peer& Leader::At(NodeId id) const {
  const auto peer = peers.find(id);
  CHECK(peer != peers.end());
  return peer->second;
}

CoreState::CoreState(const CoreConfig& core_config, RecoveredState recovered, uint64_t seed,
                     Instant start)
    : config(core_config),
      random(seed),
      now(start),
      term(recovered.hard_state.term),
      vote(recovered.hard_state.vote),
      log(recovered.snapshot_index, recovered.snapshot_term, std::move(recovered.entries)),
      configurations(recovered.snapshot_index, std::move(recovered.configuration)),
      // What the state machine holds was committed; how much more is, the next leader says.
      commit(std::max(recovered.snapshot_index, recovered.applied)),
      handed_to_apply(commit),
      applied(commit),
      everywhere(recovered.snapshot_index),
      durable(log.last_index()),
      unwritten(log.last_index().Next()),
      // What was written after the damage, by leaders of this term or later ones, fills it up.
      lost_through(recovered.lost_through > log.last_index() ? recovered.lost_through
                                                             : LogIndex(0)),
      lost_in_term(recovered.hard_state.term) {
  CHECK(config.id != kNoNode);
  CHECK(commit <= log.last_index());
  for (LogIndex i = log.first_index(); i <= log.last_index(); ++i) {
    configurations.OnAppend(log.At(i));
  }
  if (term < log.last_term()) {
    // The log starts after a snapshot of a later term than was written when the crash came.
    CHECK(recovered.reset_log);
    term = log.last_term();
    vote = kNoNode;
    hard_state_dirty = true;
  }
  log_completed = lost_through < recovered.lost_through;
  if (recovered.reset_log) {
    CHECK(log.last_index() == log.start());  // entries of it would not be written again
    log_reset = LogStart{log.start(), *log.TermAt(log.start()), configurations.At(log.start())};
  }
}

bool CoreState::MayCampaign() const {
  return configurations.AnySince(
      commit, [&](const Configuration& configuration) { return configuration.IsVoter(config.id); });
}

NodeId CoreState::LeaderId() const {
  if (leader() != nullptr) return config.id;
  return follower() != nullptr ? follower()->leader : kNoNode;
}

RoleName CoreState::Name() const {
  if (leader() != nullptr) return RoleName::kLeader;
  if (candidate() == nullptr) return RoleName::kFollower;
  return candidate()->pre_vote ? RoleName::kPreCandidate : RoleName::kCandidate;
}

void CoreState::Send(NodeId to, MessageBody body) {
  CHECK(to != config.id && to != kNoNode);
  messages.push_back({config.id, to, term, std::move(body)});
}

void CoreState::SendAfterDurable(NodeId to, MessageBody body) {
  CHECK(to != config.id && to != kNoNode);
  after_durable.push_back({config.id, to, term, std::move(body)});
}

}  // namespace conclave::raft
