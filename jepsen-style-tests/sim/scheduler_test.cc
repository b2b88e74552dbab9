#include "jepsen-style-tests/sim/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;

// The lower bits of an id are its slot.
constexpr EventId kSlots = 1 << 24;

// Runs a function when it is destroyed, as the captures of a task may.
class AtDestruction {
 public:
  explicit AtDestruction(Task run) : run_(std::move(run)) {}
  ~AtDestruction() { run_(); }
  AtDestruction(const AtDestruction&) = delete;
  AtDestruction& operator=(const AtDestruction&) = delete;

 private:
  Task run_;
};

class SchedulerTest : public ::testing::Test {
 protected:
  Task Log(const std::string& name) {
    return [this, name] { log_.push_back(name); };
  }
  void RunFor(Duration duration) { scheduler_.RunUntil(scheduler_.Now() + duration); }

  std::vector<std::string> log_;
  Scheduler scheduler_;
};

// ---- Order and time. ----

TEST_F(SchedulerTest, RunsByTimeThenByTheOrderOfScheduling) {
  scheduler_.After(Milliseconds(2), Log("2a"));
  scheduler_.After(Milliseconds(1), Log("1a"));
  scheduler_.After(Milliseconds(2), Log("2b"));
  scheduler_.After(Milliseconds(1), Log("1b"));
  scheduler_.After(Milliseconds(2), Log("2c"));
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("1a", "1b", "2a", "2b", "2c"));
  EXPECT_EQ(scheduler_.events_run(), 5u);
}

TEST_F(SchedulerTest, TheOrderOfSchedulingHoldsWhenSlotsAreReused) {
  std::vector<EventId> first;
  for (int i = 0; i < 4; ++i) first.push_back(scheduler_.After(Milliseconds(1), Log("cancelled")));
  for (EventId event : first) scheduler_.Cancel(event);
  for (const char* name : {"a", "b", "c", "d", "e"}) scheduler_.After(Milliseconds(1), Log(name));
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("a", "b", "c", "d", "e"));
}

TEST_F(SchedulerTest, TimeMovesFromEventToEventAndThenToTheEnd) {
  const Instant start = scheduler_.Now();
  std::vector<Duration> seen;
  for (int64_t ms : {3, 7}) {
    scheduler_.After(Milliseconds(ms), [&] { seen.push_back(scheduler_.Now() - start); });
  }
  EXPECT_TRUE(scheduler_.RunNext(start + Milliseconds(5)));
  EXPECT_EQ(scheduler_.Now() - start, Milliseconds(3));
  EXPECT_FALSE(scheduler_.RunNext(start + Milliseconds(5)));
  EXPECT_EQ(scheduler_.Now() - start, Milliseconds(5));
  EXPECT_TRUE(scheduler_.RunNext(start + Milliseconds(7)));  // due at the end itself
  EXPECT_THAT(seen, ElementsAre(Milliseconds(3), Milliseconds(7)));
}

TEST_F(SchedulerTest, TimeNeverGoesBack) {
  RunFor(Milliseconds(10));
  const Instant now = scheduler_.Now();
  EXPECT_FALSE(scheduler_.RunNext(now - Milliseconds(5)));
  EXPECT_EQ(scheduler_.Now(), now);
}

TEST_F(SchedulerTest, WhatIsPastRunsNowAfterWhatIsDue) {
  RunFor(Milliseconds(10));
  const Instant now = scheduler_.Now();
  scheduler_.At(now, Log("due"));
  scheduler_.At(now - Milliseconds(5), Log("past"));
  scheduler_.RunUntil(now);
  EXPECT_THAT(log_, ElementsAre("due", "past"));
  EXPECT_EQ(scheduler_.Now(), now);
}

TEST_F(SchedulerTest, AnEventMaySchedule) {
  scheduler_.After(Milliseconds(1), [this] {
    log_.emplace_back("outer");
    scheduler_.After(Duration::zero(), Log("inner"));
  });
  scheduler_.After(Milliseconds(1), Log("beside"));
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("outer", "beside", "inner"));
}

// ---- Cancelling. ----

