#include "raft/core/quorum.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "raft/base/random.h"

namespace conclave::raft {
namespace {

std::vector<NodeId> RandomVoters(Random& random) {
  std::vector<NodeId> voters;
  while (voters.empty()) {
    for (uint64_t id = 1; id <= 7; ++id) {
      if (random.OneIn(2)) voters.push_back(NodeId(id));
    }
  }
  return voters;
}

Configuration RandomConfiguration(Random& random) {
  Configuration configuration{.voters = RandomVoters(random), .outgoing = {}, .learners = {}};
  if (random.OneIn(2)) configuration.outgoing = RandomVoters(random);
  return configuration;
}

// The definition, word for word: more than half of the voters.
bool MoreThanHalf(const std::vector<NodeId>& voters, const std::map<NodeId, bool>& agrees) {
  size_t count = 0;
  for (NodeId voter : voters) count += agrees.at(voter) ? 1 : 0;
  return 2 * count > voters.size();
}

bool IsQuorum(const Configuration& configuration, const std::map<NodeId, bool>& agrees) {
  return MoreThanHalf(configuration.voters, agrees) &&
         (!configuration.joint() || MoreThanHalf(configuration.outgoing, agrees));
}

TEST(QuorumTest, MajorityValueIsTheGreatestThatAQuorumReached) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const Configuration configuration = RandomConfiguration(random);
    std::map<NodeId, uint64_t> values;
    for (uint64_t id = 1; id <= 7; ++id) values[NodeId(id)] = random.Below(6);
    uint64_t expected = 0;
    for (uint64_t value = 1; value <= 6; ++value) {
      std::map<NodeId, bool> reached;
      for (const auto& [id, own] : values) reached[id] = own >= value;
      if (IsQuorum(configuration, reached)) expected = value;
    }
    EXPECT_EQ(MajorityValue(configuration, [&](NodeId id) { return values.at(id); }), expected);
  }
}

TEST(QuorumTest, AVoteIsDecidedWhenTheMissingAnswersCannotChangeIt) {
  Random random(2);
  for (int i = 0; i < 2000; ++i) {
    const Configuration configuration = RandomConfiguration(random);
    std::map<NodeId, bool> if_all_grant, if_all_refuse;
    std::map<NodeId, std::optional<bool>> votes;
    for (uint64_t id = 1; id <= 7; ++id) {
      std::optional<bool>& vote = votes[NodeId(id)];
      if (!random.OneIn(3)) vote = random.OneIn(2);
      if_all_grant[NodeId(id)] = vote.value_or(true);
      if_all_refuse[NodeId(id)] = vote.value_or(false);
    }
    VoteResult expected = VoteResult::kPending;
    if (IsQuorum(configuration, if_all_refuse)) expected = VoteResult::kWon;
    if (!IsQuorum(configuration, if_all_grant)) expected = VoteResult::kLost;
    EXPECT_EQ(TallyVotes(configuration, [&](NodeId id) { return votes.at(id); }), expected);
  }
}

TEST(QuorumTest, LearnersCountForNothing) {
  const Configuration configuration{.voters = {NodeId(1), NodeId(2), NodeId(3)},
                                    .outgoing = {},
                                    .learners = {NodeId(4), NodeId(5)}};
  const auto value_of = [](NodeId id) -> uint64_t {
    return id == NodeId(1) || id > NodeId(3) ? 9 : 2;
  };
  EXPECT_EQ(MajorityValue(configuration, value_of), 2u);
}

}  // namespace
}  // namespace conclave::raft
