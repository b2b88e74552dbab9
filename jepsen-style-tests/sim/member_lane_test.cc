#include "jepsen-style-tests/sim/member_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MemberLaneTest : public ::testing::Test {
 protected:
  MemberLaneTest() { Restart({}); }

  // Another run of the process.
  void Restart(const ClockOptions& clock) {
    lane_ = std::make_unique<MemberLane>(
        &scheduler_, clock,
        MemberLane::Observer{.after_task = [this] { ++tasks_over_; },
                             .ended = [this](const ProcessEnded& end) { ends_.push_back(end); }});
  }
  Task Log(const std::string& name) {
    return [this, name] { log_.push_back(name); };
  }
  void RunFor(Duration duration) { scheduler_.RunUntil(scheduler_.Now() + duration); }

  Scheduler scheduler_;
  std::unique_ptr<MemberLane> lane_;
  std::vector<std::string> log_;
  std::vector<ProcessEnded> ends_;
  int tasks_over_ = 0;
};

// ---- Tasks. ----

TEST_F(MemberLaneTest, PostsRunInOrderAndNeverInline) {
  lane_->Post([this] {
    lane_->Post(Log("c"));
    log_.emplace_back("a");
  });
  lane_->Post(Log("b"));
  EXPECT_THAT(log_, IsEmpty());
  RunFor(Duration::zero());
  EXPECT_THAT(log_, ElementsAre("a", "b", "c"));
  EXPECT_EQ(tasks_over_, 3);
}

TEST_F(MemberLaneTest, WhatIsDeliveredRunsAtOnce) {
  lane_->Deliver(Log("delivered"));
  EXPECT_THAT(log_, ElementsAre("delivered"));
  EXPECT_EQ(tasks_over_, 1);
}

// ---- The clock. ----

