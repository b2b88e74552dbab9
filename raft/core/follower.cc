#include "raft/core/follower.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/candidate.h"
#include "raft/core/durability.h"
#include "raft/core/lost_entries.h"
#include "raft/core/reads.h"

namespace conclave::raft {

void BecomeFollower(CoreState& state, Term term, NodeId leader) {
  CHECK(term >= state.term);
  CHECK(leader != state.config.id);
  FailReads(state);
  if (term > state.term) {
    state.term = term;
    state.vote = kNoNode;
    state.hard_state_dirty = true;
  } else if (SEEDED_BUG(kVoteClearedOnStepDown)) {
    state.vote = kNoNode;
  }
  state.role = Follower{.leader = leader,
                        .heard = state.now,
                        .connection_lost = false,
                        .round_echoed = 0,
                        .reads = {}};
  CHECK(state.term == term && state.LeaderId() == leader);
  ResetElectionTimer(state);
}

void ResetElectionTimer(CoreState& state) {
  const auto timeout = static_cast<uint64_t>(state.config.election_timeout.count());
  CHECK(timeout > 0);
  state.election_at = state.now + Duration(timeout + state.random.Below(timeout));
  CHECK(state.election_at >= state.now + state.config.election_timeout);
}

void HearLeader(CoreState& state, NodeId leader) {
  CHECK_MSG(state.leader() == nullptr, "two leaders in one term");
  Follower* follower = state.follower();
  if (follower == nullptr || follower->leader != leader) {
    CHECK_MSG(state.LeaderId() == kNoNode, "two leaders in one term");
    return BecomeFollower(state, state.term, leader);
  }
  follower->heard = state.now;
  follower->connection_lost = false;
  ResetElectionTimer(state);
}

namespace {

void AdvanceCommit(CoreState& state, LogIndex commit) {
  CHECK(commit <= state.log.last_index());
  state.commit = std::max(state.commit, commit);
  MaybeComplete(state);
}

// Adds what is new, replacing what conflicts. Entries that match already stay, and so does what
// follows them: a late request must not truncate what a newer one has brought (thesis 3.5).
void MergeEntries(CoreState& state, const std::vector<Entry>& entries) {
  CHECK(state.follower() != nullptr);
  for (const Entry& entry : entries) {
    if (entry.index <= state.log.start()) {
      SIM_REACHED("raft.follower.entry_before_start");
      continue;
    }
    const std::optional<Term> ours = state.log.TermAt(entry.index);
    if (ours == entry.term) {
      SIM_REACHED("raft.follower.entry_repeated");
      continue;
    }
    if (ours.has_value()) {
      if (SEEDED_BUG(kConflictKept)) continue;
      SIM_REACHED("raft.follower.conflict_truncated");
      TruncateLog(state, entry.index);
    }
    AppendEntry(state, entry);
  }
  CHECK(entries.empty() || entries.back().index <= state.log.last_index());
}

// The last place at which the logs can agree: no later entry of ours has a term that the leader's
// log can have there.
AppendResponse Rejection(const CoreState& state, const AppendRequest& request) {
  CHECK(request.prev_index > state.log.start());
  const LogIndex hint = state.log.LastAtMost(request.prev_index, request.prev_term);
  CHECK(hint >= state.log.start() && hint <= request.prev_index);
  if (request.prev_index > state.log.last_index()) SIM_REACHED("raft.follower.request_after_gap");
  if (hint.Next() < std::min(request.prev_index, state.log.last_index())) {
    SIM_REACHED("raft.follower.hint_skips_entries");
  }
  return {.accepted = false,
          .index = request.prev_index,
          .hint_index = hint,
          .hint_term = *state.log.TermAt(hint),
          .incomplete = IsIncomplete(state),
          .round = request.round};
}

HeartbeatResponse AnswerTo(const CoreState& state, uint64_t round) {
  CHECK(state.follower() != nullptr);
  const bool told = CanLead(state) && !SEEDED_BUG(kPriorityNotTold);
  return {.round = round, .priority = told ? state.config.leader_priority : 0};
}

// A round only asks whether this member still follows, so it need not wait for the disk as the
// entries do: else one slow disk would hold up reads (thesis 6.4).
void EchoNewRound(CoreState& state, NodeId from, const AppendRequest& request) {
  Follower& follower = *state.follower();
  CHECK(follower.leader == from);
  if (request.entries.empty() || request.round <= follower.round_echoed) return;
  follower.round_echoed = request.round;
  SIM_REACHED("raft.follower.round_echoed_early");
  state.Send(from, AnswerTo(state, request.round));
}

bool IsWellFormed(const AppendRequest& request) {
  LogIndex expected = request.prev_index.Next();
  Term term = request.prev_term;
  for (const Entry& entry : request.entries) {
    if (entry.index != expected || entry.term < term) return false;
    ++expected;
    term = entry.term;
  }
  return true;
}

// Our log's start is committed, so whoever has another entry there was deposed and does not know; a
// snapshot can come from a later term than this member has heard of. Its entries would be appended
// after one that they do not follow.
bool ContradictsStart(const CoreState& state, const AppendRequest& request) {
  const LogIndex start = state.log.start();
  CHECK(start <= state.commit);
  const LogIndex last = request.prev_index + request.entries.size();
  if (start < request.prev_index || start > last) return false;
  const Term term = start == request.prev_index
                        ? request.prev_term
                        : request.entries[start - request.prev_index - 1].term;
  return term != *state.log.TermAt(start);
}

}  // namespace

void OnAppendRequest(CoreState& state, NodeId from, const AppendRequest& request) {
  if (!IsWellFormed(request)) return;
  HearLeader(state, from);
  CHECK(state.follower() != nullptr);
  state.everywhere = std::max(state.everywhere, request.everywhere);
  if (state.installing.has_value()) {
    // Nothing can be written yet, so nothing is taken; the leader asks again.
    SIM_REACHED("raft.follower.request_during_install");
    return EchoNewRound(state, from, request);
  }
  if (ContradictsStart(state, request)) {
    SIM_REACHED("raft.follower.deposed_leader_contradicts_start");
    return;
  }
  // What is before our log's start is committed, so it matches.
  const bool matches = request.prev_index <= state.log.start() ||
                       state.log.TermAt(request.prev_index) == request.prev_term;
  if (!matches) return state.Send(from, Rejection(state, request));
  MergeEntries(state, request.entries);
  // Beyond the request nothing is known to match: what follows in our log may be another leader's.
  const LogIndex known = std::max(request.prev_index + request.entries.size(), state.log.start());
  if (known < state.log.last_index()) {
    SIM_REACHED("raft.follower.request_before_end");
    const LogIndex keep = std::max(known, state.commit);
    if (SEEDED_BUG(kMatchingSuffixTruncated) && keep < state.log.last_index()) {
      TruncateLog(state, keep.Next());
    }
  }
  if (request.commit > known) SIM_REACHED("raft.follower.commit_clamped");
  const LogIndex commit_max = SEEDED_BUG(kCommitNotClamped) ? state.log.last_index() : known;
  AdvanceCommit(state, std::min(request.commit, commit_max));
  EchoNewRound(state, from, request);
  AppendResponse response;
  response.accepted = true;
  response.index = SEEDED_BUG(kAckedBeyondRequest) ? state.log.last_index() : known;
  response.round = request.round;
  if (SEEDED_BUG(kAckBeforeSync)) return state.Send(from, response);
  state.SendAfterDurable(from, response);
}

void OnHeartbeat(CoreState& state, NodeId from, const Heartbeat& heartbeat) {
  HearLeader(state, from);
  state.everywhere = std::max(state.everywhere, heartbeat.everywhere);
  if (IsIncomplete(state)) {
    TellLoss(state, from, heartbeat);
  } else {
    // The leader says only what this member has acknowledged as durable.
    if (heartbeat.commit > state.log.last_index() && !SEEDED_BUG(kHeartbeatCommitNotClamped)) {
      Fatal(
          "the leader knows of acknowledged entries that are not in this member's log: it was "
          "lost. Remove this member from the cluster and add it again");
    }
    AdvanceCommit(state, std::min(heartbeat.commit, state.log.last_index()));
  }
  Follower& follower = *state.follower();
  CHECK(follower.leader == from);
  follower.round_echoed = std::max(follower.round_echoed, heartbeat.round);
  state.Send(from, AnswerTo(state, heartbeat.round));
}

bool HearsLeader(const CoreState& state) {
  if (state.leader() != nullptr) return true;  // check-quorum ends it when that stops being true
  const Follower* follower = state.follower();
  CHECK(follower == nullptr || follower->heard <= state.now);
  return follower != nullptr && follower->leader != kNoNode && !follower->connection_lost &&
         state.now - follower->heard < state.config.election_timeout;
}

void OnLeaderUnreachable(CoreState& state, NodeId peer) {
  CHECK(state.leader() == nullptr);
  Follower* follower = state.follower();
  if (follower == nullptr || follower->leader != peer || peer == kNoNode) return;
  FailReads(state);
  SIM_REACHED("raft.follower.leader_connection_lost");
  follower->connection_lost = true;
  const auto spread = static_cast<uint64_t>(3 * state.config.heartbeat_interval.count());
  CHECK(spread > 0);
  state.election_at = std::min(state.election_at, state.now + Duration(state.random.Below(spread)));
}

void OnFollowerWoke(CoreState& state) {
  CHECK(state.leader() == nullptr);
  ExpireReads(state);
  if (state.now < state.election_at) return;
  if (CanLead(state)) return StartPreVote(state);
  // Who does not campaign only stops to believe in its leader.
  SIM_REACHED("raft.follower.gave_leader_up");
  BecomeFollower(state, state.term, kNoNode);
}

Instant FollowerDeadline(const CoreState& state) {
  CHECK(state.leader() == nullptr);
  return std::min(state.election_at, ReadsDeadline(state));
}

}  // namespace conclave::raft
