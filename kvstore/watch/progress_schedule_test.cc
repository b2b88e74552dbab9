// When the ticks of each stream fall.
#include "kvstore/watch/progress_schedule.h"

#include <optional>
#include <set>

#include "gtest/gtest.h"

namespace conclave::kv {
namespace {

constexpr Duration kInterval = Seconds(100);
constexpr Instant kStart = Instant(Seconds(50));

TEST(ProgressSchedule, WaitsForAClockThenTicksEveryInterval) {
  ProgressSchedule schedule(kInterval, 1);
  EXPECT_EQ(schedule.Next(), kNever);
  schedule.Add(7);
  EXPECT_EQ(schedule.Next(), Instant::min());
  EXPECT_EQ(schedule.TakeDue(kNever), std::nullopt) << "its interval has not begun";

  schedule.StartClocks(kStart);
  const Instant first = schedule.Next();
  EXPECT_GE(first, kStart + kInterval);
  EXPECT_LE(first, kStart + kInterval + kInterval / 10);
  EXPECT_EQ(schedule.TakeDue(first - Duration(1)), std::nullopt);
  EXPECT_EQ(schedule.TakeDue(first), 7u);
  EXPECT_EQ(schedule.TakeDue(first), std::nullopt);
  EXPECT_EQ(schedule.Next() - first, first - kStart) << "the stream keeps its interval";
}

TEST(ProgressSchedule, AMissedTickIsNotMadeUpFor) {
  ProgressSchedule schedule(kInterval, 1);
  schedule.Add(7);
  schedule.StartClocks(kStart);
  const Instant late = kStart + 5 * kInterval;
  EXPECT_EQ(schedule.TakeDue(late), 7u);
  EXPECT_GE(schedule.Next(), late + kInterval);
}

TEST(ProgressSchedule, AddAgainChangesNothing) {
  ProgressSchedule schedule(kInterval, 1);
  schedule.Add(7);
  schedule.StartClocks(kStart);
  const Instant first = schedule.Next();
  schedule.Add(7);
  EXPECT_EQ(schedule.Next(), first);
}

TEST(ProgressSchedule, RemoveEndsTheTicksInEveryState) {
  ProgressSchedule schedule(kInterval, 1);
  schedule.Add(1);
  schedule.Remove(1);
  EXPECT_EQ(schedule.Next(), kNever);
  schedule.Add(1);
  schedule.StartClocks(kStart);
  schedule.Remove(1);
  schedule.Remove(1);
  EXPECT_EQ(schedule.Next(), kNever);
}

TEST(ProgressSchedule, StreamsAreSpreadOverATenthOfTheInterval) {
  ProgressSchedule schedule(kInterval, 1);
  for (uint64_t stream = 0; stream < 100; ++stream) schedule.Add(stream);
  schedule.StartClocks(kStart);
  std::set<Instant> ticks;
  for (int i = 0; i < 100; ++i) {
    const Instant next = schedule.Next();
    ASSERT_LE(next, kStart + kInterval + kInterval / 10);
    ticks.insert(next);
    ASSERT_TRUE(schedule.TakeDue(next));
  }
  EXPECT_GT(ticks.size(), 90u);
  EXPECT_LT(*ticks.begin(), kStart + kInterval + kInterval / 50);
  EXPECT_GT(*ticks.rbegin(), kStart + kInterval + kInterval / 12);
}

TEST(ProgressSchedule, TheIntervalIsAtLeast100Milliseconds) {
  ProgressSchedule schedule(Duration(0), 1);
  schedule.Add(1);
  schedule.StartClocks(kStart);
  EXPECT_GE(schedule.Next(), kStart + Milliseconds(100));
}

}  // namespace
}  // namespace conclave::kv
