#include "server/stages/chain_ring.h"

#include <gtest/gtest.h>

namespace conclave::server {
namespace {

using raft::LogIndex;

uint64_t ChainOf(uint64_t index) { return index * 0x9e3779b97f4a7c15; }

ChainAt At(uint64_t index) { return {LogIndex(index), ChainOf(index)}; }

TEST(ChainRingTest, KnowsWhereItStartsAndNothingBefore) {
  const ChainRing ring(At(7));
  EXPECT_EQ(ring.newest(), At(7));
  EXPECT_EQ(ring.At(LogIndex(7)), ChainOf(7));
  EXPECT_EQ(ring.At(LogIndex(6)), std::nullopt);
  EXPECT_EQ(ring.At(LogIndex(8)), std::nullopt);
}

TEST(ChainRingTest, KnowsTheNewestEntries) {
  ChainRing ring(At(0));
  const uint64_t last = 3 * ChainRing::kEntriesMax + 17;
  for (uint64_t index = 1; index <= last; ++index) {
    ring.Add(At(index));
    ASSERT_EQ(ring.newest(), At(index));
  }
  const uint64_t oldest = last - ChainRing::kEntriesMax + 1;
  EXPECT_EQ(ring.At(LogIndex(oldest - 1)), std::nullopt);
  for (uint64_t index = oldest; index <= last; ++index) {
    ASSERT_EQ(ring.At(LogIndex(index)), ChainOf(index));
  }
  EXPECT_EQ(ring.At(LogIndex(last + 1)), std::nullopt);
}

TEST(ChainRingTest, BeforeItIsFullItKnowsAll) {
  ChainRing ring(At(5));
  for (uint64_t index = 6; index <= 100; ++index) ring.Add(At(index));
  for (uint64_t index = 5; index <= 100; ++index) {
    EXPECT_EQ(ring.At(LogIndex(index)), ChainOf(index));
  }
  EXPECT_EQ(ring.At(LogIndex(4)), std::nullopt);
}

TEST(ChainRingTest, ASnapshotForgetsWhatWas) {
  ChainRing ring(At(0));
  for (uint64_t index = 1; index <= 10; ++index) ring.Add(At(index));
  ring.Reset({LogIndex(9), 1});
  EXPECT_EQ(ring.At(LogIndex(8)), std::nullopt);
  EXPECT_EQ(ring.At(LogIndex(9)), 1u);
  EXPECT_EQ(ring.At(LogIndex(10)), std::nullopt);
}

}  // namespace
}  // namespace conclave::server
