// What a change makes of a configuration, for every configuration of up to four members and every
// change of up to two of them: it does what it says, or is refused, and no step is unsafe.
#include "raft/core/membership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace conclave::raft {
namespace {

constexpr uint64_t kMembersMax = 4;

enum class Part : uint8_t { kNone, kVoter, kLearner };

Part PartOf(const Configuration& configuration, NodeId node) {
  if (configuration.IsLearner(node)) return Part::kLearner;
  const auto& voters = configuration.voters;
  return std::find(voters.begin(), voters.end(), node) != voters.end() ? Part::kVoter : Part::kNone;
}

std::vector<Configuration> AllConfigurations() {
  std::vector<Configuration> all;
  for (uint64_t code = 0; code < 81; ++code) {  // 3 parts for each of 4 members
    Configuration configuration;
    uint64_t rest = code;
    for (uint64_t id = 1; id <= kMembersMax; ++id, rest /= 3) {
      if (rest % 3 == 1) configuration.voters.push_back(NodeId(id));
      if (rest % 3 == 2) configuration.learners.push_back(NodeId(id));
    }
    if (!configuration.voters.empty()) all.push_back(configuration);
  }
  return all;
}

std::vector<MemberChange> AllChanges() {
  std::vector<MemberChange> all;
  for (uint64_t id = 0; id <= kMembersMax + 1; ++id) {
    for (const auto kind :
         {MemberChangeKind::kAddVoter, MemberChangeKind::kAddLearner, MemberChangeKind::kRemove}) {
      all.push_back({kind, NodeId(id)});
    }
  }
  return all;
}

// What `change` is to make of a member that plays this part; nothing if it does not fit.
std::optional<Part> Wanted(Part part, const MemberChange& change) {
  if (change.node == kNoNode) return std::nullopt;
  switch (change.kind) {
    case MemberChangeKind::kAddVoter:
      return part == Part::kVoter ? std::nullopt : std::optional(Part::kVoter);
    case MemberChangeKind::kAddLearner:
      return part == Part::kNone ? std::optional(Part::kLearner) : std::nullopt;
    case MemberChangeKind::kRemove:
      return part == Part::kNone ? std::nullopt : std::optional(Part::kNone);
  }
  return std::nullopt;
}

bool IsMajority(const std::vector<NodeId>& voters, uint64_t agreeing) {
  const auto agrees = [&](NodeId node) { return (agreeing >> node.value() & 1) != 0; };
  const auto count = std::count_if(voters.begin(), voters.end(), agrees);
  return 2 * static_cast<size_t>(count) > voters.size();
}

bool IsQuorum(const Configuration& configuration, uint64_t agreeing) {
  return IsMajority(configuration.voters, agreeing) &&
         (!configuration.joint() || IsMajority(configuration.outgoing, agreeing));
}

// No decision of one side can miss one of the other (thesis 4.1).
void ExpectOverlap(const Configuration& from, const Configuration& to) {
  for (uint64_t agreeing = 0; agreeing < 2u << (kMembersMax + 1); ++agreeing) {
    if (IsQuorum(from, agreeing)) {
      ASSERT_FALSE(IsQuorum(to, ~agreeing));
    }
  }
}

void Check(const Configuration& current, const std::vector<MemberChange>& changes) {
  const std::optional<Configuration> changed = ChangedConfiguration(current, changes);
  bool fits = changes.size() < 2 || changes[0].node != changes[1].node;
  bool a_voter_stays = false;
  for (uint64_t id = 1; id <= kMembersMax + 1; ++id) {
    Part part = PartOf(current, NodeId(id));
    for (const MemberChange& change : changes) {
      if (change.node == NodeId(id)) part = Wanted(part, change).value_or(part);
    }
    a_voter_stays |= part == Part::kVoter;
    if (changed.has_value()) {
      ASSERT_EQ(PartOf(*changed, NodeId(id)), part) << id;
    }
  }
  for (const MemberChange& change : changes) {
    fits &= Wanted(PartOf(current, change.node), change).has_value();
  }
  ASSERT_EQ(changed.has_value(), fits && a_voter_stays);
  if (!changed.has_value()) return;
  ExpectOverlap(current, *changed);
  if (!changed->joint()) return;
  ASSERT_EQ(changed->outgoing, current.voters);
  Configuration left = *changed;
  left.outgoing.clear();
  ExpectOverlap(*changed, left);
}

TEST(MembershipPropertyTest, EverySingleChangeDoesWhatItSaysAndIsSafe) {
  for (const Configuration& current : AllConfigurations()) {
    for (const MemberChange& change : AllChanges()) Check(current, {change});
  }
}

TEST(MembershipPropertyTest, EveryPairOfChangesDoesWhatItSaysAndIsSafe) {
  for (const Configuration& current : AllConfigurations()) {
    for (const MemberChange& one : AllChanges()) {
      for (const MemberChange& other : AllChanges()) Check(current, {one, other});
    }
  }
}

TEST(MembershipPropertyTest, NothingIsNoChange) {
  for (const Configuration& current : AllConfigurations()) {
    EXPECT_EQ(ChangedConfiguration(current, {}), std::nullopt);
  }
}

}  // namespace
}  // namespace conclave::raft
