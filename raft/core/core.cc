#include "raft/core/core.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/candidate.h"
#include "raft/core/compaction.h"
#include "raft/core/durability.h"
#include "raft/core/follower.h"
#include "raft/core/invariants.h"
#include "raft/core/leader.h"
#include "raft/core/lost_entries.h"
#include "raft/core/membership.h"
#include "raft/core/overloaded.h"
#include "raft/core/proposals.h"
#include "raft/core/reads.h"
#include "raft/core/replication.h"
#include "raft/core/snapshots.h"
#include "raft/core/state.h"
#include "raft/core/terms.h"
#include "raft/core/transfer.h"
#include "raft/core/votes.h"

namespace conclave::raft {
namespace {

// ---- One function per event that is more than a call. ----

void OnReceived(CoreState& state, const Message& message) {
  CHECK_MSG(message.to == state.config.id && message.from != state.config.id,
            "the transport delivered a message to the wrong member");
  if (!AdmitTerm(state, message)) return;
  CHECK(message.term >= state.term);
  HearPeer(state, message.from);
  const NodeId from = message.from;
  const Term term = message.term;
  std::visit(Overloaded{
                 [&](const VoteRequest& m) { OnVoteRequest(state, from, term, m); },
                 [&](const VoteResponse& m) { OnVoteResponse(state, from, term, m); },
                 [&](const AppendRequest& m) { OnAppendRequest(state, from, m); },
                 [&](const AppendResponse& m) { OnAppendResponse(state, from, m); },
                 [&](const Heartbeat& m) { OnHeartbeat(state, from, m); },
                 [&](const HeartbeatResponse& m) { OnHeartbeatResponse(state, from, m); },
                 [&](const ReadIndexRequest& m) { OnReadIndexRequest(state, from, term, m); },
                 [&](const ReadIndexResponse& m) { OnReadIndexResponse(state, m); },
                 [&](const ProposeRequest& m) { OnProposeRequest(state, from, term, m); },
                 [&](const ProposeResponse& m) { OnProposeResponse(state, m); },
                 [&](const TimeoutNow&) { OnTimeoutNow(state, from); },
                 [&](const SnapshotOffer& m) { OnSnapshotOffer(state, from, m); },
             },
             message.body);
}

void OnDurable(CoreState& state, WriteId write) {
  if (OnAppended(state, write)) {
    MaybeCommit(state);
    MaybeComplete(state);
  }
  CountOwnVote(state, write);
}

void OnApplied(CoreState& state, LogIndex index) {
  CHECK(index <= state.handed_to_apply);
  if (state.installing.has_value() && index == state.installing->index) return OnInstalled(state);
  state.applied = std::max(state.applied, index);
}

void OnPeerUnreachable(CoreState& state, NodeId peer) {
  if (Leader* leader = state.leader()) return OnPeerLost(*leader, peer);
  OnLeaderUnreachable(state, peer);
}

void OnWoke(CoreState& state) {
  if (state.leader() != nullptr) return OnLeaderWoke(state);
  OnFollowerWoke(state);
}

// ---- One function per part of the output. ----

LogIndex MayApply(const CoreState& state) {
  if (state.installing.has_value()) return state.handed_to_apply;
  if (SEEDED_BUG(kApplyBeforeDurable)) return state.commit;
  if (state.commit > state.durable) SIM_REACHED("raft.apply.waits_for_disk");
  const LogIndex may_apply = std::min(state.commit, state.durable);
  CHECK(state.handed_to_apply <= may_apply);
  return may_apply;
}

// Committed and durable here, in bounded pieces.
std::vector<Entry> TakeApply(CoreState& state) {
  const LogIndex from = state.handed_to_apply.Next();
  const LogIndex to = MayApply(state);
  std::vector<Entry> entries = state.log.Slice(from, to, state.config.apply_bytes_max);
  CHECK(entries.empty() || entries.front().index == from);
  CHECK(!entries.empty() || from > to);  // one always fits
  if (!entries.empty()) state.handed_to_apply = entries.back().index;
  if (state.handed_to_apply < to) SIM_REACHED("raft.apply.handed_in_pieces");
  CHECK(state.handed_to_apply <= state.commit);
  return entries;
}

std::optional<RoleChange> TakeRoleChange(CoreState& state) {
  const RoleChange current{state.Name(), state.term, state.LeaderId()};
  if (state.told == current) return std::nullopt;
  CHECK(!state.told.has_value() || state.told->term <= current.term);
  state.told = current;
  return current;
}

// Asks to be woken no later than the next deadline. Every message from a leader moves a follower's,
// so an earlier wake-up that is already asked for stands: one wasted step now and then instead of
// setting the timer again in every take.
Instant TakeDeadline(CoreState& state) {
  if (MayApply(state) > state.handed_to_apply) return state.asked_to_wake = state.now;
  const Instant due = state.leader() != nullptr ? LeaderDeadline(state) : FollowerDeadline(state);
  const bool stands = state.asked_to_wake > state.now && state.asked_to_wake <= due;
  if (!stands) state.asked_to_wake = due;
  CHECK(state.asked_to_wake <= due);
  return state.asked_to_wake;
}

bool IsOnlyVoter(const CoreState& state) {
  const Configuration& configuration = state.configuration();
  CHECK(!configuration.voters.empty());
  return configuration.voters == std::vector{state.config.id} && !configuration.joint();
}

}  // namespace

const char* ToString(RoleName role) {
  switch (role) {
    case RoleName::kFollower:
      return "follower";
    case RoleName::kPreCandidate:
      return "pre-candidate";
    case RoleName::kCandidate:
      return "candidate";
    case RoleName::kLeader:
      return "leader";
  }
  return "unknown";
}

Core::Core(const CoreConfig& config, RecoveredState recovered, uint64_t seed, Instant now)
    : state_(std::make_unique<CoreState>(config, std::move(recovered), seed, now)) {
  CHECK(config.heartbeat_interval > Duration(0));
  CHECK(config.heartbeat_interval < config.election_timeout);
  CHECK(config.append_entries_max > 0);
  ResetElectionTimer(*state_);
  if (IsOnlyVoter(*state_)) state_->election_at = now;  // nobody else to wait for
}

Core::~Core() = default;

void Core::Step(Instant now, Event event) {
  CoreState& state = *state_;
  CHECK(now >= state.now);
  const Term term_before = state.term;
  const LogIndex commit_before = state.commit;
  state.now = now;
  std::visit(Overloaded{
                 [&](Received& e) { OnReceived(state, e.message); },
                 [&](Proposed& e) { OnProposed(state, std::move(e.proposals)); },
                 [&](ReadRequested& e) { OnReadRequested(state, e.read); },
                 [&](Appended& e) { OnDurable(state, e.write); },
                 [&](Applied& e) { OnApplied(state, e.index); },
                 [&](Compacted& e) { OnCompacted(state, e.index); },
                 [&](PeerUnreachable& e) { OnPeerUnreachable(state, e.peer); },
                 [&](TransferRequested& e) { OnTransferRequested(state, e.target); },
                 [&](SnapshotFetched& e) { OnSnapshotFetched(state, e.start); },
                 [&](Woke&) { OnWoke(state); },
             },
             event);
  CHECK(state.term >= term_before && state.commit >= commit_before);
  CHECK(state.applied <= state.handed_to_apply);
  CHECK(state.handed_to_apply <= state.commit && state.commit <= state.log.last_index());
}

Output Core::TakeOutput() {
  CoreState& state = *state_;
  if (state.leader() != nullptr) {
    SendToPeers(state);
    RetireIfRemoved(state);
  }
  Output output;
  output.append = TakeAppendTask(state);
  CHECK(!output.append.has_value() || output.append->write == state.last_write);
  output.messages = std::exchange(state.messages, {});
  output.fetch_snapshot = std::exchange(state.snapshot_wanted, std::nullopt);
  output.install_snapshot = std::exchange(state.install_snapshot, std::nullopt);
  output.apply = TakeApply(state);
  CHECK(!state.installing.has_value() || output.apply.empty());
  output.reads_ready = std::exchange(state.reads_ready, {});
  output.reads_failed = std::exchange(state.reads_failed, {});
  output.proposals_failed = std::exchange(state.proposals_failed, {});
  output.role_change = TakeRoleChange(state);
  output.compacted = std::exchange(state.compacted, std::nullopt);
  output.next_deadline = TakeDeadline(state);
  return output;
}

CoreStatus Core::Status() const {
  const CoreState& state = *state_;
  CHECK(state.applied <= state.commit);
  CoreStatus status{.id = state.config.id,
                    .role = state.Name(),
                    .term = state.term,
                    .vote = state.vote,
                    .leader = state.LeaderId(),
                    .first_index = state.log.first_index(),
                    .last_index = state.log.last_index(),
                    .durable = state.durable,
                    .commit = state.commit,
                    .applied = state.applied,
                    .transferee = {},
                    .incomplete = state.lost_through > LogIndex(0),
                    .peers = {}};
  const Leader* leader = state.leader();
  if (leader == nullptr) return status;
  status.transferee = leader->transferee;
  for (const auto& [id, peer] : leader->peers) {
    status.peers.push_back(
        {.id = id,
         .match = peer.progress.match(),
         .next = peer.progress.next(),
         .learner = state.configuration().IsLearner(id),
         .recently_active = state.now - peer.heard < state.config.election_timeout,
         .needs_snapshot = peer.progress.state() == Progress::State::kSnapshot,
         .priority = peer.priority});
  }
  return status;
}

const Configuration& Core::configuration() const { return state_->configuration(); }

bool Core::leading() const { return state_->leader() != nullptr; }

Term Core::term() const { return state_->term; }

LogIndex Core::last_index() const { return state_->log.last_index(); }

LogIndex Core::durable() const { return state_->durable; }

LogIndex Core::commit() const { return state_->commit; }

LogIndex Core::applied() const { return state_->applied; }

bool Core::log_starts_anew() const {
  return state_->installing.has_value() || state_->log_reset.has_value();
}

std::optional<LogStart> Core::LogStartAt(LogIndex index) const {
  const std::optional<Term> term = state_->log.TermAt(index);
  if (!term.has_value()) return std::nullopt;
  return LogStart{index, *term, state_->configurations.At(index)};
}

bool Core::WellWithinTail(LogIndex index) const {
  const CoreConfig& config = state_->config;
  return index >= state_->log.StartOfTail(config.tail_entries_max / 2, config.tail_bytes_max / 2);
}

std::optional<std::string> Core::CheckInvariants() const { return FindBrokenInvariant(*state_); }

}  // namespace conclave::raft
