#include "raft/core/proposals.h"

#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/durability.h"
#include "raft/core/membership.h"

namespace conclave::raft {
namespace {

// Why a proposal cannot be taken now, if it cannot.
std::optional<RejectReason> Refusal(const CoreState& state, const Leader& leader, size_t bytes) {
  CHECK(bytes >= kEntryOverheadBytes);
  if (leader.transferee != kNoNode) {
    SIM_REACHED("raft.proposal.refused_transferring");
    return RejectReason::kTransferring;
  }
  if (leader.uncommitted_bytes + bytes > state.config.uncommitted_bytes_max) {
    SIM_REACHED("raft.proposal.refused_too_many");
    return RejectReason::kTooMany;
  }
  return std::nullopt;
}

using Refusals = std::vector<ProposeResponse>;

// Those with one reason in a row share a response.
void AddRefusal(Refusals& refusals, ProposalId id, RejectReason reason) {
  if (refusals.empty() || refusals.back().reason != reason) {
    refusals.push_back({.reason = reason, .rejected = {}});
  }
  refusals.back().rejected.push_back(id);
}

// Takes the proposals in order. After a command that cannot be taken no other is, so that the
// commands of one proposer stay in order; a change of membership is refused for itself alone.
Refusals TakeProposals(CoreState& state, Leader& leader, const std::vector<Proposal>& proposals) {
  CHECK(state.leader() == &leader);
  Refusals refusals;
  std::optional<RejectReason> closed;
  for (const Proposal& proposal : proposals) {
    if (!closed) closed = Refusal(state, leader, proposal.payload.size() + kEntryOverheadBytes);
    std::optional<RejectReason> refusal = closed;
    if (!refusal && !proposal.changes.empty()) {
      refusal = TakeChange(state, leader, proposal);
    } else if (!refusal) {
      AppendAsLeader(state, leader, EntryKind::kCommand, proposal.payload);
    }
    if (refusal) AddRefusal(refusals, proposal.id, *refusal);
  }
  CHECK(refusals.size() <= proposals.size());
  return refusals;
}

Refusals RefuseAll(const std::vector<Proposal>& proposals) {
  Refusals refusals;
  for (const Proposal& proposal : proposals) {
    AddRefusal(refusals, proposal.id, RejectReason::kNoLeader);
  }
  CHECK(refusals.size() == (proposals.empty() ? 0 : 1));
  return refusals;
}

void FailAll(CoreState& state, const Refusals& refusals) {
  for (const ProposeResponse& refused : refusals) OnProposeResponse(state, refused);
}

}  // namespace

void OnProposed(CoreState& state, std::vector<Proposal> proposals) {
  if (Leader* leader = state.leader()) {
    return FailAll(state, TakeProposals(state, *leader, proposals));
  }
  const NodeId leader_id = state.LeaderId();
  if (leader_id == kNoNode) return FailAll(state, RefuseAll(proposals));
  state.Send(leader_id, ProposeRequest{.proposals = std::move(proposals)});
}

void OnProposeRequest(CoreState& state, NodeId from, Term term, const ProposeRequest& request) {
  CHECK(term <= state.term);
  CHECK(from != state.config.id);
  Leader* leader = state.leader();
  const bool right_term = term == state.term || SEEDED_BUG(kProposalTakenInLaterTerm);
  const bool takes = leader != nullptr && right_term;
  if (leader == nullptr) SIM_REACHED("raft.proposal.refused_not_leader");
  if (leader != nullptr && !right_term) SIM_REACHED("raft.proposal.refused_earlier_term");
  Refusals refusals =
      takes ? TakeProposals(state, *leader, request.proposals) : RefuseAll(request.proposals);
  for (ProposeResponse& refused : refusals) state.Send(from, std::move(refused));
}

void OnProposeResponse(CoreState& state, const ProposeResponse& response) {
  for (ProposalId id : response.rejected) state.proposals_failed.push_back({id, response.reason});
}

void AppendAsLeader(CoreState& state, Leader& leader, EntryKind kind, Bytes payload) {
  Entry entry{.term = state.term,
              .index = state.log.last_index().Next(),
              .kind = kind,
              .payload = std::move(payload)};
  CHECK(entry.index > state.commit);
  CHECK(entry.index >= leader.term_start);
  leader.uncommitted_bytes += EntryBytes(entry);
  AppendEntry(state, std::move(entry));
}

}  // namespace conclave::raft
