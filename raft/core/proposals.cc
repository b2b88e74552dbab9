#include "raft/core/proposals.h"

#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/durability.h"

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

// Takes the proposals in order up to the first that cannot be taken; returns the ids of the rest
// and why.
ProposeResponse TakeProposals(CoreState& state, Leader& leader,
                              const std::vector<Proposal>& proposals) {
  ProposeResponse refused;
  for (const Proposal& proposal : proposals) {
    if (refused.rejected.empty()) {
      const auto refusal = Refusal(state, leader, proposal.payload.size() + kEntryOverheadBytes);
      if (!refusal.has_value()) {
        AppendAsLeader(state, leader, EntryKind::kCommand, proposal.payload);
        continue;
      }
      refused.reason = *refusal;
    }
    refused.rejected.push_back(proposal.id);
  }
  return refused;
}

ProposeResponse RefuseAll(const std::vector<Proposal>& proposals) {
  ProposeResponse refused{.reason = RejectReason::kNoLeader, .rejected = {}};
  for (const Proposal& proposal : proposals) refused.rejected.push_back(proposal.id);
  return refused;
}

}  // namespace

void OnProposed(CoreState& state, std::vector<Proposal> proposals) {
  if (Leader* leader = state.leader()) {
    return OnProposeResponse(state, TakeProposals(state, *leader, proposals));
  }
  const NodeId leader_id = state.LeaderId();
  if (leader_id == kNoNode) return OnProposeResponse(state, RefuseAll(proposals));
  state.Send(leader_id, ProposeRequest{.proposals = std::move(proposals)});
}

void OnProposeRequest(CoreState& state, NodeId from, Term term, const ProposeRequest& request) {
  CHECK(term <= state.term);
  Leader* leader = state.leader();
  const bool right_term = term == state.term || SEEDED_BUG(kProposalTakenInLaterTerm);
  const bool takes = leader != nullptr && right_term;
  if (leader == nullptr) SIM_REACHED("raft.proposal.refused_not_leader");
  if (leader != nullptr && !right_term) SIM_REACHED("raft.proposal.refused_earlier_term");
  const ProposeResponse refused =
      takes ? TakeProposals(state, *leader, request.proposals) : RefuseAll(request.proposals);
  if (!refused.rejected.empty()) state.Send(from, refused);
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
  leader.uncommitted_bytes += EntryBytes(entry);
  AppendEntry(state, std::move(entry));
}

}  // namespace conclave::raft
