#include "raft/core/cluster_checker.h"

#include <algorithm>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/core/quorum.h"

namespace conclave::raft {

void Disk::Write(const AppendTask& task) {
  if (task.hard_state) hard_state = *task.hard_state;
  if (task.entries.empty()) return;
  const LogIndex first = task.entries.front().index;
  CHECK(first > start.index && first <= last_index().Next());
  entries.resize(first - start.index - 1);
  entries.insert(entries.end(), task.entries.begin(), task.entries.end());
}

void Disk::Release(const LogStart& to) {
  CHECK(to.index >= start.index && to.index <= last_index());
  entries.erase(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(to.index - start.index));
  start = to;
}

const Entry* Disk::Find(LogIndex index) const {
  if (index <= start.index || index > last_index()) return nullptr;
  return &entries[index - start.index - 1];
}

Term Disk::TermAt(LogIndex index) const {
  if (index == start.index) return start.term;
  const Entry* entry = Find(index);
  return entry != nullptr ? entry->term : Term(0);
}

void ClusterChecker::Expect(bool holds, const std::string& problem) {
  if (!holds) Report(problem);
}

void ClusterChecker::OnWritten(NodeId member, const Disk& log, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    const Origin origin{entry.kind, std::string(entry.payload.view()),
                        log.TermAt(entry.index.Prev())};
    const auto [known, is_new] = origins_.emplace(std::pair(entry.term, entry.index), origin);
    Expect(is_new || known->second == origin,
           fmt::format("log matching: {} has another entry {}/{} than was seen before",
                       member.value(), entry.index.value(), entry.term.value()));
  }
}

void ClusterChecker::OnSent(const Message& message, const Disk& disk) {
  NodeId voted_for = kNoNode;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    if (!request->pre_vote) voted_for = message.from;
  } else if (const auto* response = std::get_if<VoteResponse>(&message.body)) {
    if (!response->pre_vote && response->granted) voted_for = message.to;
  }
  if (voted_for == kNoNode) return;
  const auto [vote, is_new] = votes_.emplace(std::pair(message.from, message.term), voted_for);
  Expect(is_new || vote->second == voted_for,
         fmt::format("{} voted twice in term {}", message.from.value(), message.term.value()));
  const bool durable =
      disk.hard_state.term > message.term || disk.hard_state == HardState{message.term, voted_for};
  Expect(durable, fmt::format("the vote of {} in term {} left before it was durable",
                              message.from.value(), message.term.value()));
}

void ClusterChecker::OnLeader(NodeId leader, Term term, const Disk& log, const Disk& disk) {
  const auto [known, is_new] = leaders_.emplace(term, leader);
  Expect(is_new || known->second == leader,
         fmt::format("election safety: {} and {} lead term {}", known->second.value(),
                     leader.value(), term.value()));
  Expect(disk.hard_state == HardState{term, leader},
         fmt::format("{} leads term {} without a durable vote for itself", leader.value(),
                     term.value()));
  for (const Entry& entry : committed_) {
    if (entry.index <= log.start.index) continue;
    Expect(log.TermAt(entry.index) == entry.term,
           fmt::format("leader completeness: {} leads term {} without committed entry {}",
                       leader.value(), term.value(), entry.index.value()));
  }
}

void ClusterChecker::OnCommit(const CoreStatus& status, const Configuration& configuration,
                              const Disk& log, const std::map<NodeId, const Disk*>& disks) {
  if (const Entry* entry = log.Find(std::min(status.commit, committed()))) {
    Expect(committed_[entry->index.value() - 1].term == entry->term,
           fmt::format("{} believes another entry {} to be committed", status.id.value(),
                       entry->index.value()));
  }
  if (status.commit <= committed()) return;
  const Term term = log.TermAt(status.commit);
  const uint64_t held = MajorityValue(configuration, [&](NodeId voter) -> uint64_t {
    return disks.at(voter)->TermAt(status.commit) == term ? 1 : 0;
  });
  Expect(held == 1, fmt::format("{} commits {} although no quorum has it on its disks",
                                status.id.value(), status.commit.value()));
  while (committed() < status.commit) {
    const Entry* entry = log.Find(committed().Next());
    CHECK(entry != nullptr);
    AddCommitted(*entry);
  }
}

void ClusterChecker::AddCommitted(const Entry& entry) {
  committed_.push_back(entry);
  if (entry.kind != EntryKind::kCommand) return;
  const std::string payload(entry.payload.view());
  Expect(!refused_.contains(payload), fmt::format("{} was refused, and committed", payload));
  const auto proposed = proposed_.find(payload);
  Expect(proposed != proposed_.end() && proposed->second == entry.term,
         fmt::format("{} was committed in term {}, where it was not proposed", payload,
                     entry.term.value()));
}

void ClusterChecker::OnApply(NodeId member, const Entry& entry, const Disk& disk) {
  const bool committed_there =
      entry.index <= committed() && committed_[entry.index.value() - 1] == entry;
  Expect(committed_there, fmt::format("state machine safety: {} applies another entry {}",
                                      member.value(), entry.index.value()));
  Expect(disk.TermAt(entry.index) == entry.term,
         fmt::format("{} applies entry {} before it is durable there", member.value(),
                     entry.index.value()));
}

void ClusterChecker::OnProposed(Term term, const std::string& payload) {
  Expect(proposed_.emplace(payload, term).second, fmt::format("{} was proposed twice", payload));
}

void ClusterChecker::OnProposalFailed(const std::string& payload) {
  refused_.insert(payload);
  const bool committed_before =
      std::any_of(committed_.begin(), committed_.end(),
                  [&](const Entry& entry) { return entry.payload.view() == payload; });
  Expect(!committed_before, fmt::format("{} was committed, and refused", payload));
}

void ClusterChecker::OnReadRequested(NodeId member, ReadId read) {
  CHECK(reads_.emplace(std::pair(member, read), committed()).second);
}

void ClusterChecker::OnReadReady(NodeId member, ReadId read, LogIndex index) {
  const auto asked = reads_.find({member, read});
  Expect(asked != reads_.end(), fmt::format("a read of {} was answered twice", member.value()));
  if (asked == reads_.end()) return;
  Expect(index >= asked->second,
         fmt::format("a read of {} at {} misses {}, committed before it came", member.value(),
                     index.value(), asked->second.value()));
  reads_.erase(asked);
}

void ClusterChecker::OnReadFailed(NodeId member, ReadId read) {
  Expect(reads_.erase({member, read}) == 1,
         fmt::format("a read of {} was answered twice", member.value()));
}

void ClusterChecker::OnCrash(NodeId member) {
  std::erase_if(reads_, [&](const auto& read) { return read.first.first == member; });
}

}  // namespace conclave::raft
