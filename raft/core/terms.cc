#include "raft/core/terms.h"

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/follower.h"
#include "raft/core/overloaded.h"
#include "raft/core/proposals.h"
#include "raft/core/reads.h"

namespace conclave::raft {
namespace {

bool AdmitLaterTerm(CoreState& state, const Message& message) {
  CHECK(message.term > state.term);
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    // Who hears a leader is not talked out of it (thesis 4.2.3), unless the leader itself wants the
    // change (3.10).
    if (HearsLeader(state) && request->transfer) SIM_REACHED("raft.vote.asked_by_transfer");
    if (HearsLeader(state) && !request->transfer && !SEEDED_BUG(kNoPreVoteLease)) {
      if (request->pre_vote) SIM_REACHED("raft.prevote.refused_leader_alive");
      if (!request->pre_vote) SIM_REACHED("raft.vote.refused_leader_alive");
      return false;
    }
    if (request->pre_vote) return true;
  }
  if (const auto* response = std::get_if<VoteResponse>(&message.body)) {
    if (response->pre_vote && response->granted) return true;
    SIM_REACHED("raft.term.raised_by_refusal");
  }
  if (state.leader() != nullptr) SIM_REACHED("raft.term.leader_deposed");
  if (state.candidate() != nullptr) SIM_REACHED("raft.term.candidate_overtaken");
  BecomeFollower(state, message.term, kNoNode);
  return true;
}

// Nothing in a message of an earlier term holds any more, but its sender must learn of the later
// one: a leader that was cut off steps down, and a member that has moved on without winning gets
// its leader back by an election.
void AnswerEarlierTerm(CoreState& state, const Message& message) {
  CHECK(message.term < state.term);
  const NodeId from = message.from;
  std::visit(Overloaded{
                 [&](const VoteRequest& request) {
                   state.Send(from, VoteResponse{.pre_vote = request.pre_vote, .granted = false});
                 },
                 [&](const AppendRequest&) {
                   SIM_REACHED("raft.term.late_leader_told");
                   state.Send(from, HeartbeatResponse{});
                 },
                 [&](const Heartbeat&) { state.Send(from, HeartbeatResponse{}); },
                 [&](const ReadIndexRequest& request) {
                   OnReadIndexRequest(state, from, message.term, request);
                 },
                 [&](const ProposeRequest& request) {
                   OnProposeRequest(state, from, message.term, request);
                 },
                 [&](const ProposeResponse& response) { OnProposeResponse(state, response); },
                 [](const auto&) {},
             },
             message.body);
}

}  // namespace

bool AdmitTerm(CoreState& state, const Message& message) {
  CHECK(message.to == state.config.id);
  if (message.term < state.term) {
    AnswerEarlierTerm(state, message);
    return false;
  }
  return message.term == state.term || AdmitLaterTerm(state, message);
}

}  // namespace conclave::raft
