#include "jepsen-style-tests/runner/partition.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>

namespace conclave::sim {
namespace {

constexpr size_t kMembersMax = 7;
constexpr uint64_t kSeeds = 3000;
constexpr const char* kOneWay = " one way";

using Link = std::pair<size_t, size_t>;

bool IsOneWay(const PartitionShape& partition) { return partition.name.ends_with(kOneWay); }

std::string ShapeOf(const PartitionShape& partition) {
  return partition.name.substr(0, partition.name.find(kOneWay));
}

// The pairs of members that a shape parts.
size_t PairsParted(const std::string& shape, size_t members) {
  const size_t pairs = members * (members - 1) / 2;
  const size_t half = members / 2;
  if (shape == "isolate") return members - 1;
  if (shape == "halves") return half * (members - half);
  if (shape == "bridge") return half * (members - 1 - half);
  if (shape == "ring") return pairs - members;
  if (shape == "chain" || shape == "star") return pairs - (members - 1);
  ADD_FAILURE() << "no such shape: " << shape;
  return 0;
}

template <typename Look>
void ForMany(Look look) {
  for (size_t members = 2; members <= kMembersMax; ++members) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      Random random(seed);
      look(members, DrawPartition(members, random));
      if (::testing::Test::HasFailure()) {
        FAIL() << "members " << members << ", seed " << seed;
      }
    }
  }
}

TEST(PartitionTest, EachCutsSomethingOnceAndNobodyFromItself) {
  ForMany([](size_t members, const PartitionShape& partition) {
    EXPECT_FALSE(partition.cuts.empty()) << partition.name;
    std::set<Link> cuts;
    for (const auto& [from, to] : partition.cuts) {
      EXPECT_LT(from, members);
      EXPECT_LT(to, members);
      EXPECT_NE(from, to);
      EXPECT_TRUE(cuts.emplace(from, to).second) << partition.name << " cuts a link twice";
    }
  });
}

TEST(PartitionTest, TwoWaysAreSymmetricAndOneWayIsNot) {
  ForMany([](size_t /*members*/, const PartitionShape& partition) {
    const std::set<Link> cuts(partition.cuts.begin(), partition.cuts.end());
    for (const auto& [from, to] : cuts) {
      EXPECT_EQ(cuts.contains({to, from}), !IsOneWay(partition)) << partition.name;
    }
  });
}

TEST(PartitionTest, AShapePartsTheMembersItSays) {
  ForMany([](size_t members, const PartitionShape& partition) {
    std::set<Link> parted;
    for (const auto& [from, to] : partition.cuts) parted.insert(std::minmax(from, to));
    EXPECT_EQ(parted.size(), PairsParted(ShapeOf(partition), members)) << partition.name;
  });
}

TEST(PartitionTest, IsolationPartsOneFromAllAndAStarLeavesOneWithAll) {
  ForMany([](size_t members, const PartitionShape& partition) {
    std::map<size_t, std::set<size_t>> parted;
    for (const auto& [from, to] : partition.cuts) {
      parted[from].insert(to);
      parted[to].insert(from);
    }
    const std::string shape = ShapeOf(partition);
    size_t alone = 0;
    for (const auto& [member, from] : parted) alone += from.size() == members - 1 ? 1 : 0;
    if (shape == "isolate") {
      EXPECT_EQ(alone, members == 2 ? 2u : 1u);
    }
    if (shape == "star") {
      EXPECT_EQ(parted.size(), members - 1);
    }
    if (shape == "ring") {
      for (const auto& [member, from] : parted) EXPECT_EQ(from.size(), members - 3);
    }
  });
}

TEST(PartitionTest, EveryShapeComesWhereItCutsSomething) {
  std::map<size_t, std::set<std::string>> names;
  ForMany([&](size_t members, const PartitionShape& partition) {
    names[members].insert(partition.name);
  });
  std::set<std::string> expected;
  const auto expect = [&](const std::string& shape) {
    expected.insert(shape);
    expected.insert(shape + kOneWay);
  };
  for (const char* shape : {"isolate", "halves"}) expect(shape);
  EXPECT_EQ(names[2], expected);
  for (const char* shape : {"bridge", "chain", "star"}) expect(shape);
  EXPECT_EQ(names[3], expected);
  expect("ring");
  for (size_t members = 4; members <= kMembersMax; ++members) EXPECT_EQ(names[members], expected);
}

TEST(PartitionTest, AnyMemberMayBeTheOneAlone) {
  std::set<size_t> alone;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random(seed);
    const PartitionShape partition = DrawPartition(5, random);
    if (partition.name != "isolate") continue;
    std::map<size_t, size_t> cuts;
    for (const auto& [from, to] : partition.cuts) {
      if (++cuts[from] == 4) alone.insert(from);
    }
  }
  EXPECT_EQ(alone, (std::set<size_t>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace conclave::sim
