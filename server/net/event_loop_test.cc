#include "server/net/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/net/test_loop.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;

struct CallbackHandler : IoHandler {
  explicit CallbackHandler(std::function<void(IoEvents)> callback)
      : on_ready(std::move(callback)) {}
  void OnReady(IoEvents events) override { on_ready(events); }
  std::function<void(IoEvents)> on_ready;
};

struct CallbackListener : TurnEndListener {
  CallbackListener(EventLoop* loop, std::function<void()> callback)
      : TurnEndListener(loop), on_turn_end(std::move(callback)) {}
  void OnTurnEnd() override { on_turn_end(); }
  std::function<void()> on_turn_end;
};

TEST(EventLoop, RunsPostedTasksInOrderAndNeverInline) {
  TestLoop loop;
  std::vector<int> ran;
  loop->Post([&] {
    loop->Post([&] { ran.push_back(3); });
    ran.push_back(1);
  });
  loop->Post([&] { ran.push_back(2); });
  EXPECT_TRUE(ran.empty());
  loop->RunTurn(Duration::zero());
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(EventLoop, APostFromAnotherThreadEndsTheWait) {
  PosixClock clock;
  EventLoop loop(&clock);
  std::atomic<int> ran = 0;
  std::thread lane([&] { loop.Run(); });
  for (int i = 1; i <= 200; ++i) {
    loop.Post([&] { ++ran; });
    while (ran.load() < i) std::this_thread::yield();
  }
  loop.Stop();
  lane.join();
  EXPECT_EQ(ran.load(), 200);
}

TEST(EventLoop, TasksOfManyThreadsAllRunInEachThreadsOrder) {
  constexpr int kThreads = 4, kTasks = 5000;
  PosixClock clock;
  EventLoop loop(&clock);
  std::vector<std::vector<int>> ran(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i)
        loop.Post([&, t, i] { ran[static_cast<size_t>(t)].push_back(i); });
    });
  }
  std::thread stopper([&] {
    for (std::thread& thread : threads) thread.join();
    loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  stopper.join();
  for (const std::vector<int>& order : ran) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST(EventLoop, StopBeforeRunReturnsAtOnce) {
  PosixClock clock;
  EventLoop loop(&clock);
  loop.Stop();
  loop.Run();
}

TEST(EventLoop, TimersRunWhenDueAndNotBefore) {
  TestLoop loop;
  const Instant start = loop->Now();
  Instant ran_at = kNever;
  loop->RunAt(start + Milliseconds(20), [&] { ran_at = loop->Now(); });
  ASSERT_TRUE(loop.RunUntil([&] { return ran_at != kNever; }));
  EXPECT_GE(ran_at - start, Milliseconds(20));
}

TEST(EventLoop, ACancelledTimerDoesNotRun) {
  TestLoop loop;
  bool ran = false;
  const TimerId timer = loop->RunAt(loop->Now() + Seconds(1), [&] { ran = true; });
  loop->CancelTimer(timer);
  loop.Skip(Seconds(2));
  EXPECT_FALSE(ran);
}

TEST(EventLoop, NowIsTheSameThroughoutATurn) {
  TestLoop loop;
  Instant first, second;
  loop->Post([&] {
    first = loop->Now();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    second = loop->Now();
  });
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(first, second);
  loop->RunTurn(Duration::zero());
  EXPECT_GE(loop->Now() - first, Milliseconds(2));
}

TEST(EventLoop, ReportsReadinessAsLongAsItLasts) {
  TestLoop loop;
  const auto [ours, peer] = MakeSocketPair();
  int reports = 0;
  CallbackHandler handler([&](IoEvents events) {
    EXPECT_TRUE(events.readable);
    ++reports;
  });
  loop->Watch(ours.get(), true, false, &handler);
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(reports, 0);
  ASSERT_EQ(::write(peer.get(), "x", 1), 1);
  loop->RunTurn(Duration::zero());
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(reports, 2) << "nobody read the byte: it is still there";
  loop->ChangeWatch(ours.get(), false, false);
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(reports, 2);
  loop->Unwatch(ours.get());
}

TEST(EventLoop, AnUnwatchedDescriptorIsNotReportedEvenIfTheWaitFoundIt) {
  TestLoop loop;
  auto first = MakeSocketPair();
  auto second = MakeSocketPair();
  int reports = 0;
  std::unique_ptr<CallbackHandler> a, b;
  // Whichever comes first takes both away; the other was ready in the same wait.
  const auto once = [&](IoEvents) {
    ++reports;
    loop->Unwatch(first.first.get());
    loop->Unwatch(second.first.get());
    // A new descriptor gets the old number: the stale event must not reach its handler.
    first.first.Reset(::dup(first.second.get()));
    b.reset();
  };
  a = std::make_unique<CallbackHandler>(once);
  b = std::make_unique<CallbackHandler>(once);
  auto keep = std::make_unique<CallbackHandler>(once);
  loop->Watch(first.first.get(), true, false, a.get());
  loop->Watch(second.first.get(), true, false, keep.get());
  ASSERT_EQ(::write(first.second.get(), "x", 1), 1);
  ASSERT_EQ(::write(second.second.get(), "x", 1), 1);
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(reports, 1);
}

TEST(TurnEnd, RunsOnceATurnAfterEverythingElse) {
  TestLoop loop;
  std::vector<std::string> order;
  CallbackListener listener(loop.get(), [&] { order.push_back("end"); });
  loop->Post([&] {
    order.push_back("first");
    listener.ArmTurnEnd();
    listener.ArmTurnEnd();
  });
  loop->Post([&] {
    order.push_back("second");
    listener.ArmTurnEnd();
  });
  loop->RunTurn(Duration::zero());
  loop->RunTurn(Duration::zero());
  EXPECT_THAT(order, ElementsAre("first", "second", "end"));
}

TEST(TurnEnd, OneMayArmAnotherOfTheSameTurn) {
  TestLoop loop;
  std::vector<std::string> order;
  CallbackListener connection(loop.get(), [&] { order.push_back("connection"); });
  CallbackListener session(loop.get(), [&] {
    order.push_back("session");
    connection.ArmTurnEnd();
  });
  session.ArmTurnEnd();
  loop->RunTurn(Duration::zero());
  EXPECT_THAT(order, ElementsAre("session", "connection"));
}

TEST(TurnEnd, TwoThatFeedEachOtherDoNotHoldUpTheLoop) {
  TestLoop loop;
  int runs = 0;
  CallbackListener endless(loop.get(), [&] {
    ++runs;
    endless.ArmTurnEnd();
  });
  endless.ArmTurnEnd();
  loop->RunTurn(Seconds(1));
  const int in_one_turn = runs;
  EXPECT_LT(in_one_turn, 10);
  const Instant before = PosixClock().Now();
  loop->RunTurn(Seconds(5));
  EXPECT_GT(runs, in_one_turn);
  EXPECT_LT(PosixClock().Now() - before, Seconds(2)) << "work was waiting: no sleep";
}

TEST(TurnEnd, ADestroyedListenerIsForgotten) {
  TestLoop loop;
  int runs = 0;
  auto victim = std::make_unique<CallbackListener>(loop.get(), [&] { ++runs; });
  CallbackListener first(loop.get(), [&] { victim.reset(); });
  first.ArmTurnEnd();
  victim->ArmTurnEnd();
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(runs, 0);
  {
    CallbackListener gone(loop.get(), [&] { ++runs; });
    gone.ArmTurnEnd();
  }
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(runs, 0);
}

TEST(TurnEnd, AListenerMayDestroyItself) {
  TestLoop loop;
  std::unique_ptr<CallbackListener> self;
  self = std::make_unique<CallbackListener>(loop.get(), [&self] {
    auto& owner = self;  // the closure goes with the listener
    owner.reset();
  });
  self->ArmTurnEnd();
  loop->RunTurn(Duration::zero());
  EXPECT_EQ(self, nullptr);
}

TEST(EventLoop, DroppedTasksLetGoOfWhatTheyHold) {
  auto held = std::make_shared<int>(1);
  PosixClock clock;
  {
    EventLoop loop(&clock);
    loop.Post([held] {});
    loop.RunAt(loop.Now() + Seconds(1), [held] {});
    EXPECT_EQ(held.use_count(), 3);
  }
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace conclave::server
