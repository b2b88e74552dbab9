#include "jepsen-style-tests/sim/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr Instant At(Duration since_start) { return Instant{since_start}; }

uint64_t HashOf(const std::vector<std::string>& mixed) {
  Trace trace;
  for (const std::string& bytes : mixed) trace.Mix(bytes);
  return trace.hash();
}

TEST(TraceTest, TheSameGivesTheSameHash) {
  EXPECT_EQ(HashOf({}), Trace().hash());
  EXPECT_EQ(HashOf({"what", "happened"}), HashOf({"what", "happened"}));
}

TEST(TraceTest, EveryByteAndItsPlaceCounts) {
  // Lengths around the eight bytes that are mixed at a time.
  std::set<uint64_t> hashes;
  size_t texts = 0;
  for (size_t length = 0; length <= 17; ++length) {
    for (size_t place = 0; place <= length; ++place) {
      std::string text(length, '\0');
      if (place < length) text[place] = 'x';
      hashes.insert(HashOf({text}));
      ++texts;
    }
  }
  EXPECT_THAT(hashes, SizeIs(texts));
}

TEST(TraceTest, OrderAndBordersCount) {
  EXPECT_NE(HashOf({"a", "b"}), HashOf({"b", "a"}));
  EXPECT_NE(HashOf({"ab", "c"}), HashOf({"a", "bc"}));
  EXPECT_NE(HashOf({"ab", ""}), HashOf({"ab"}));
  Trace one;
  one.Mix(uint64_t{1});
  one.Mix(uint64_t{2});
  Trace other;
  other.Mix(uint64_t{2});
  other.Mix(uint64_t{1});
  EXPECT_NE(one.hash(), other.hash());
}

TEST(TraceTest, ALineIsPrintedKeptAndHashedWithItsTime) {
  std::vector<std::string> printed;
  Trace trace([&](std::string_view line) { printed.emplace_back(line); });
  trace.Note(At(Milliseconds(1500)), "m1 starts");
  EXPECT_THAT(printed, ElementsAre("   1.500000 m1 starts"));
  EXPECT_THAT(trace.last_lines(), ElementsAre("   1.500000 m1 starts"));

  Trace same;
  same.Note(At(Milliseconds(1500)), "m1 starts");
  EXPECT_EQ(same.hash(), trace.hash()) << "printing changes nothing";
  // A difference too small to be printed.
  Trace later;
  later.Note(At(Milliseconds(1500) + Duration(1)), "m1 starts");
  EXPECT_EQ(later.last_lines(), trace.last_lines());
  EXPECT_NE(later.hash(), trace.hash());
}

TEST(TraceTest, OnlyTheLastLinesAreKept) {
  constexpr size_t kKept = 60;
  Trace trace;
  for (size_t i = 0; i < kKept + 5; ++i) trace.Note(At(Seconds(1)), std::to_string(i));
  EXPECT_THAT(trace.last_lines(), SizeIs(kKept));
  EXPECT_EQ(trace.last_lines().front(), "   1.000000 5");
  EXPECT_EQ(trace.last_lines().back(), "   1.000000 64");
}

}  // namespace
}  // namespace conclave::sim