TEST_F(MemberLaneTest, TheClockHasItsOwnOffsetAndRate) {
  RunFor(Seconds(3));
  Restart({.offset = Seconds(100), .rate_ppm = 20'000});
  const Instant started = lane_->Now();
  EXPECT_EQ(started - scheduler_.Now(), Seconds(100));
  RunFor(Seconds(10));
  EXPECT_EQ(lane_->Now() - started, Milliseconds(10'200));
  Restart({.rate_ppm = -20'000});
  const Instant slow_started = lane_->Now();
  RunFor(Seconds(10));
  EXPECT_EQ(lane_->Now() - slow_started, Milliseconds(9'800));
}

TEST_F(MemberLaneTest, TimersRunByTheMembersClockNeverBeforeTheirTime) {
  for (int64_t rate_ppm : {-20'000, -333, -1, 0, 1, 777, 20'000}) {
    Restart({.offset = Seconds(7), .rate_ppm = rate_ppm});
    for (int64_t delay_ns : {1, 2, 49, 50, 51, 999, 123'456'789, 2'000'000'000}) {
      const Instant when = lane_->Now() + Duration(delay_ns);
      Instant ran{};
      lane_->RunAt(when, [&] { ran = lane_->Now(); });
      RunFor(Seconds(3));
      EXPECT_GE(ran, when) << rate_ppm << " ppm, " << delay_ns << " ns";
      EXPECT_LE(ran, when + Duration(3)) << rate_ppm << " ppm, " << delay_ns << " ns";
    }
  }
}

TEST_F(MemberLaneTest, ATimerOfThePastRunsSoonAndOneOfNeverDoesNot) {
  EXPECT_NE(lane_->RunAt(lane_->Now() - Seconds(1), Log("past")), 0u);
  EXPECT_EQ(lane_->RunAt(kNever, Log("never")), 0u);
  EXPECT_THAT(log_, IsEmpty());
  RunFor(Duration::zero());
  EXPECT_THAT(log_, ElementsAre("past"));
  RunFor(Seconds(1000));
  EXPECT_THAT(log_, ElementsAre("past"));
}

TEST_F(MemberLaneTest, OnlyTheWallClockJumps) {
  lane_->RunAt(lane_->Now() + Seconds(1), Log("timer"));
  const Instant monotonic = lane_->Now();
  const int64_t wall_ms = lane_->WallMilliseconds();
  lane_->JumpWall(Seconds(-3600));
  EXPECT_EQ(lane_->WallMilliseconds(), wall_ms - 3'600'000);
  EXPECT_EQ(lane_->Now(), monotonic);
  RunFor(Milliseconds(999));
  EXPECT_THAT(log_, IsEmpty());
  RunFor(Milliseconds(2));
  EXPECT_THAT(log_, ElementsAre("timer"));
  EXPECT_EQ(lane_->WallMilliseconds(), wall_ms - 3'600'000 + 1'001);
}

TEST_F(MemberLaneTest, ACancelledTimerDoesNotRun) {
  const TimerId cancelled = lane_->RunAt(lane_->Now() + Seconds(1), Log("cancelled"));
  lane_->RunAt(lane_->Now() + Seconds(1), Log("kept"));
  lane_->CancelTimer(cancelled);
  lane_->CancelTimer(0);
  RunFor(Seconds(2));
  lane_->CancelTimer(cancelled);
  EXPECT_THAT(log_, ElementsAre("kept"));
}

// ---- Pauses. ----

TEST_F(MemberLaneTest, WhatFallsDueInAPauseRunsAfterItInOrder) {
  lane_->Post(Log("posted before"));
  lane_->RunAt(lane_->Now() + Milliseconds(20), Log("timer"));
  lane_->Pause();
  EXPECT_TRUE(lane_->paused());
  RunFor(Milliseconds(10));
  lane_->Deliver(Log("delivered"));
  RunFor(Milliseconds(20));
  lane_->Deliver(Log("delivered late"));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(tasks_over_, 0);

  lane_->Resume();
  EXPECT_FALSE(lane_->paused());
  // Still behind what has waited.
  lane_->Deliver(Log("delivered after"));
  EXPECT_THAT(log_, IsEmpty());
  RunFor(Duration::zero());
  EXPECT_THAT(log_, ElementsAre("posted before", "delivered", "timer", "delivered late",
                                "delivered after"));
  EXPECT_EQ(tasks_over_, 5);
}

TEST_F(MemberLaneTest, ThePausedClockHasGoneOn) {
  const Instant before = lane_->Now();
  lane_->Pause();
  RunFor(Seconds(5));
  lane_->Resume();
  EXPECT_EQ(lane_->Now() - before, Seconds(5));
}

TEST_F(MemberLaneTest, AParkedTimerCanBeCancelled) {
  TimerId parked = 0;
  lane_->Post([&] {
    log_.emplace_back("cancels");
    lane_->CancelTimer(parked);
  });
  parked = lane_->RunAt(lane_->Now() + Milliseconds(1), Log("cancelled"));
  lane_->RunAt(lane_->Now() + Milliseconds(1), Log("kept"));
  lane_->Pause();
  RunFor(Milliseconds(10));
  lane_->Resume();
  RunFor(Milliseconds(10));
  EXPECT_THAT(log_, ElementsAre("cancels", "kept"));
}

TEST_F(MemberLaneTest, ASecondPauseKeepsWhatTheFirstHasLeft) {
  lane_->Pause();
  lane_->Deliver([this] {
    log_.emplace_back("pauses");
    lane_->Pause();
  });
  lane_->Deliver(Log("waits"));
  lane_->Resume();
  RunFor(Milliseconds(10));
  EXPECT_THAT(log_, ElementsAre("pauses"));
  lane_->Deliver(Log("waits longer"));
  lane_->Resume();
  RunFor(Milliseconds(10));
  EXPECT_THAT(log_, ElementsAre("pauses", "waits", "waits longer"));
}

TEST_F(MemberLaneTest, PausesInQuickSuccessionRunEverythingOnce) {
  lane_->Pause();
  lane_->Deliver(Log("a"));
  lane_->Resume();
  lane_->Pause();
  lane_->Deliver(Log("b"));
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, IsEmpty());
  lane_->Resume();
  lane_->Pause();
  lane_->Resume();
  lane_->Resume();
  RunFor(Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("a", "b"));
}

// ---- The end. ----

TEST_F(MemberLaneTest, SilenceLetsNoTaskFollowThePresentOne) {
  lane_->Post([this] {
    lane_->Silence();
    lane_->Post(Log("posted in silence"));
    EXPECT_EQ(lane_->RunAt(lane_->Now(), Log("timer in silence")), 0u);
    log_.emplace_back("present");
  });
  lane_->Post(Log("posted before"));
  RunFor(Seconds(1));
  lane_->Deliver(Log("delivered"));
  EXPECT_TRUE(lane_->silent());
  EXPECT_THAT(log_, ElementsAre("present"));
  EXPECT_EQ(tasks_over_, 1);  // so that whoever watches can bury it
  EXPECT_THAT(ends_, IsEmpty());
}

TEST_F(MemberLaneTest, SilenceReachesWhatIsParked) {
  lane_->Pause();
  lane_->Deliver([this] { lane_->Silence(); });
  lane_->Deliver(Log("parked"));
  lane_->Resume();
  RunFor(Seconds(1));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(MemberLaneTest, AfterEndNothingRunsNorIsTold) {
  lane_->Post(Log("posted"));
  lane_->RunAt(lane_->Now() + Milliseconds(1), Log("timer"));
  lane_->Pause();
  lane_->Deliver(Log("parked"));
  lane_->End();
  lane_->Resume();
  lane_->Deliver(Log("delivered"));
  RunFor(Seconds(1));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(tasks_over_, 0);
}

TEST_F(MemberLaneTest, TasksOfALaneThatIsGoneDoNotRun) {
  lane_->Post(Log("posted"));
  lane_->Pause();
  lane_->Deliver(Log("parked"));
  lane_->Resume();
  Restart({});
  lane_->Post(Log("of the next run"));
  RunFor(Seconds(1));
  EXPECT_THAT(log_, ElementsAre("of the next run"));
}

TEST_F(MemberLaneTest, AProcessThatEndsItselfSaysWhy) {
  lane_->Post([] { throw ProcessEnded{.bug = false, .what = "the disk failed"}; });
  lane_->Post(Log("posted before"));
  RunFor(Seconds(1));
  ASSERT_EQ(ends_.size(), 1u);
  EXPECT_FALSE(ends_[0].bug);
  EXPECT_EQ(ends_[0].what, "the disk failed");
  EXPECT_TRUE(lane_->silent());
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(tasks_over_, 0);
}

TEST_F(MemberLaneTest, AFailedCheckAndAnUncaughtExceptionAreBugs) {
  lane_->Deliver([] { throw ProcessEnded{.bug = true, .what = "CHECK failed"}; });
  Restart({});
  lane_->Deliver([] { throw std::out_of_range("at nothing"); });
  ASSERT_EQ(ends_.size(), 2u);
  EXPECT_TRUE(ends_[0].bug);
  EXPECT_EQ(ends_[0].what, "CHECK failed");
  EXPECT_TRUE(ends_[1].bug);
  EXPECT_EQ(ends_[1].what, "at nothing");
  EXPECT_TRUE(lane_->silent());
}

}  // namespace
}  // namespace conclave::sim
