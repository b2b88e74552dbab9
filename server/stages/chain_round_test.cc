#include "server/stages/chain_round.h"

#include <gtest/gtest.h>

namespace conclave::server {
namespace {

using raft::Configuration;
using raft::LogIndex;
using raft::NodeId;
using Ids = std::vector<NodeId>;

constexpr uint64_t kRight = 1;

Ids IdsUpTo(uint64_t last) {
  Ids ids;
  for (uint64_t id = 1; id <= last; ++id) ids.push_back(NodeId(id));
  return ids;
}

ChainRound RoundOf(uint64_t voters) {
  return ChainRound(LogIndex(9), {.voters = IdsUpTo(voters), .outgoing = {}, .learners = {}});
}

TEST(ChainRoundTest, NothingIsRightBeforeAQuorumSaysSo) {
  ChainRound round = RoundOf(3);
  EXPECT_EQ(round.Right(), std::nullopt);
  round.Add(NodeId(1), kRight);
  EXPECT_EQ(round.Right(), std::nullopt);
  EXPECT_TRUE(round.Wrong().empty());
  round.Add(NodeId(3), kRight);
  EXPECT_EQ(round.Right(), kRight);
  EXPECT_EQ(round.Sound(), (Ids{NodeId(1), NodeId(3)}));
  EXPECT_TRUE(round.Wrong().empty());
  EXPECT_FALSE(round.complete());
}

TEST(ChainRoundTest, TheOddOneIsWrongWheneverItSpeaks) {
  for (uint64_t odd = 1; odd <= 3; ++odd) {
    ChainRound round = RoundOf(3);
    for (uint64_t id = 1; id <= 3; ++id) {
      EXPECT_TRUE(round.Wrong().empty() || id == 3);
      round.Add(NodeId(id), id == odd ? 77 : kRight);
    }
    EXPECT_EQ(round.Wrong(), Ids{NodeId(odd)});
    EXPECT_TRUE(round.complete());
    EXPECT_FALSE(round.Disputed());
  }
}

TEST(ChainRoundTest, SeveralMayBeWrong) {
  ChainRound round = RoundOf(5);
  round.Add(NodeId(1), 77);
  round.Add(NodeId(2), kRight);
  round.Add(NodeId(3), 78);
  round.Add(NodeId(4), kRight);
  EXPECT_TRUE(round.Disputed());
  EXPECT_TRUE(round.Wrong().empty());
  round.Add(NodeId(5), kRight);
  EXPECT_EQ(round.Wrong(), (Ids{NodeId(1), NodeId(3)}));
  EXPECT_FALSE(round.Disputed());
}

TEST(ChainRoundTest, OfTwoThatDifferNeitherIsWrong) {
  ChainRound round = RoundOf(2);
  round.Add(NodeId(1), 77);
  EXPECT_FALSE(round.Disputed());
  round.Add(NodeId(2), kRight);
  EXPECT_TRUE(round.Disputed());
  EXPECT_EQ(round.Right(), std::nullopt);
  EXPECT_TRUE(round.Wrong().empty());
  EXPECT_TRUE(round.Sound().empty());
}

TEST(ChainRoundTest, OfThreeThatAllDifferNoneIsWrong) {
  ChainRound round = RoundOf(3);
  for (uint64_t id = 1; id <= 3; ++id) round.Add(NodeId(id), id);
  EXPECT_TRUE(round.Disputed());
  EXPECT_TRUE(round.Wrong().empty());
}

TEST(ChainRoundTest, ALearnerIsComparedAndHasNoSay) {
  ChainRound round(LogIndex(9),
                   {.voters = IdsUpTo(3), .outgoing = {}, .learners = {NodeId(4), NodeId(5)}});
  round.Add(NodeId(4), 77);
  round.Add(NodeId(5), 77);
  round.Add(NodeId(1), 77);
  EXPECT_EQ(round.Right(), std::nullopt);
  EXPECT_FALSE(round.Disputed());
  round.Add(NodeId(2), kRight);
  round.Add(NodeId(3), kRight);
  EXPECT_EQ(round.Wrong(), (Ids{NodeId(1), NodeId(4), NodeId(5)}));
}

TEST(ChainRoundTest, BothSetsOfAJointConfigurationMustAgree) {
  ChainRound round(LogIndex(9), {.voters = {NodeId(1), NodeId(4), NodeId(5)},
                                 .outgoing = {NodeId(1), NodeId(2), NodeId(3)},
                                 .learners = {}});
  round.Add(NodeId(1), kRight);
  round.Add(NodeId(2), kRight);
  EXPECT_EQ(round.Right(), std::nullopt);
  round.Add(NodeId(4), kRight);
  EXPECT_EQ(round.Right(), kRight);
}

TEST(ChainRoundTest, WhoBelongsToNobodyIsNotHeard) {
  ChainRound round = RoundOf(3);
  round.Add(NodeId(8), 77);
  round.Add(NodeId(9), 77);
  EXPECT_FALSE(round.Knows(NodeId(8)));
  round.Add(NodeId(1), kRight);
  round.Add(NodeId(1), 77);  // the first counts
  round.Add(NodeId(2), kRight);
  EXPECT_EQ(round.Right(), kRight);
  EXPECT_TRUE(round.Wrong().empty());
}

TEST(ChainRoundTest, OneAloneIsRight) {
  ChainRound round = RoundOf(1);
  round.Add(NodeId(1), 5);
  EXPECT_EQ(round.Right(), 5u);
  EXPECT_TRUE(round.complete());
}

}  // namespace
}  // namespace conclave::server
