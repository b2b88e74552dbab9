#include "raft/core/invariants.h"

#include <algorithm>

#include "raft/core/quorum.h"
#include "raft/core/replication.h"

namespace conclave::raft {
namespace {

using Broken = std::optional<std::string>;

// start <= applied <= handed to apply <= commit, durable <= last.
Broken CheckIndexes(const CoreState& s) {
  const LogIndex held = s.installing.has_value() ? s.installing->index : s.applied;
  if (s.log.start() > held) return "forgot what is not applied";
  if (s.applied > s.handed_to_apply) return "applied what was never handed to apply";
  if (s.handed_to_apply > s.commit) return "handed to apply what is not committed";
  if (!s.installing.has_value() && s.handed_to_apply > s.durable) {
    return "handed to apply what is not durable";
  }
  if (s.commit > s.log.last_index()) return "committed beyond the end of the log";
  if (s.durable > s.log.last_index()) return "durable beyond the end of the log";
  if (s.durable >= s.unwritten) return "durable although never written";
  if (s.unwritten > s.log.last_index().Next()) return "written beyond the end of the log";
  return std::nullopt;
}

// The newest entries: older ones were newest once, and entries do not change.
Broken CheckLogTail(const CoreState& s) {
  constexpr uint64_t kEntriesMax = 16;
  if (s.log.last_term() > s.term) return "an entry of a later term";
  const uint64_t held = s.log.last_index() - s.log.start();
  for (uint64_t back = 0; back < std::min(held, kEntriesMax); ++back) {
    const Entry& entry = s.log.At(s.log.last_index() - back);
    if (entry.index != s.log.last_index() - back) return "a gap in the log";
    if (entry.term < s.log.TermAt(entry.index.Prev())) return "a term that falls along the log";
    if (entry.kind != EntryKind::kConfiguration) continue;
    if (s.configurations.current_index() < entry.index) return "a configuration not in force";
  }
  if (s.configurations.current_index() > s.log.last_index()) return "a configuration without entry";
  return std::nullopt;
}

Broken CheckHardState(const CoreState& s) {
  if (s.term == Term(0) && s.vote != kNoNode) return "a vote before the first term";
  if (s.Name() == RoleName::kCandidate && s.vote != s.config.id) {
    return "campaigns without its own vote";
  }
  if (s.follower() != nullptr && s.LeaderId() == s.config.id) return "follows itself";
  return std::nullopt;
}

Broken CheckWrites(const CoreState& s) {
  WriteId last;
  for (const WriteUnderWay& write : s.writes) {
    if (write.write <= last) return "writes out of order";
    if (write.write > s.last_write) return "a write that was never handed out";
    if (s.durable >= write.first && write.first <= write.last) {
      return "durable although the write is under way";
    }
    last = write.write;
  }
  return std::nullopt;
}

Broken CheckProgress(const CoreState& s, const Progress& peer) {
  const InflightWindow& window = peer.window();
  if (peer.match() > s.log.last_index()) return "a peer matches beyond the log";
  if (peer.next() <= peer.match()) return "next is not after match";
  if (peer.next() > s.log.last_index().Next()) return "next is beyond the log";
  if (window.appends() > s.config.inflight_appends_max) return "too many in flight";
  // The last one in may pass the bound of bytes, by as much as its entry is large.
  if (window.appends() > 1 && window.bytes_before_last() >= s.config.inflight_bytes_max) {
    return "too many bytes in flight";
  }
  if (window.appends() > 0 && window.last() >= peer.next()) return "in flight beyond next";
  if (window.appends() == 0 && window.bytes() != 0) return "bytes of no request in flight";
  if (peer.state() == Progress::State::kProbe && window.appends() > 0) {
    return "a probe with requests in flight";
  }
  return std::nullopt;
}

Broken CheckRounds(const Leader& leader) {
  const ReadRounds& rounds = leader.rounds;
  if (rounds.under_way == rounds.reads.empty()) return "a round without reads";
  if (rounds.under_way && rounds.index < leader.term_start) {
    return "a read index before the first commit of the term";
  }
  for (const auto& [id, peer] : leader.peers) {
    if (peer.round_echoed > peer.round_sent) return "an echo of a round that was not sent";
    if (peer.round_sent > rounds.round) return "sent a round that never began";
  }
  return std::nullopt;
}

Broken CheckCommit(const CoreState& s, const Leader& leader) {
  const LogIndex held(MajorityValue(s.configuration(), [&](NodeId voter) {
    return (voter == s.config.id ? s.durable : leader.At(voter).progress.match()).value();
  }));
  // Commits of this term come only from counting it; older ones may be known from before
  // (thesis 3.6.2).
  const bool lost = std::any_of(leader.peers.begin(), leader.peers.end(),
                                [](const auto& peer) { return peer.second.lost_entries; });
  const bool changed = s.configurations.current_index() > s.commit;
  if (s.commit >= leader.term_start && held < s.commit && !lost && !changed) {
    return "committed without a quorum";
  }
  const bool countable = s.log.TermAt(held) == s.term;
  if (countable && held > s.commit) return "a quorum holds what is not committed";
  if (leader.uncommitted_bytes != s.log.BytesBetween(s.commit, s.log.last_index())) {
    return "uncommitted bytes miscounted";
  }
  return std::nullopt;
}

Broken CheckLeader(const CoreState& s, const Leader& leader) {
  if (s.vote != s.config.id) return "leads without its own vote";
  if (leader.peers.contains(s.config.id)) return "sends to itself";
  if (leader.term_start > s.log.start() && s.log.TermAt(leader.term_start) != s.term) {
    return "the term did not begin with an entry of its own";
  }
  if (leader.transferee != kNoNode && !s.configuration().IsVoter(leader.transferee)) {
    return "hands leadership to a member that does not vote";
  }
  for (const Message& message : s.messages) {
    const bool hands_over =
        std::holds_alternative<TimeoutNow>(message.body) && message.to == leader.transferee;
    if (hands_over && leader.At(message.to).progress.match() < s.log.last_index()) {
      return "hands leadership to a member that is behind";
    }
  }
  for (const auto& [id, peer] : leader.peers) {
    if (!s.configuration().Contains(id)) return "sends to a member that is none";
    if (Broken broken = CheckProgress(s, peer.progress)) return broken;
  }
  if (Broken broken = CheckRounds(leader)) return broken;
  return CheckCommit(s, leader);
}

}  // namespace

std::optional<std::string> FindBrokenInvariant(const CoreState& state) {
  if (Broken broken = CheckIndexes(state)) return broken;
  if (Broken broken = CheckLogTail(state)) return broken;
  if (Broken broken = CheckHardState(state)) return broken;
  if (Broken broken = CheckWrites(state)) return broken;
  if (const Leader* leader = state.leader()) return CheckLeader(state, *leader);
  if (state.installing.has_value() && state.log.last_index() < state.log.start()) {
    return "a log that ends before it starts";
  }
  if (state.candidate() != nullptr && !state.MayCampaign()) return "campaigns without a vote";
  return std::nullopt;
}

}  // namespace conclave::raft
