#include "raft/base/posix_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <future>
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

TEST(PosixExecutorTest, BulkWorkYieldsToOthersAndNobodyInheritsBeingPrompt) {
  if (sched_getscheduler(0) != SCHED_OTHER) GTEST_SKIP() << "run with a policy that is left alone";
  const auto nice_of = [](PosixExecutor& lane) {
    std::promise<int> nice;
    lane.Post([&] { nice.set_value(getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()))); });
    return nice.get_future().get();
  };
  PosixExecutor usual("usual");
  PosixExecutor bulk("bulk", Scheduling::kBulk);
  PosixExecutor prompt("prompt", Scheduling::kPrompt);
  EXPECT_EQ(nice_of(bulk), nice_of(usual) + 5);
  EXPECT_EQ(nice_of(prompt), nice_of(usual));
  std::unique_ptr<PosixExecutor> more_bulk;
  std::promise<void> more_made;
  bulk.Post([&] {
    more_bulk = std::make_unique<PosixExecutor>("more bulk", Scheduling::kBulk);
    more_made.set_value();
  });
  more_made.get_future().wait();
  EXPECT_EQ(nice_of(*more_bulk), nice_of(bulk));
  // Linux below 6.12 knows no slices, and says 0.
  const auto slice_of = [](PosixExecutor& lane) {
    std::promise<uint64_t> slice;
    lane.Post([&] {
      uint64_t attributes[6] = {sizeof(attributes)};  // sched_setattr(2): the runtime is the fourth
      EXPECT_EQ(syscall(SYS_sched_getattr, 0, attributes, sizeof(attributes), 0), 0);
      slice.set_value(attributes[3]);
    });
    return slice.get_future().get();
  };
  const uint64_t usual_slice = slice_of(usual);
  if (usual_slice == 0) GTEST_SKIP() << "the kernel has no slices to set";
  EXPECT_EQ(slice_of(prompt), 100'000u);
  EXPECT_EQ(slice_of(bulk), usual_slice);
  std::unique_ptr<PosixExecutor> child;
  std::promise<void> made;
  prompt.Post([&] {
    child = std::make_unique<PosixExecutor>("child");
    made.set_value();
  });
  made.get_future().wait();
  EXPECT_EQ(slice_of(*child), usual_slice);
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
