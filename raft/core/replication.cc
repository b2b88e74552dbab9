#include "raft/core/replication.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/membership.h"
#include "raft/core/quorum.h"
#include "raft/core/reads.h"
#include "raft/core/snapshots.h"
#include "raft/core/transfer.h"

namespace conclave::raft {
namespace {

WindowLimits Limits(const CoreConfig& config) {
  CHECK(config.inflight_appends_max > 0 && config.inflight_bytes_max > 0);
  return {.appends_max = config.inflight_appends_max, .bytes_max = config.inflight_bytes_max};
}

// The AppendRequest that continues where the peer's last one ended, with as many entries as it may
// carry, or without any.
AppendRequest RequestFor(const CoreState& state, const Progress& progress, bool with_entries) {
  const LogIndex prev = progress.next().Prev();
  CHECK(prev >= state.log.start() && prev <= state.log.last_index());
  AppendRequest request{.prev_index = prev,
                        .prev_term = *state.log.TermAt(prev),
                        .commit = state.commit,
                        .round = state.leader()->rounds.round,
                        .everywhere = state.everywhere,
                        .entries = {}};
  if (!with_entries) return request;
  request.entries = state.log.Slice(progress.next(), state.log.last_index(),
                                    state.config.append_bytes_max, state.config.append_entries_max);
  CHECK(request.entries.size() <= state.config.append_entries_max);
  if (prev + request.entries.size() < state.log.last_index()) {
    SIM_REACHED("raft.leader.request_full");
  }
  return request;
}

void SendAppend(CoreState& state, NodeId id, Peer& peer, bool with_entries) {
  AppendRequest request = RequestFor(state, peer.progress, with_entries);
  const LogIndex last = request.prev_index + request.entries.size();
  CHECK(last >= peer.progress.match());
  size_t bytes = 0;
  for (const Entry& entry : request.entries) bytes += EntryBytes(entry);
  peer.progress.Sent(last, bytes, request.commit);
  CHECK(peer.round_sent <= request.round);
  peer.round_sent = request.round;
  state.Send(id, std::move(request));
}

void SendAppends(CoreState& state, NodeId id, Peer& peer) {
  const WindowLimits limits = Limits(state.config);
  const LogIndex last = state.log.last_index();
  peer.progress.LogStartsAfter(state.log.start());
  if (peer.progress.state() == Progress::State::kSnapshot) return OfferSnapshot(state, id, peer);
  CHECK(peer.progress.next() <= last.Next());
  while (peer.progress.next() <= last && peer.progress.MaySend(limits)) {
    SendAppend(state, id, peer, /*with_entries=*/true);
  }
  if (peer.progress.window().Full(limits)) SIM_REACHED("raft.leader.window_full");
  if (peer.progress.OwesEmpty(limits, state.commit)) {
    SendAppend(state, id, peer, /*with_entries=*/false);
  }
}

// Its answer does not wait for the peer's disk, so it goes out by the clock whatever else was sent.
void SendHeartbeat(CoreState& state, NodeId id, Peer& peer) {
  const Leader& leader = *state.leader();
  CHECK(leader.heartbeat_due || leader.rounds.under_way);
  if (leader.heartbeat_due) peer.progress.HeartbeatSent(state.log.last_index());
  CHECK(peer.round_sent <= leader.rounds.round);
  peer.round_sent = leader.rounds.round;
  if (state.commit > peer.progress.match()) SIM_REACHED("raft.leader.heartbeat_commit_clamped");
  const LogIndex match =
      SEEDED_BUG(kHeartbeatCommitNotClamped) ? state.commit : peer.progress.match();
  state.Send(id, Heartbeat{.commit = std::min(state.commit, match),
                           .round = leader.rounds.round,
                           .everywhere = state.everywhere});
}

// The last place where this log can agree with one whose entry at `hint` is of `hint_term`. Before
// this log's start nothing can be said: whoever gets there needs a snapshot.
LogIndex CanAgreeAtMost(const MemoryLog& log, LogIndex hint, Term hint_term) {
  const LogIndex start = log.start();
  if (hint < start) return hint;
  const LogIndex agree = log.LastAtMost(hint, hint_term);
  CHECK(agree <= hint);
  // A peer that lost entries may be left with some that had been replaced, also at our start.
  if (agree == start && *log.TermAt(start) > hint_term) {
    SIM_REACHED("raft.leader.peer_differs_at_start");
    return start.Prev();
  }
  return agree;
}

void OnRejected(CoreState& state, Peer& peer, const AppendResponse& response) {
  CHECK(!response.accepted);
  const LogIndex agree = CanAgreeAtMost(
      state.log, std::min(response.hint_index, state.log.last_index()), response.hint_term);
  CHECK(agree <= state.log.last_index());
  if (response.incomplete) {
    SIM_REACHED("raft.leader.peer_lost_entries");
    peer.lost_entries = true;
    return peer.progress.Forget(agree);
  }
  if (!peer.progress.Rejected(response.index, agree)) SIM_REACHED("raft.leader.late_rejection");
}

}  // namespace

void OnAppendResponse(CoreState& state, NodeId from, const AppendResponse& response) {
  CHECK(from != state.config.id);
  Leader* leader = state.leader();
  Peer* peer = leader != nullptr ? leader->Find(from) : nullptr;
  if (peer == nullptr) return;
  OnRoundEcho(state, *leader, *peer, response.round);
  if (!response.accepted) {
    return OnRejected(state, *peer, response);
  }
  CHECK_MSG(response.index <= state.log.last_index(), "a peer acknowledged what was never sent");
  if (!peer->progress.Accepted(response.index)) return;
  MaybeCommit(state);
  ContinueTransfer(state, *leader);
}

void OnHeartbeatResponse(CoreState& state, NodeId from, const HeartbeatResponse& response) {
  CHECK(from != state.config.id);
  Leader* leader = state.leader();
  Peer* peer = leader != nullptr ? leader->Find(from) : nullptr;
  if (peer == nullptr) return;
  OnRoundEcho(state, *leader, *peer, response.round);
  peer->progress.HeartbeatAnswered();
  peer->priority = response.priority;
  HandOverToPreferred(state, *leader, from);
}

void OnPeerLost(Leader& leader, NodeId id) {
  CHECK(id != kNoNode);
  Peer* peer = leader.Find(id);
  if (peer == nullptr) return;
  SIM_REACHED("raft.leader.peer_connection_lost");
  peer->progress.Lost();
}

void MaybeCommit(CoreState& state) {
  Leader* leader = state.leader();
  if (leader == nullptr) return;
  const LogIndex held(MajorityValue(state.configuration(), [&](NodeId voter) {
    const bool self = voter == state.config.id;
    if (self && SEEDED_BUG(kLeaderCountsUnsynced)) return state.log.last_index().value();
    return (self ? state.durable : leader->At(voter).progress.match()).value();
  }));
  CHECK(held <= state.log.last_index());
  // Only an entry of the leader's own term is committed by counting; it carries those before it
  // (thesis 3.6.2).
  if (held <= state.commit) return;
  if (state.log.TermAt(held) != state.term && !SEEDED_BUG(kOldTermCommitted)) {
    SIM_REACHED("raft.leader.old_term_not_counted");
    return;
  }
  const size_t bytes = state.log.BytesBetween(state.commit, held);
  CHECK(bytes <= leader->uncommitted_bytes);
  leader->uncommitted_bytes -= bytes;
  state.commit = held;
  LeaveJoint(state, *leader);
}

void SendToPeers(CoreState& state) {
  Leader* leader = state.leader();
  CHECK(leader != nullptr);
  StartRound(state, *leader);
  state.everywhere = HeldEverywhere(state);
  for (auto& [id, peer] : leader->peers) {
    SendAppends(state, id, peer);
    const bool round_owed = leader->rounds.under_way && peer.round_sent < leader->rounds.round &&
                            state.configuration().IsVoter(id);
    if (leader->heartbeat_due || round_owed) SendHeartbeat(state, id, peer);
  }
  leader->heartbeat_due = false;
}

LogIndex HeldEverywhere(const CoreState& state) {
  const Leader* leader = state.leader();
  if (leader == nullptr) return state.everywhere;
  LogIndex held = state.durable;
  for (const auto& [id, peer] : leader->peers) held = std::min(held, peer.progress.match());
  CHECK(held <= state.log.last_index());
  return std::max(held, state.everywhere);
}

}  // namespace conclave::raft
