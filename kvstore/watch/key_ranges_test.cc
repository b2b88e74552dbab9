// The interval map against a plain list of ranges.
#include "kvstore/watch/key_ranges.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

using Range = std::pair<std::string, std::string>;

bool Holds(const Range& range, const std::string& key) {
  return range.first <= key && (range.second.empty() || key < range.second);
}

// Short keys over a small alphabet, so that ranges nest, touch and repeat.
std::string RandomKey(Random& random) {
  std::string key;
  for (uint64_t n = random.Between(1, 3); n > 0; --n) {
    key.push_back(
        "\x01"
        "am\x7f\xff"[random.Below(5)]);
  }
  return key;
}

std::vector<int> Found(KeyRanges<int>& ranges, const std::string& key) {
  std::vector<int> found;
  ranges.ForEachHolding(key, [&found](int value) { found.push_back(value); });
  return found;
}

TEST(KeyRanges, FindsWhatAListFinds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    KeyRanges<int> ranges(random.Next());
    std::map<Range, int> expected;  // ordered as ForEachHolding promises
    for (int step = 0; step < Scaled(2000); ++step) {
      const Range range{RandomKey(random), random.OneIn(5) ? "" : RandomKey(random)};
      if (random.OneIn(3) && !expected.empty()) {
        auto victim = expected.lower_bound(range);
        if (victim == expected.end()) victim = expected.begin();
        ranges.Erase(victim->first.first, victim->first.second);
        expected.erase(victim);
      } else {
        ranges.FindOrInsert(range.first, range.second) = step;
        expected[range] = step;
      }
      ASSERT_EQ(ranges.size(), expected.size());

      const std::string key = RandomKey(random);
      std::vector<int> holding;
      for (const auto& [candidate, value] : expected) {
        if (Holds(candidate, key)) holding.push_back(value);
      }
      ASSERT_EQ(Found(ranges, key), holding) << "seed " << seed << " step " << step;
    }
  }
}

TEST(KeyRanges, FindKnowsOnlyTheExactRange) {
  KeyRanges<int> ranges(1);
  ranges.FindOrInsert("a", "c") = 7;
  ASSERT_NE(ranges.Find("a", "c"), nullptr);
  EXPECT_EQ(*ranges.Find("a", "c"), 7);
  EXPECT_EQ(&ranges.FindOrInsert("a", "c"), ranges.Find("a", "c"));
  EXPECT_EQ(ranges.Find("a", ""), nullptr);
  EXPECT_EQ(ranges.Find("a", "b"), nullptr);
  EXPECT_EQ(ranges.size(), 1u);
}

TEST(KeyRanges, AnEmptyEndReachesEverything) {
  KeyRanges<int> ranges(1);
  ranges.FindOrInsert("m", "") = 1;
  ranges.FindOrInsert("a", "b") = 2;
  ranges.FindOrInsert("z", "zz") = 3;
  EXPECT_EQ(Found(ranges, "\xff\xff"), std::vector<int>{1});
  EXPECT_EQ(Found(ranges, "a"), std::vector<int>{2});
  EXPECT_EQ(Found(ranges, "l"), std::vector<int>{});
}

TEST(KeyRanges, SortedInsertionOfManyNestedRangesStaysShallow) {
  // Sorted insertion is the worst case of an unbalanced tree: the recursion would overflow or the
  // test time out.
  KeyRanges<int> ranges(1);
  const auto name = [](int i) { return std::to_string(1000000 + i); };
  constexpr int kRanges = 100000;
  for (int i = 0; i < kRanges; ++i) ranges.FindOrInsert(name(i), name(2 * kRanges - i)) = i;
  EXPECT_EQ(Found(ranges, name(2)), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(Found(ranges, name(kRanges)).size(), static_cast<size_t>(kRanges));
  for (int i = 0; i < kRanges; ++i) ranges.Erase(name(i), name(2 * kRanges - i));
  EXPECT_EQ(ranges.size(), 0u);
  EXPECT_TRUE(Found(ranges, name(2)).empty());
}

}  // namespace
}  // namespace conclave::kv
