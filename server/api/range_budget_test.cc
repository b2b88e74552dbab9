// Memory for ranges: first come, first served, never more than there is, and nobody waits for ever.
#include "server/api/range_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "raft/base/manual_executor.h"
#include "raft/base/random.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;

class RangeBudgetTest : public ::testing::Test {
 protected:
  // Asks for `bytes`; what it is told becomes "<number>+" or "<number>-" in told_.
  RangeBudget::Reservation& Ask(uint64_t bytes) {
    const int number = static_cast<int>(reservations_.size());
    reservations_.push_back(std::make_unique<RangeBudget::Reservation>());
    reservations_.back()->Reserve(&budget_, bytes, [this, number](const absl::Status& status) {
      if (!status.ok()) {
        EXPECT_EQ(status, kv::ErrTooManyRangeBytes());
      }
      told_.push_back(std::to_string(number) + (status.ok() ? "+" : "-"));
    });
    return *reservations_.back();
  }

  ManualExecutor lane_;
  RangeBudget budget_{{.bytes = 100, .waiting_max = 3, .wait_max = Seconds(5)}, &lane_};
  std::vector<std::string> told_;
  std::deque<std::unique_ptr<RangeBudget::Reservation>> reservations_;
};

TEST_F(RangeBudgetTest, GivesAtOnceWhatIsThere) {
  Ask(60);
  Ask(40);
  EXPECT_THAT(told_, ElementsAre("0+", "1+"));
  EXPECT_EQ(budget_.stats().bytes, 100u);
  Ask(0);
  EXPECT_THAT(told_, ElementsAre("0+", "1+", "2+"));
}

TEST_F(RangeBudgetTest, MoreIsGivenAtOnceOrNotAtAll) {
  RangeBudget::Reservation& first = Ask(20);
  EXPECT_TRUE(first.Extend(30));
  EXPECT_FALSE(first.Extend(1)) << "half of all is for others";
  EXPECT_EQ(budget_.stats().bytes, 50u);
  RangeBudget::Reservation& second = Ask(60);
  first.Release();
  EXPECT_THAT(told_, ElementsAre("0+", "1+"));
  EXPECT_FALSE(second.Extend(1));
  EXPECT_EQ(budget_.stats().bytes, 60u);
  second.Release();
  EXPECT_EQ(budget_.stats().bytes, 0u);
}

TEST_F(RangeBudgetTest, NoMoreIsGivenWhileSomebodyWaits) {
  RangeBudget::Reservation& large = Ask(80);
  RangeBudget::Reservation& small = Ask(10);
  Ask(95);
  large.Release();
  EXPECT_EQ(budget_.stats().waiting, 1u);
  EXPECT_FALSE(small.Extend(1));
  small.Release();
  EXPECT_THAT(told_, ElementsAre("0+", "1+", "2+"));
}

TEST_F(RangeBudgetTest, ALargeOneIsNotPassedOver) {
  RangeBudget::Reservation& first = Ask(60);
  Ask(90);
  Ask(10);  // there is room for it
  EXPECT_THAT(told_, ElementsAre("0+"));
  EXPECT_EQ(budget_.stats().waiting, 2u);
  first.Release();
  EXPECT_THAT(told_, ElementsAre("0+", "1+", "2+"));
  EXPECT_EQ(budget_.stats().bytes, 100u);
}

TEST_F(RangeBudgetTest, WhoLeavesTheQueueHoldsNobodyUp) {
  Ask(60);
  RangeBudget::Reservation& large = Ask(90);
  Ask(10);
  large.Release();
  EXPECT_THAT(told_, ElementsAre("0+", "2+"));
  EXPECT_EQ(budget_.stats().bytes, 70u);
  EXPECT_EQ(budget_.stats().waiting, 0u);
}

TEST_F(RangeBudgetTest, NobodyWaitsLongerThanItsTime) {
  Ask(60);
  lane_.Advance(Seconds(1));
  Ask(90);
  lane_.Advance(Seconds(2));
  Ask(10);
  lane_.Advance(Milliseconds(2900));
  EXPECT_THAT(told_, ElementsAre("0+"));
  lane_.Advance(Milliseconds(200));
  EXPECT_THAT(told_, ElementsAre("0+", "1-", "2+")) << "who was behind it gets what is there";
  EXPECT_EQ(budget_.stats().refused, 1u);
  lane_.Advance(Seconds(60));
  EXPECT_EQ(told_.size(), 3u);
}

TEST_F(RangeBudgetTest, TheQueueHasABound) {
  Ask(100);
  for (int i = 0; i < 3; ++i) Ask(1);
  EXPECT_THAT(told_, ElementsAre("0+"));
  Ask(1);
  EXPECT_THAT(told_, ElementsAre("0+", "4-"));
  reservations_[2]->Release();
  Ask(1);  // in the place of one that has left
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_EQ(budget_.stats().waiting, 3u);
  EXPECT_EQ(budget_.stats().refused, 1u);
}

TEST_F(RangeBudgetTest, AnAnswerMayReserveAgain) {
  RangeBudget::Reservation reservation;
  int told = 0;
  reservation.Reserve(&budget_, 100, [&](const absl::Status&) {
    ++told;
    reservation.Release();
    reservation.Reserve(&budget_, 50, [&](const absl::Status&) { ++told; });
  });
  EXPECT_EQ(told, 2);
  EXPECT_EQ(budget_.stats().bytes, 50u);
}

TEST_F(RangeBudgetTest, IsNeverExceededAndNothingIsLost) {
  Random random(5);
  uint64_t asked = 0, granted = 0, refused = 0;
  for (int round = 0; round < 5000; ++round) {
    if (random.OneIn(2)) {
      ++asked;
      Ask(random.Below(101));
    }
    if (reservations_.size() > 6) {
      const auto leaves = static_cast<int64_t>(random.Below(reservations_.size()));
      reservations_.erase(reservations_.begin() + leaves);
    }
    if (random.OneIn(20)) lane_.Advance(Milliseconds(static_cast<int64_t>(random.Below(4000))));
    ASSERT_LE(budget_.stats().bytes, 100u);
    ASSERT_LE(budget_.stats().waiting, 3u);
  }
  for (const std::string& told : told_) ++(told.back() == '+' ? granted : refused);
  EXPECT_GT(granted, 100u);
  EXPECT_GT(refused, 100u);
  EXPECT_EQ(refused, budget_.stats().refused);
  EXPECT_GT(asked, granted + refused) << "some have left the queue";
  reservations_.clear();
  EXPECT_EQ(budget_.stats().bytes, 0u);
  EXPECT_EQ(budget_.stats().waiting, 0u);
}

}  // namespace
}  // namespace conclave::server
