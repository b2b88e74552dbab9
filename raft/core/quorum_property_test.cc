// Majority arithmetic against its definition, for every configuration of up to five and five
// voters: all ways in which the two sets of a joint configuration can overlap, and all ways in
// which the voters can have answered.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "raft/core/quorum.h"

namespace conclave::raft {
namespace {

constexpr size_t kVotersMax = 5;

// A set of members 1, 2, ... as bits 0, 1, ...
using Set = uint32_t;

bool In(Set set, NodeId node) { return (set >> (node.value() - 1) & 1) != 0; }

Set Of(const std::vector<NodeId>& nodes) {
  Set set = 0;
  for (NodeId node : nodes) set |= Set{1} << (node.value() - 1);
  return set;
}

// The definition: more than half.
bool IsMajority(Set of, Set agreeing) {
  return 2 * __builtin_popcount(of & agreeing) > __builtin_popcount(of);
}

bool IsQuorum(const Configuration& configuration, Set agreeing) {
  return IsMajority(Of(configuration.voters), agreeing) &&
         (!configuration.joint() || IsMajority(Of(configuration.outgoing), agreeing));
}

std::vector<NodeId> Range(uint64_t from, size_t count) {
  std::vector<NodeId> nodes;
  for (uint64_t id = from; id < from + count; ++id) nodes.push_back(NodeId(id));
  return nodes;
}

// Up to renaming every configuration there is: `shared` members are in both sets.
std::vector<Configuration> AllConfigurations() {
  std::vector<Configuration> all;
  for (size_t voters = 1; voters <= kVotersMax; ++voters) {
    all.push_back({.voters = Range(1, voters), .outgoing = {}, .learners = {}});
    for (size_t outgoing = 1; outgoing <= kVotersMax; ++outgoing) {
      for (size_t shared = 0; shared <= std::min(voters, outgoing); ++shared) {
        all.push_back({.voters = Range(1, voters),
                       .outgoing = Range(1 + voters - shared, outgoing),
                       .learners = {}});
      }
    }
  }
  return all;
}

size_t Everybody(const Configuration& configuration) { return configuration.Members().size(); }

// Calls `visit` with every assignment of a number below `base` to each of `count` members.
template <typename Visit>
void ForEveryAssignment(size_t count, uint32_t base, Visit visit) {
  std::array<uint32_t, 2 * kVotersMax> values{};
  for (;;) {
    visit(values);
    size_t digit = 0;
    while (digit < count && ++values[digit] == base) values[digit++] = 0;
    if (digit == count) return;
  }
}

TEST(QuorumPropertyTest, MajorityValueIsTheGreatestThatAQuorumHasReached) {
  uint64_t cases = 0;
  for (const Configuration& configuration : AllConfigurations()) {
    ForEveryAssignment(Everybody(configuration), 3, [&](const auto& values) {
      uint64_t expected = 0;
      for (uint64_t level = 1; level < 3; ++level) {
        Set reached = 0;
        for (size_t i = 0; i < values.size(); ++i) reached |= Set{values[i] >= level} << i;
        if (IsQuorum(configuration, reached)) expected = level;
      }
      const uint64_t found = MajorityValue(
          configuration, [&](NodeId node) -> uint64_t { return values[node.value() - 1]; });
      ASSERT_EQ(found, expected);
      ++cases;
    });
  }
  EXPECT_GT(cases, 150'000u);
}

TEST(QuorumPropertyTest, AVoteIsDecidedExactlyWhenNoAnswerCanChangeIt) {
  enum : uint32_t { kGranted, kRefused, kSilent, kAnswers };
  for (const Configuration& configuration : AllConfigurations()) {
    ForEveryAssignment(Everybody(configuration), kAnswers, [&](const auto& answers) {
      Set granted = 0;
      Set silent = 0;
      for (size_t i = 0; i < answers.size(); ++i) {
        granted |= Set{answers[i] == kGranted} << i;
        silent |= Set{answers[i] == kSilent} << i;
      }
      const bool won = IsQuorum(configuration, granted);
      const bool winnable = IsQuorum(configuration, granted | silent);
      const VoteResult expected = won        ? VoteResult::kWon
                                  : winnable ? VoteResult::kPending
                                             : VoteResult::kLost;
      const VoteResult found = TallyVotes(configuration, [&](NodeId node) -> std::optional<bool> {
        if (In(silent, node)) return std::nullopt;
        return In(granted, node);
      });
      ASSERT_EQ(found, expected);
    });
  }
}

// Why two leaders of one term, or two commits in one place, are impossible: two quorums of a
// configuration always have a member in common.
TEST(QuorumPropertyTest, TwoQuorumsOverlap) {
  for (const Configuration& configuration : AllConfigurations()) {
    const Set everybody = (Set{1} << Everybody(configuration)) - 1;
    for (Set one = 0; one <= everybody; ++one) {
      if (!IsQuorum(configuration, one)) continue;
      // The members that are not in it are no quorum.
      ASSERT_FALSE(IsQuorum(configuration, everybody & ~one));
    }
  }
}

// And why a joint configuration leads safely from one set of voters to another (thesis 4.3): its
// quorums overlap with those of both.
TEST(QuorumPropertyTest, JointQuorumsOverlapWithThoseOfEitherSide) {
  for (const Configuration& joint : AllConfigurations()) {
    if (!joint.joint()) continue;
    const Set everybody = (Set{1} << Everybody(joint)) - 1;
    for (Set agreeing = 0; agreeing <= everybody; ++agreeing) {
      if (!IsQuorum(joint, agreeing)) continue;
      ASSERT_FALSE(IsMajority(Of(joint.voters), ~agreeing));
      ASSERT_FALSE(IsMajority(Of(joint.outgoing), ~agreeing));
    }
  }
}

}  // namespace
}  // namespace conclave::raft
