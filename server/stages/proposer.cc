#include "server/stages/proposer.h"

#include <algorithm>

#include "kvstore/errors.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

// The low bits of a proposal id count the attempts of one request, so that a late refusal of an
// attempt given up is not taken for a refusal of the present one.
constexpr int kAttemptBits = 16;

}  // namespace

Proposer::Proposer(const ProposerOptions& options, Executor* lane, WakeRaft wake_raft)
    : options_(options),
      lane_(lane),
      wake_raft_(std::move(wake_raft)),
      next_request_id_(options.first_request_id) {}

Proposer::~Proposer() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void Proposer::Propose(kv::CommandKind kind, std::string_view request, Done done,
                       const kv::RequestIdentity& identity) {
  Request entry;
  entry.done = std::move(done);
  Add(kind, request, std::move(entry), identity);
}

void Proposer::ProposeAsLeader(kv::CommandKind kind, std::string_view request, raft::Term term,
                               Done done) {
  ProposeChange(kind, request, {}, term, std::move(done));
}

void Proposer::ProposeChange(kv::CommandKind kind, std::string_view request,
                             std::vector<raft::MemberChange> changes, raft::Term term, Done done) {
  Request entry;
  entry.done = std::move(done);
  entry.only_in_term = term;
  entry.changes = std::move(changes);
  Add(kind, request, std::move(entry));
}

void Proposer::Add(kv::CommandKind kind, std::string_view request, Request entry,
                   const kv::RequestIdentity& identity) {
  if (requests_.size() >= options_.requests_max || bytes_ + request.size() > options_.bytes_max) {
    ++failed_total_;
    entry.done({.status = kv::ErrTooManyRequests(), .response = {}});
    return;
  }
  const uint64_t id = next_request_id_++;
  entry.payload = kv::EncodeCommand(
      {.kind = kind, .proposer = options_.member.value(), .request_id = id}, request, identity);
  bytes_ += entry.payload.size();
  requests_.emplace(id, std::move(entry));
  deadlines_.emplace_back(lane_->Now() + options_.timeout, id);
  ArmTimer();
  waiting_.push_back(id);
  wake_raft_();
}

raft::ProposalId Proposer::AttemptId(uint64_t request_id, uint16_t attempt) const {
  const uint64_t number = ((request_id - options_.first_request_id) << kAttemptBits) | attempt;
  return raft::ProposalId(options_.first_proposal_id + number);
}

uint64_t Proposer::RequestIdOf(raft::ProposalId attempt) const {
  const uint64_t number = attempt.value() - options_.first_proposal_id;
  return (number >> kAttemptBits) + options_.first_request_id;
}

std::vector<raft::Proposal> Proposer::TakeProposals(raft::Term term, bool leading) {
  std::vector<raft::Proposal> proposals;
  if (waiting_.empty() || !leader_known_) return proposals;
  std::vector<uint64_t> ids;
  ids.swap(waiting_);
  size_t bytes = 0;
  size_t taken = 0;
  for (; taken < ids.size() && bytes < options_.take_bytes_max; ++taken) {
    std::optional<raft::Proposal> proposal = StartAttempt(ids[taken], term, leading);
    if (!proposal) continue;
    bytes += proposal->payload.size() + raft::kEntryOverheadBytes;
    proposals.push_back(*std::move(proposal));
  }
  if (taken < ids.size()) {
    waiting_.insert(waiting_.begin(), ids.begin() + static_cast<ptrdiff_t>(taken), ids.end());
    wake_raft_();
  }
  return proposals;
}

std::optional<raft::Proposal> Proposer::StartAttempt(uint64_t request_id, raft::Term term,
                                                     bool leading) {
  auto found = requests_.find(request_id);
  if (found == requests_.end()) {  // timed out meanwhile
    SIM_REACHED("stages.proposal.given_up_before_attempt");
    return std::nullopt;
  }
  Request& request = found->second;
  if (request.only_in_term && !(leading && *request.only_in_term == term)) {
    SIM_REACHED("stages.proposal.no_longer_leader");
    Fail(request_id, kv::ErrNotLeader());
    return std::nullopt;
  }
  request.in_flight = true;
  request.maybe_skipped = false;
  request.attempt_term = term;
  return raft::Proposal{AttemptId(request_id, request.attempt), request.payload, request.changes};
}

void Proposer::OnFailed(const std::vector<raft::ProposalFailed>& failed) {
  for (const raft::ProposalFailed& failure : failed) {
    const uint64_t id = RequestIdOf(failure.id);
    auto found = requests_.find(id);
    if (found == requests_.end() || !found->second.in_flight) continue;
    Request& request = found->second;
    if (AttemptId(id, request.attempt) != failure.id && !SEEDED_BUG(kLateRefusalTrusted)) {
      SIM_REACHED("stages.proposal.late_refusal");
      continue;
    }
    OnRefused(id, request, failure.reason);
  }
}