TEST_F(SchedulerTest, ACancelledEventNeitherRunsNorMovesTimeNorCounts) {
  const EventId event = scheduler_.After(Milliseconds(1), Log("cancelled"));
  scheduler_.After(Milliseconds(2), Log("kept"));
  scheduler_.Cancel(event);
  EXPECT_TRUE(scheduler_.RunNext(scheduler_.Now() + Seconds(1)));
  EXPECT_THAT(log_, ElementsAre("kept"));
  EXPECT_EQ(scheduler_.events_run(), 1u);
}

TEST_F(SchedulerTest, CancellingDropsTheCapturesAtOnce) {
  auto captured = std::make_shared<int>();
  const EventId event = scheduler_.After(Milliseconds(1), [captured] {});
  EXPECT_EQ(captured.use_count(), 2);
  scheduler_.Cancel(event);
  EXPECT_EQ(captured.use_count(), 1);
}

TEST_F(SchedulerTest, CancellingWhatHasRunSparesTheNextOwnerOfItsSlot) {
  const EventId run = scheduler_.After(Milliseconds(1), Log("first"));
  RunFor(Milliseconds(1));
  scheduler_.After(Milliseconds(1), Log("second"));
  scheduler_.Cancel(run);
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("first", "second"));
}

TEST_F(SchedulerTest, SlotsOfRunAndCancelledEventsAreUsedAgain) {
  for (int i = 0; i < 100; ++i) {
    const EventId cancelled = scheduler_.After(Milliseconds(1), [] {});
    const EventId run = scheduler_.After(Milliseconds(1), [] {});
    EXPECT_LT(cancelled % kSlots, 2u);
    EXPECT_LT(run % kSlots, 2u);
    scheduler_.Cancel(cancelled);
    RunFor(Milliseconds(1));
  }
}

TEST_F(SchedulerTest, CancellingTwiceSparesTheNextOwnerOfItsSlot) {
  const EventId event = scheduler_.After(Milliseconds(1), Log("cancelled"));
  scheduler_.Cancel(event);
  scheduler_.After(Milliseconds(1), Log("kept"));
  scheduler_.Cancel(event);
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("kept"));
}

TEST_F(SchedulerTest, IdsThatWereNeverGivenAreIgnored) {
  scheduler_.Cancel(0);
  scheduler_.Cancel(12345);
  const EventId event = scheduler_.After(Milliseconds(1), Log("kept"));
  scheduler_.Cancel(0);
  scheduler_.Cancel(event + 1);       // a slot that is not there
  scheduler_.Cancel(event + kSlots);  // the slot of another sequence
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("kept"));
}

TEST_F(SchedulerTest, AnEventMayCancelItselfAndOthersDueAtTheSameTime) {
  EventId self = 0;
  EventId other = 0;
  self = scheduler_.After(Milliseconds(1), [&] {
    scheduler_.Cancel(self);
    scheduler_.Cancel(other);
    log_.emplace_back("self");
  });
  other = scheduler_.After(Milliseconds(1), Log("other"));
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("self"));
}

// ---- Clearing. ----

TEST_F(SchedulerTest, ClearDropsEverythingAndItsCaptures) {
  auto captured = std::make_shared<int>();
  const EventId event = scheduler_.After(Milliseconds(1), [captured] {});
  scheduler_.After(Milliseconds(2), Log("dropped"));
  scheduler_.Clear();
  EXPECT_EQ(captured.use_count(), 1);
  scheduler_.After(Milliseconds(1), Log("new"));
  scheduler_.Cancel(event);
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("new"));
}

TEST_F(SchedulerTest, CapturesMayScheduleAndCancelWhileTheyAreCleared) {
  const EventId other = scheduler_.After(Milliseconds(1), Log("other"));
  for (int i = 0; i < 3; ++i) {
    auto last_words = std::make_unique<AtDestruction>([this, other] {
      scheduler_.Cancel(other);
      scheduler_.After(Milliseconds(1), Log("last words"));
    });
    scheduler_.After(Milliseconds(1), [captured = std::move(last_words)] {});
  }
  scheduler_.Clear();
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("last words", "last words", "last words"));
}

}  // namespace
}  // namespace conclave::sim
