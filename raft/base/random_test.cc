#include "raft/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace conclave {
namespace {

// The reference outputs of SplitMix64 for seed 1234567: a seed means the same run on every machine,
// for ever.
TEST(RandomTest, ASeedMeansTheSameNumbersEverywhere) {
  Random random(1234567);
  for (uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                            4593380528125082431u, 16408922859458223821u}) {
    EXPECT_EQ(random.Next(), expected);
  }
}

TEST(RandomTest, BoundsAreKeptAndReached) {
  Random random(1);
  std::set<uint64_t> below, between;
  for (int i = 0; i < 1000; ++i) {
    below.insert(random.Below(3));
    between.insert(random.Between(5, 7));
  }
  EXPECT_EQ(below, (std::set<uint64_t>{0, 1, 2}));
  EXPECT_EQ(between, (std::set<uint64_t>{5, 6, 7}));
}

TEST(RandomTest, OneInIsAboutThatOften) {
  Random random(2);
  int hits = 0;
  for (int i = 0; i < 10000; ++i) hits += random.OneIn(10);
  EXPECT_GT(hits, 900);
  EXPECT_LT(hits, 1100);
}

TEST(RandomTest, StreamsOfTheirOwnDoNotShiftEachOther) {
  const Random random(3);
  Random network = random.Stream("network");
  Random disk = random.Stream("disk");
  const uint64_t first = Random(random).Stream("network").Next();
  disk.Next();
  EXPECT_EQ(network.Next(), first);
  EXPECT_NE(disk.Next(), network.Next());
}

}  // namespace
}  // namespace conclave
