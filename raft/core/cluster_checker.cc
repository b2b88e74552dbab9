#include "raft/core/cluster_checker.h"

#include <algorithm>

namespace conclave::raft {
namespace {

// Whom the sender of `message` says with it to have voted for; kNoNode if it says no such thing.
NodeId VoteIn(const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    return request->pre_vote ? kNoNode : message.from;
  }
  const auto* response = std::get_if<VoteResponse>(&message.body);
  const bool granted = response != nullptr && !response->pre_vote && response->granted;
  return granted ? message.to : kNoNode;
}

bool OnlyLeadersSend(const Message& message) {
  return std::holds_alternative<AppendRequest>(message.body) ||
         std::holds_alternative<Heartbeat>(message.body);
}

std::string_view CommandOf(const Entry& entry) {
  return entry.kind == EntryKind::kCommand ? entry.payload.view() : std::string_view();
}

}  // namespace

bool IsQuorum(const Configuration& configuration, absl::FunctionRef<bool(NodeId)> agrees) {
  const auto more_than_half = [&](const std::vector<NodeId>& voters) {
    const auto count = std::count_if(voters.begin(), voters.end(), agrees);
    return 2 * static_cast<size_t>(count) > voters.size();
  };
  return more_than_half(configuration.voters) &&
         (!configuration.joint() || more_than_half(configuration.outgoing));
}

void ClusterChecker::OnWritten(NodeId member, const Disk& log, const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  Term prev_term = log.TermAt(entries.front().index.Prev());
  for (const Entry& entry : entries) {
    OnEntry(member, prev_term, entry);
    prev_term = entry.term;
  }
}

void ClusterChecker::OnEntry(NodeId member, Term prev_term, const Entry& entry) {
  if (written_.size() <= entry.index.value()) written_.resize(entry.index.value() + 1);
  auto& here = written_[entry.index.value()];
  const auto same = std::find_if(here.begin(), here.end(), [&](const Written& written) {
    return written.entry.term == entry.term;
  });
  if (same == here.end()) {
    here.push_back({prev_term, entry});
    return;
  }
  findings_.Expect(same->prev_term == prev_term && same->entry == entry,
                   "log matching: {} has another entry {} of term {} than was seen before",
                   member.value(), entry.index.value(), entry.term.value());
}

void ClusterChecker::OnVote(NodeId voter, Term term, NodeId candidate) {
  const auto [vote, is_new] = votes_.emplace(std::pair(voter, term), candidate);
  findings_.Expect(is_new || vote->second == candidate,
                   "one vote per term: {} votes for {} and {} in term {}", voter.value(),
                   vote->second.value(), candidate.value(), term.value());
}

void ClusterChecker::OnHardState(NodeId member, const HardState& durable) {
  if (durable.vote != kNoNode) OnVote(member, durable.term, durable.vote);
}

void ClusterChecker::OnSent(const Message& message, const Disk& disk) {
  if (const NodeId candidate = VoteIn(message); candidate != kNoNode) {
    OnVote(message.from, message.term, candidate);
    const bool durable = disk.hard_state.term > message.term ||
                         disk.hard_state == HardState{message.term, candidate};
    findings_.Expect(durable, "left before durable: the vote of {} for {} in term {}",
                     message.from.value(), candidate.value(), message.term.value());
  }
  if (OnlyLeadersSend(message)) ClaimTerm(message.from, message.term);
  if (const auto* response = std::get_if<AppendResponse>(&message.body)) {
    if (response->accepted) CheckAccepted(message, *response, disk);
  }
}

void ClusterChecker::CheckAccepted(const Message& message, const AppendResponse& response,
                                   const Disk& disk) {
  const Term term = disk.hard_state.term;
  findings_.Expect(term >= message.term,
                   "left before durable: {} acknowledges in term {} with term {} on its disk",
                   message.from.value(), message.term.value(), term.value());
  // In a later term its log may have been replaced: that term's leader then holds whatever this
  // acknowledgement could commit.
  if (term > message.term) return;
  findings_.Expect(disk.last_index() >= response.index,
                   "left before durable: {} acknowledges {} with a log up to {} on its disk",
                   message.from.value(), response.index.value(), disk.last_index().value());
}

