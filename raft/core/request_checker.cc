#include "raft/core/request_checker.h"

#include "raft/base/check.h"

namespace conclave::raft {

void RequestChecker::OnProposed(Term term, const std::string& payload) {
  findings_.Expect(proposed_.emplace(payload, term).second, "{} was proposed twice", payload);
}

void RequestChecker::OnProposalFailed(const std::string& payload) {
  refused_.insert(payload);
  findings_.Expect(!committed_.contains(payload), "{} was committed, and refused", payload);
}

void RequestChecker::OnCommit() {
  while (checked_ < cluster_.committed()) CheckCommitted(cluster_.Committed(++checked_));
}

void RequestChecker::CheckCommitted(const Entry& entry) {
  if (entry.kind != EntryKind::kCommand) return;
  const std::string payload(entry.payload.view());
  committed_.insert(payload);
  findings_.Expect(!refused_.contains(payload), "{} was refused, and committed", payload);
  const auto proposed = proposed_.find(payload);
  findings_.Expect(proposed != proposed_.end() && proposed->second == entry.term,
                   "{} was committed in term {}, where it was not proposed", payload,
                   entry.term.value());
}

void RequestChecker::OnReadRequested(NodeId member, ReadId read) {
  CHECK(reads_.emplace(std::pair(member, read), cluster_.committed()).second);
}

void RequestChecker::OnReadReady(NodeId member, ReadId read, LogIndex index) {
  const auto asked = reads_.find({member, read});
  if (!findings_.Expect(asked != reads_.end(), "a read of {} was answered twice", member.value())) {
    return;
  }
  findings_.Expect(index >= asked->second, "a read of {} at {} misses {}, committed before it came",
                   member.value(), index.value(), asked->second.value());
  reads_.erase(asked);
}

void RequestChecker::OnReadFailed(NodeId member, ReadId read) {
  findings_.Expect(reads_.erase({member, read}) == 1, "a read of {} was answered twice",
                   member.value());
}

void RequestChecker::OnCrash(NodeId member) {
  std::erase_if(reads_, [&](const auto& read) { return read.first.first == member; });
}

}  // namespace conclave::raft
