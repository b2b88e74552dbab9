#include "raft/core/membership.h"

#include <algorithm>
#include <iterator>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/core/follower.h"
#include "raft/core/proposals.h"
#include "raft/core/reads.h"
#include "raft/core/replication.h"
#include "raft/core/transfer.h"

namespace conclave::raft {
namespace {

void Insert(std::vector<NodeId>& nodes, NodeId node) {
  const auto place = std::lower_bound(nodes.begin(), nodes.end(), node);
  CHECK(place == nodes.end() || *place != node);
  nodes.insert(place, node);
}

// False if it was not there.
bool Erase(std::vector<NodeId>& nodes, NodeId node) { return std::erase(nodes, node) > 0; }

// False if it does not fit.
bool Change(Configuration& configuration, const MemberChange& change) {
  CHECK(!configuration.joint());
  if (change.node == kNoNode) return false;
  switch (change.kind) {
    case MemberChangeKind::kAddVoter:
      if (configuration.IsVoter(change.node)) return false;
      Erase(configuration.learners, change.node);
      Insert(configuration.voters, change.node);
      return true;
    case MemberChangeKind::kAddLearner:
      if (configuration.Contains(change.node)) return false;
      Insert(configuration.learners, change.node);
      return true;
    case MemberChangeKind::kRemove:
      return Erase(configuration.voters, change.node) || Erase(configuration.learners, change.node);
  }
  return false;
}

size_t VotersChanged(const Configuration& from, const Configuration& to) {
  std::vector<NodeId> changed;
  std::set_symmetric_difference(from.voters.begin(), from.voters.end(), to.voters.begin(),
                                to.voters.end(), std::back_inserter(changed));
  return changed.size();
}

// Everybody who is a member now is sent to, and nobody else.
void FollowConfiguration(CoreState& state, Leader& leader) {
  CHECK(state.leader() == &leader);
  const Configuration& configuration = state.configuration();
  std::erase_if(leader.peers,
                [&](const auto& peer) { return !configuration.Contains(peer.first); });
  if (leader.transferee != kNoNode && !configuration.IsVoter(leader.transferee)) {
    SIM_REACHED("raft.membership.transferee_removed");
    AbortTransfer(leader);
  }
  const std::vector<NodeId> members = configuration.Members();
  for (NodeId member : members) {
    if (member == state.config.id) continue;
    leader.peers.try_emplace(
        member, Peer{.progress = Progress(state.log.last_index().Next()), .heard = state.now});
  }
  const size_t self = configuration.Contains(state.config.id) ? 1 : 0;
  CHECK(leader.peers.size() + self == members.size());
}

void Append(CoreState& state, Leader& leader, const Configuration& configuration,
            std::string_view context) {
  AppendAsLeader(state, leader, EntryKind::kConfiguration,
                 Bytes::Copy(EncodeConfigurationEntry(configuration, context)));
  CHECK(state.configuration() == configuration);
  CHECK(state.configurations.current_index() == state.log.last_index());
  FollowConfiguration(state, leader);
  // Who is missing may have gone with the old configuration.
  RecountRound(state, leader);
  MaybeCommit(state);
}

// Two changes at once could have majorities that do not overlap. And a leader knows that none is
// under way only once it has committed an entry of its own: until then another leader's change may
// be decided without its knowing (thesis 4.1; the flaw that Ongaro reported in 2015).
bool ChangeUnderWay(const CoreState& state, const Leader& leader) {
  CHECK(leader.term_start > LogIndex(0));
  if (state.commit < leader.term_start && !SEEDED_BUG(kChangeBeforeOwnTermCommit)) return true;
  if (state.configuration().joint()) return true;
  return state.configurations.current_index() > state.commit && !SEEDED_BUG(kSecondChangeEarly);
}

}  // namespace

std::optional<Configuration> ChangedConfiguration(const Configuration& current,
                                                  const std::vector<MemberChange>& changes) {
  CHECK(!current.joint());
  Configuration changed = current;
  std::vector<NodeId> touched;
  for (const MemberChange& change : changes) {
    if (std::find(touched.begin(), touched.end(), change.node) != touched.end())
      return std::nullopt;
    if (!Change(changed, change)) return std::nullopt;
    touched.push_back(change.node);
  }
  if (changes.empty() || changed.voters.empty()) return std::nullopt;
  const bool one_step = VotersChanged(current, changed) <= 1 || SEEDED_BUG(kManyVotersAtOnce);
  if (!one_step) changed.outgoing = current.voters;
  CHECK(changed != current);
  return changed;
}

std::optional<RejectReason> TakeChange(CoreState& state, Leader& leader, const Proposal& proposal) {
  CHECK(!proposal.changes.empty());
  if (ChangeUnderWay(state, leader)) {
    SIM_REACHED("raft.membership.refused_under_way");
    return RejectReason::kChangeUnderWay;
  }
  const std::optional<Configuration> changed =
      ChangedConfiguration(state.configuration(), proposal.changes);
  if (!changed.has_value()) {
    SIM_REACHED("raft.membership.refused_bad_change");
    return RejectReason::kBadChange;
  }
  if (changed->joint()) SIM_REACHED("raft.membership.joint_begun");
  Append(state, leader, *changed, proposal.payload.view());
  CHECK(state.configurations.current_index() >= leader.term_start);
  if (SEEDED_BUG(kJointLeftEarly)) LeaveJoint(state, leader);
  return std::nullopt;
}

void LeaveJoint(CoreState& state, Leader& leader) {
  CHECK(state.leader() == &leader);
  const bool decided =
      state.configurations.current_index() <= state.commit || SEEDED_BUG(kJointLeftEarly);
  if (!state.configuration().joint() || !decided || state.commit < leader.term_start) return;
  SIM_REACHED("raft.membership.joint_left");
  Configuration left = state.configuration();
  left.outgoing.clear();
  Append(state, leader, left, {});
  CHECK(!state.configuration().joint());
}

void RetireIfRemoved(CoreState& state) {
  const Leader* leader = state.leader();
  CHECK(leader != nullptr);
  const bool decided = state.configurations.current_index() <= state.commit;
  if (state.configuration().Contains(state.config.id) || !decided) return;
  SIM_REACHED("raft.membership.leader_removed");
  SendTimeoutNowToBest(state, *leader);
  BecomeFollower(state, state.term, kNoNode);
}

}  // namespace conclave::raft
