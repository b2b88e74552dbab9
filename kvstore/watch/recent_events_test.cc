// The ring of recent revisions: what it holds, and that its bound holds.
#include "kvstore/watch/recent_events.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace conclave::kv {
namespace {

SharedRevisionEvents RevisionWith(int64_t revision, size_t value_size) {
  auto events = std::make_shared<RevisionEvents>();
  events->revision = revision;
  events->events.push_back({.key = "key",
                            .record = {.mod = {revision, 0}, .value = std::string(value_size, 'v')},
                            .previous = {}});
  return events;
}

TEST(RecentEvents, HoldsTheNewestRevisionsWithinTheBound) {
  const size_t one = MemoryBytes(*RevisionWith(1, 100));
  RecentEvents recent(3 * one);
  for (int64_t revision = 5; revision <= 10; ++revision) {
    recent.Add(RevisionWith(revision, 100));
    EXPECT_LE(recent.bytes(), 3 * one);
  }
  EXPECT_FALSE(recent.Holds(7));
  for (int64_t revision = 8; revision <= 10; ++revision) {
    ASSERT_TRUE(recent.Holds(revision));
    EXPECT_EQ(recent.At(revision).revision, revision);
  }
  EXPECT_FALSE(recent.Holds(11));
}

TEST(RecentEvents, ARevisionLargerThanTheRingLeavesItEmpty) {
  RecentEvents recent(MemoryBytes(*RevisionWith(1, 100)));
  recent.Add(RevisionWith(5, 100));
  recent.Add(RevisionWith(6, 101));
  EXPECT_FALSE(recent.Holds(5));
  EXPECT_FALSE(recent.Holds(6));
  EXPECT_EQ(recent.bytes(), 0u);
  recent.Add(RevisionWith(7, 100));
  EXPECT_TRUE(recent.Holds(7));
}

TEST(RecentEvents, ClearForgetsTheOrderToo) {
  RecentEvents recent(1 << 20);
  recent.Add(RevisionWith(5, 1));
  recent.Clear();
  EXPECT_FALSE(recent.Holds(5));
  EXPECT_EQ(recent.bytes(), 0u);
  recent.Add(RevisionWith(50, 1));
  EXPECT_TRUE(recent.Holds(50));
}

TEST(RecentEventsDeathTest, AGapIsABug) {
  RecentEvents recent(1 << 20);
  recent.Add(RevisionWith(5, 1));
  EXPECT_DEATH(recent.Add(RevisionWith(7, 1)), "without a gap");
  EXPECT_DEATH(recent.Add(RevisionWith(5, 1)), "without a gap");
}

}  // namespace
}  // namespace conclave::kv
