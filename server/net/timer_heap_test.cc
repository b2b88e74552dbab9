#include "server/net/timer_heap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TimerHeapTest : public ::testing::Test {
 protected:
  TimerId Add(int second, const std::string& name) {
    return heap_.Add(At(second), [this, name] { ran_.push_back(name); });
  }
  static Instant At(int second) { return Instant(Seconds(second)); }

  TimerHeap heap_;
  std::vector<std::string> ran_;
};

TEST_F(TimerHeapTest, RunsWhatIsDueInOrderOfTimeThenOfAdding) {
  Add(3, "c");
  Add(1, "a");
  Add(2, "b1");
  Add(2, "b2");
  Add(4, "d");
  EXPECT_EQ(heap_.NextDue(), At(1));
  heap_.RunDue(At(3));
  EXPECT_THAT(ran_, ElementsAre("a", "b1", "b2", "c"));
  EXPECT_EQ(heap_.NextDue(), At(4));
  EXPECT_EQ(heap_.size(), 1u);
}

TEST_F(TimerHeapTest, IsNeverDueWhenEmpty) {
  EXPECT_EQ(heap_.NextDue(), kNever);
  heap_.RunDue(At(1'000'000));
  EXPECT_THAT(ran_, IsEmpty());
}

TEST_F(TimerHeapTest, CancelledTimersDoNotRunAndDoNotCount) {
  const TimerId a = Add(1, "a");
  Add(2, "b");
  heap_.Cancel(a);
  EXPECT_EQ(heap_.NextDue(), At(2));
  EXPECT_EQ(heap_.size(), 1u);
  heap_.RunDue(At(9));
  EXPECT_THAT(ran_, ElementsAre("b"));
}

TEST_F(TimerHeapTest, AnOldIdDoesNotCancelTheTimerThatTookItsSlot) {
  const TimerId gone = Add(1, "gone");
  heap_.Cancel(gone);
  const TimerId ran = Add(1, "ran");
  EXPECT_NE(gone, ran);
  heap_.Cancel(gone);
  heap_.RunDue(At(1));
  EXPECT_THAT(ran_, ElementsAre("ran"));
  Add(2, "next");
  heap_.Cancel(ran);
  heap_.Cancel(0);
  heap_.Cancel(TimerId{1} << 60);
  heap_.RunDue(At(2));
  EXPECT_THAT(ran_, ElementsAre("ran", "next"));
}

TEST_F(TimerHeapTest, ATimerThatRearmsItselfWaitsForTheNextRun) {
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    heap_.Add(At(1), [&] { again(); });
  };
  again();
  heap_.RunDue(At(5));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(heap_.NextDue(), At(1));
  heap_.RunDue(At(5));
  EXPECT_EQ(runs, 3);
}

TEST_F(TimerHeapTest, ATimerMayCancelOneThatIsDueToo) {
  TimerId second = 0;
  heap_.Add(At(1), [&] { heap_.Cancel(second); });
  second = Add(1, "second");
  heap_.RunDue(At(1));
  EXPECT_THAT(ran_, IsEmpty());
}

TEST_F(TimerHeapTest, CancelledDeadlinesDoNotPileUp) {
  Add(1000, "last");
  for (int i = 0; i < 100'000; ++i) heap_.Cancel(Add(500, "deadline"));
  EXPECT_EQ(heap_.size(), 1u);
  EXPECT_LT(heap_.heap_size(), 1000u);
  heap_.RunDue(At(1000));
  EXPECT_THAT(ran_, ElementsAre("last"));
}

TEST_F(TimerHeapTest, CancelLetsGoOfWhatTheTaskHolds) {
  auto held = std::make_shared<int>(1);
  const TimerId timer = heap_.Add(At(1), [held] {});
  EXPECT_EQ(held.use_count(), 2);
  heap_.Cancel(timer);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace conclave::server