void Proposer::OnRefused(uint64_t request_id, Request& request, raft::RejectReason reason) {
  switch (reason) {
    case raft::RejectReason::kTooMany:
      SIM_REACHED("stages.proposal.refused_too_many");
      return Fail(request_id, kv::ErrTooManyRequests());
    case raft::RejectReason::kChangeUnderWay:
      SIM_REACHED("stages.proposal.change_under_way");
      return Rest(request_id, request);
    case raft::RejectReason::kBadChange: {
      // Whoever proposed it has asked the state machine, which lags behind the log.
      SIM_REACHED("stages.proposal.bad_change");
      const bool removes = !request.changes.empty() &&
                           request.changes.front().kind == raft::MemberChangeKind::kRemove;
      return Fail(request_id, removes ? kv::ErrMemberNotFound() : kv::ErrMemberExists());
    }
    case raft::RejectReason::kNoLeader:
    case raft::RejectReason::kTransferring:
      SIM_REACHED("stages.proposal.requeued_after_refusal");
      return Requeue(request_id, request);
  }
}

void Proposer::Requeue(uint64_t request_id, Request& request) {
  if (request.only_in_term) {
    Fail(request_id, kv::ErrNotLeader());
    return;
  }
  Rest(request_id, request);
}

void Proposer::Rest(uint64_t request_id, Request& request) {
  request.in_flight = false;
  ++request.attempt;
  resting_.push_back(request_id);
  ArmTimer();
}

void Proposer::EndRest() {
  waiting_.insert(waiting_.begin(), resting_.begin(), resting_.end());
  resting_.clear();
  if (!waiting_.empty() && leader_known_) wake_raft_();
}

void Proposer::OnRoleChange(const raft::RoleChange& change) {
  leader_known_ = change.leader != raft::kNoNode;
  if (!leader_known_) {
    for (auto& [id, request] : requests_) request.leader_lost |= request.in_flight;
  }
  if (leader_known_ && SEEDED_BUG(kProposalRetriedUnknown)) RequeueBefore(change.term);
  if (leader_known_) EndRest();
}

bool Proposer::Waits(const kv::CommandHeader& header) const {
  return header.proposer == options_.member.value() && requests_.contains(header.request_id);
}

void Proposer::Complete(const kv::CommandHeader& header, kv::ApplyResult result) {
  if (!Waits(header)) return;
  auto node = requests_.extract(header.request_id);
  Request& request = node.mapped();
  bytes_ -= request.payload.size();
  while (!deadlines_.empty() && !requests_.contains(deadlines_.front().second)) {
    deadlines_.pop_front();
  }
  request.done(std::move(result));
}

void Proposer::Fail(uint64_t request_id, const absl::Status& status) {
  ++failed_total_;
  Complete({.kind = {}, .proposer = options_.member.value(), .request_id = request_id},
           {.status = status, .response = {}});
}

void Proposer::OnAppliedTerm(raft::Term term) {
  if (term <= applied_term_) return;
  applied_term_ = term;
  RequeueBefore(term);
}

void Proposer::OnInstalled(raft::Term term) {
  for (auto& [id, request] : requests_) {
    request.maybe_skipped |= request.in_flight && request.attempt_term <= term;
  }
  OnAppliedTerm(term);
}

void Proposer::RequeueBefore(raft::Term term) {
  std::vector<uint64_t> lost;
  for (const auto& [id, request] : requests_) {
    if (request.in_flight && request.attempt_term < term) lost.push_back(id);
  }
  std::sort(lost.begin(), lost.end());  // in the order they came, whatever the table's order
  for (uint64_t id : lost) {
    Request& request = requests_.at(id);
    if (request.maybe_skipped && !SEEDED_BUG(kSkippedProposalRetried)) {
      SIM_REACHED("stages.proposal.maybe_skipped");
      Fail(id, TimeoutStatus(request));
    } else {
      Requeue(id, request);
    }
  }
  if (lost.empty()) return;
  SIM_REACHED("stages.proposal.requeued_after_term");
  EndRest();
}

void Proposer::ArmTimer() {
  if (timer_ != 0) return;
  constexpr Duration kPeriod = Milliseconds(20);
  timer_ = lane_->RunAt(lane_->Now() + kPeriod, [this] {
    timer_ = 0;
    ExpireOld();
    EndRest();
    if (!requests_.empty()) ArmTimer();
  });
}

void Proposer::ExpireOld() {
  const Instant now = lane_->Now();
  while (!deadlines_.empty() && deadlines_.front().first <= now) {
    const uint64_t id = deadlines_.front().second;
    deadlines_.pop_front();
    auto found = requests_.find(id);
    if (found != requests_.end()) Fail(id, TimeoutStatus(found->second));
  }
}

absl::Status Proposer::TimeoutStatus(const Request& request) const {
  if (!request.in_flight) {
    SIM_REACHED("stages.proposal.timed_out_unproposed");
    return absl::DeadlineExceededError("context deadline exceeded");
  }
  SIM_REACHED("stages.proposal.timed_out");
  if (request.leader_lost) return kv::ErrTimeoutDueToLeaderFail();
  return kv::ErrTimeout();
}

}  // namespace conclave::server