void ClusterChecker::ClaimTerm(NodeId leader, Term term) {
  const auto [known, is_new] = leaders_.emplace(term, leader);
  findings_.Expect(is_new || known->second == leader, "election safety: {} and {} lead term {}",
                   known->second.value(), leader.value(), term.value());
}

void ClusterChecker::OnLeader(NodeId leader, Term term, const Configuration& configuration,
                              const Disk& log, const Disk& disk) {
  ClaimTerm(leader, term);
  const bool won = IsQuorum(configuration, [&](NodeId voter) {
    const auto vote = votes_.find({voter, term});
    return vote != votes_.end() && vote->second == leader;
  });
  findings_.Expect(won, "election safety: {} leads term {} without the votes of a quorum",
                   leader.value(), term.value());
  findings_.Expect(disk.hard_state == HardState{term, leader},
                   "election safety: {} leads term {} without a durable vote for itself",
                   leader.value(), term.value());
  // What was committed in later terms, whatever term it is of, a leader of this one need not have:
  // it may learn of its votes when they have long been overtaken.
  const auto later = std::lower_bound(committed_in_.begin(), committed_in_.end(), term);
  if (later == committed_in_.begin()) return;
  // Who has the last one in its term has all before it, by log matching.
  const Entry& last = committed_[static_cast<size_t>(later - committed_in_.begin()) - 1];
  findings_.Expect(log.Covers(last.index, last.term),
                   "leader completeness: {} leads term {} without committed entry {} of term {}",
                   leader.value(), term.value(), last.index.value(), last.term.value());
}

void ClusterChecker::OnCommit(NodeId member, LogIndex commit, const Configuration& configuration,
                              const Disk& log, Holds holds) {
  if (!findings_.Expect(commit <= log.last_index(),
                        "state machine safety: {} believes {} to be committed, its log ends at {}",
                        member.value(), commit.value(), log.last_index().value())) {
    return;
  }
  if (const Entry* entry = log.Find(std::min(commit, committed()))) {
    findings_.Expect(Committed(entry->index).term == entry->term,
                     "state machine safety: {} believes another entry {} to be committed",
                     member.value(), entry->index.value());
  }
  if (commit <= committed()) return;
  const Term term = log.TermAt(commit);
  const bool held =
      IsQuorum(configuration, [&](NodeId voter) { return holds(voter, commit, term); });
  findings_.Expect(held, "commit without quorum: {} commits {} of term {}, not on the disks",
                   member.value(), commit.value(), term.value());
  while (committed() < commit) {
    const Entry* entry = log.Find(committed().Next());
    if (!findings_.Expect(entry != nullptr,
                          "state machine safety: {} let go of entry {}, not known to be committed",
                          member.value(), committed().Next().value())) {
      return;
    }
    committed_.push_back(*entry);
    const Term before = committed_in_.empty() ? Term(0) : committed_in_.back();
    committed_in_.push_back(std::max(before, log.hard_state.term));
  }
}

void ClusterChecker::OnApply(NodeId member, LogIndex index, std::string_view command,
                             const Disk& disk) {
  const bool known = index > LogIndex(0) && index <= committed();
  if (!findings_.Expect(known, "state machine safety: {} applies {}, which is not committed",
                        member.value(), index.value())) {
    return;
  }
  const Entry& entry = Committed(index);
  findings_.Expect(CommandOf(entry) == command, "state machine safety: {} applies another entry {}",
                   member.value(), index.value());
  findings_.Expect(disk.Covers(index, entry.term),
                   "left before durable: {} applies entry {} of term {}, not on its disk",
                   member.value(), index.value(), entry.term.value());
}

}  // namespace conclave::raft
