#include "raft/base/manual_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace conclave {
namespace {

using ::testing::ElementsAre;

class ManualExecutorTest : public ::testing::Test {
 protected:
  Task Note(int number) {
    return [this, number] { order_.push_back(number); };
  }

  ManualExecutor lane_;
  std::vector<int> order_;
};

TEST_F(ManualExecutorTest, PostedTasksRunInOrderAndNeverInline) {
  lane_.Post([this] {
    lane_.Post(Note(3));
    order_.push_back(1);
  });
  lane_.Post(Note(2));
  EXPECT_THAT(order_, ElementsAre());
  lane_.RunPosted();
  EXPECT_THAT(order_, ElementsAre(1, 2, 3));
}

TEST_F(ManualExecutorTest, TimersRunInTheOrderOfTimeThenOfTheirMaking) {
  const Instant start = lane_.Now();
  lane_.RunAt(start + Milliseconds(20), Note(3));
  lane_.RunAt(start + Milliseconds(10), Note(1));
  lane_.RunAt(start + Milliseconds(10), Note(2));
  lane_.RunAt(start + Milliseconds(31), Note(4));
  lane_.Advance(Milliseconds(30));
  EXPECT_THAT(order_, ElementsAre(1, 2, 3));
  EXPECT_EQ(lane_.Now(), start + Milliseconds(30));
}

TEST_F(ManualExecutorTest, ATimerSeesItsOwnTimeAndWhatItPostsRunsThen) {
  const Instant start = lane_.Now();
  Instant seen;
  lane_.RunAt(start + Milliseconds(5), [&] { lane_.Post([&] { seen = lane_.Now(); }); });
  lane_.Advance(Seconds(1));
  EXPECT_EQ(seen, start + Milliseconds(5));
}

TEST_F(ManualExecutorTest, ACancelledTimerDoesNotRun) {
  const TimerId timer = lane_.RunAt(lane_.Now(), Note(1));
  lane_.RunAt(lane_.Now(), Note(2));
  lane_.CancelTimer(timer);
  lane_.CancelTimer(timer);
  lane_.CancelTimer(0);
  lane_.Advance(Milliseconds(1));
  EXPECT_THAT(order_, ElementsAre(2));
}

TEST_F(ManualExecutorTest, WallTimeMovesWithTheClock) {
  const int64_t before = lane_.WallMilliseconds();
  lane_.Advance(Seconds(2));
  EXPECT_EQ(lane_.WallMilliseconds() - before, 2000);
}

}  // namespace
}  // namespace conclave
