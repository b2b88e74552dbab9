#include "raft/base/posix_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <vector>

#include "raft/base/posix_clock.h"

namespace conclave {
namespace {

using ::testing::ElementsAre;

TEST(PosixExecutorTest, TasksRunInOrderOnAThreadOfItsOwn) {
  std::vector<int> order;
  std::thread::id thread;
  {
    PosixExecutor lane("test");
    lane.Post([&] {
      thread = std::this_thread::get_id();
      lane.Post([&] { order.push_back(3); });
      order.push_back(1);
    });
    lane.Post([&] { order.push_back(2); });
  }
  EXPECT_THAT(order, ::testing::UnorderedElementsAre(1, 2, 3));
  EXPECT_EQ(order.front(), 1);
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(PosixExecutorTest, TheEndRunsWhatIsPostedAndWhatThatPosts) {
  int ran = 0;
  {
    PosixExecutor lane("test");
    lane.Post([&] {
      lane.Post([&] {
        ++ran;
        lane.Post([&] { ++ran; });
      });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(PosixExecutorTest, TimersRunWhenDueInTheOrderOfTimeUnlessCancelled) {
  std::vector<int> order;
  Instant start, end;
  std::latch finished(1);
  PosixExecutor lane("test");
  lane.Post([&] {
    start = lane.Now();
    lane.RunAt(start + Milliseconds(20), [&] {
      order.push_back(2);
      end = lane.Now();
      finished.count_down();
    });
    lane.RunAt(start + Milliseconds(10), [&] { order.push_back(1); });
    const TimerId cancelled = lane.RunAt(start + Milliseconds(5), [&] { order.push_back(0); });
    lane.CancelTimer(cancelled);
    lane.CancelTimer(cancelled);
  });
  finished.wait();
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_GE(end - start, Milliseconds(20));
}

TEST(PosixExecutorTest, ATimerDueAtOnceNeedsNoOtherWakeUp) {
  std::latch finished(1);
  PosixExecutor lane("test");
  lane.Post([&] { lane.RunAt(lane.Now(), [&] { finished.count_down(); }); });
  finished.wait();
}

TEST(PosixExecutorTest, TheEndDoesNotWaitForTimers) {
  bool ran = false;
  {
    PosixExecutor lane("test");
    lane.Post([&] { lane.RunAt(lane.Now() + Seconds(3600), [&] { ran = true; }); });
  }
  EXPECT_FALSE(ran);
}

TEST(PosixClockTest, InstantsNeverGoBackAndWallTimeIsOfThisCentury) {
  const PosixClock clock;
  Instant last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.WallMilliseconds(), int64_t{1'600'000'000'000});
  EXPECT_LT(clock.WallMilliseconds(), int64_t{4'200'000'000'000});
}

}  // namespace
}  // namespace conclave
