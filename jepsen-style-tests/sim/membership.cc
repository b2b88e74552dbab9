// Who is in the simulated cluster, by what its members have applied and written: machines that come
// and go, and what may be taken from the cluster so that it can still go on.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "jepsen-style-tests/sim/world.h"
#include "raft/base/check.h"
#include "raft/core/cluster_checker.h"
#include "server/stages/node.h"

namespace conclave::sim {

namespace {

constexpr uint64_t kClusterId = 0xc0c1;
// How long a change may still come about after its client has given up: while a member waits for a
// leader, and another for the change before it, or a link that was cut holds it up.
constexpr Duration kLateChangeMax = Seconds(40);
// Between a member's removal and its end, as in server/server.cc.
constexpr Duration kRemovedLinger = Seconds(1);

}  // namespace

std::unique_ptr<Member> World::NewMachine(raft::NodeId id, size_t position) {
  MemberOptions member = options_.member;
  member.cluster_id = kClusterId;
  member.id = id;
  member.initial = initial_;
  const std::vector<uint32_t>& priorities = options_.leader_priorities;
  member.node.core.leader_priority = position < priorities.size() ? priorities[position] : 0;
  const std::string stream = replaced_.empty()
                                 ? fmt::format("member {}", position + 1)
                                 : fmt::format("member {}.{}", position + 1, replaced_.size());
  return std::make_unique<Member>(this, member, &atlas_, position, random_.Stream(stream));
}

Member* World::FindMember(raft::NodeId id) {
  const auto found = positions_.find(id);
  return found == positions_.end() ? nullptr : members_[found->second].get();
}

std::vector<size_t> World::Members() {
  std::vector<size_t> positions;
  for (const auto& member : members_) {
    if (configuration_.Contains(member->id()) && !member->gone()) {
      positions.push_back(member->position());
    }
  }
  return positions;
}

bool World::Serves(size_t position) {
  const Member& member = *members_[position];
  const auto& voters = configuration_.voters;
  return !member.gone() && std::find(voters.begin(), voters.end(), member.id()) != voters.end();
}

std::vector<size_t> World::Serving() {
  std::vector<size_t> positions = Members();
  std::erase_if(positions, [this](size_t position) { return !Serves(position); });
  return positions;
}

size_t World::AddMachine(raft::NodeId id) {
  CHECK(FindMember(id) == nullptr);
  const size_t position = members_.size();
  positions_[id] = position;
  members_.push_back(NewMachine(id, position));
  calls_.emplace_back();
  Note("{} joins as {:x}", members_.back()->name(), id.value());
  return position;
}

void World::Retire(size_t position) {
  Member& member = *members_[position];
  if (member.running()) member.End(EndOfProcess::kCrash);
  member.Retire();
  Note("{} has lost its disk", member.name());
}

void World::Replace(size_t position) {
  Retire(position);
  const raft::NodeId id = members_[position]->id();
  unread_.erase(position);
  replaced_.push_back(std::move(members_[position]));
  members_[position] = NewMachine(id, position);
  invariants_.OnWiped(id);
  StartMember(position);
}

void World::OnRemoved(Member& member) {
  if (!told_.emplace(member.position(), member.started_ns()).second) return;
  Note("{} knows that it was removed", member.name());
  scheduler_.After(kRemovedLinger, [&member, started_ns = member.started_ns()] {
    if (member.running() && member.started_ns() == started_ns) member.End(EndOfProcess::kKill);
    if (!member.running()) member.Retire();
  });
}

// As servers do: whoever was removed is not let in again, and is told why.
void World::OnMembersChanged(Member& member) {
  for (const auto& other : members_) {
    if (other->gone() || !server::HasLeft(member.store(), other->id())) continue;
    scheduler_.After(Between(Milliseconds(1), options_.reconnect_max),
                     [this, &member, removed = other.get()] { TellRemoved(member, *removed); });
  }
}

void World::TellRemoved(Member& teller, Member& removed) {
  if (!teller.running() || removed.gone() || &teller == &removed) return;
  const bool cut =
      network_.IsCut(teller.end(), removed.end()) || network_.IsCut(removed.end(), teller.end());
  if (!cut && removed.running()) return OnRemoved(removed);
  scheduler_.After(Seconds(1), [this, &teller, &removed] { TellRemoved(teller, removed); });
}

void World::ChangeEnds(bool outcome_known) {
  CHECK(changes_open_ > 0);
  --changes_open_;
  if (!outcome_known) changes_until_ = scheduler_.Now() + kLateChangeMax;
}

std::vector<raft::Configuration> World::ConfigurationsAhead() {
  std::vector<raft::Configuration> ahead = invariants_.ConfigurationsAhead();
  if (ahead.empty()) ahead.push_back(initial_);
  return ahead;
}

bool World::AllWhole(std::optional<raft::NodeId> except) {
  for (const raft::Configuration& configuration : ConfigurationsAhead()) {
    for (const raft::NodeId id : configuration.Members()) {
      if (id == except) continue;
      const Member* const member = FindMember(id);
      if (member == nullptr || !IsWhole(member->position())) return false;
    }
  }
  return true;
}

bool World::MayLose(size_t position) {
  const raft::NodeId id = members_[position]->id();
  if (ChangesUnderWay() || !AllWhole(id)) return false;
  const std::vector<raft::Configuration> ahead = ConfigurationsAhead();
  if (ahead.size() > 1 || ahead[0].joint()) return false;
  // Who is about to get a vote, too: of two voters neither may be missing.
  return (!ahead[0].IsVoter(id) || ahead[0].voters.size() >= 3) && !VotesArePending();
}

bool World::VotesArePending() {
  if (!ever_changed_) return false;
  Member* newest = nullptr;
  for (const auto& member : members_) {
    if (!member->running() || member->silent()) continue;
    const bool newer =
        newest == nullptr || member->store().applied_index() > newest->store().applied_index();
    if (newer) newest = member.get();
  }
  if (newest == nullptr) return true;  // who knows
  const std::vector<etcdserverpb::Member> members = newest->store().Members();
  return std::any_of(members.begin(), members.end(), [this](const etcdserverpb::Member& member) {
    const bool wanted = !member.islearner() || options_.member.membership.promote_learners;
    return wanted && !configuration_.IsVoter(raft::NodeId(member.id()));
  });
}

std::set<size_t> World::DrawCore(Random& random) {
  const std::vector<raft::Configuration> ahead = ConfigurationsAhead();
  std::vector<size_t> able;
  for (size_t position = 0; position < members_.size(); ++position) {
    const auto counts = [&](const raft::Configuration& configuration) {
      return configuration.IsVoter(members_[position]->id());
    };
    if (IsWhole(position) && std::any_of(ahead.begin(), ahead.end(), counts)) {
      able.push_back(position);
    }
  }
  // What is about to change who decides must find everybody.
  const bool everybody = ChangesUnderWay() || VotesArePending();
  if (everybody) {
    for (size_t position = 0; position < members_.size(); ++position) {
      if (!members_[position]->gone()) able.push_back(position);
    }
    return {able.begin(), able.end()};
  }
  for (size_t i = able.size(); i > 1; --i) std::swap(able[i - 1], able[random.Below(i)]);
  std::set<size_t> core;
  std::set<raft::NodeId> ids;
  const auto runs = [&ids](raft::NodeId id) { return ids.contains(id); };
  const auto enough = [&] {
    return std::all_of(ahead.begin(), ahead.end(),
                       [&](const raft::Configuration& c) { return raft::IsQuorum(c, runs); });
  };
  auto next = able.begin();
  const auto take_next = [&] {
    core.insert(*next);
    ids.insert(members_[*next++]->id());
  };
  while (next != able.end() && !enough()) take_next();
  const auto left = static_cast<uint64_t>(able.end() - next);
  for (uint64_t more = random.Below(left + 1); more > 0; --more) take_next();
  return core;
}

}  // namespace conclave::sim
