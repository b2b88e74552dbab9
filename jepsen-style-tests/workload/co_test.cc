#include "jepsen-style-tests/workload/co.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace conclave::sim {
namespace {

// Something to wait for that the test brings about.
class Event {
 public:
  Callback<int> Wait() {
    return Callback<int>([this](const Callback<int>::Done& done) { waiting_.push_back(done); });
  }
  void Happen(int value) {
    const auto waiting = std::exchange(waiting_, {});
    for (const auto& done : waiting) done(value);
  }

 private:
  std::vector<Callback<int>::Done> waiting_;
};

Co<int> Twice(Event& event) {
  Callback<int> first = event.Wait();
  const int a = co_await first;
  const int b = co_await event.Wait();
  co_return a + b;
}

Co<void> Store(Event& event, int& sum) {
  const int both = co_await Twice(event);
  sum = both;
}

TEST(CoTest, RunsFromWaitToWait) {
  Event event;
  int sum = 0;
  Co<void> co = Store(event, sum);
  co.Start();
  EXPECT_FALSE(co.done());
  event.Happen(3);
  EXPECT_FALSE(co.done());
  event.Happen(4);
  EXPECT_TRUE(co.done());
  EXPECT_EQ(sum, 7);
}

TEST(CoTest, DoesNotStartByItself) {
  Event event;
  int sum = 0;
  { Co<void> co = Store(event, sum); }
  event.Happen(3);
  EXPECT_EQ(sum, 0);
}

// Counts how many of them there are.
struct Counted {
  explicit Counted(int* of) : count(of) { ++*count; }
  Counted(const Counted& other) : count(other.count) { ++*count; }
  ~Counted() { --*count; }
  int* count;
};

Co<std::string> TakeByValue(Counted counted, std::string text, Event& event) {
  const Counted local(counted);
  co_await event.Wait();
  co_return text + "!";
}

Co<void> PassTemporaries(int* count, Event& event, std::vector<std::string>& said) {
  for (int i = 0; i < 3; ++i) {
    const std::string text = co_await TakeByValue(
        Counted(count), "a text that is too long to be short " + std::to_string(i), event);
    said.push_back(text);
  }
}

TEST(CoTest, TemporariesLiveAndDieOnce) {
  Event event;
  int count = 0;
  std::vector<std::string> said;
  {
    Co<void> co = PassTemporaries(&count, event, said);
    co.Start();
    for (int i = 0; i < 3; ++i) {
      EXPECT_GT(count, 0);
      event.Happen(0);
    }
    EXPECT_TRUE(co.done());
  }
  EXPECT_EQ(count, 0);
  ASSERT_EQ(said.size(), 3u);
  EXPECT_EQ(said[2], "a text that is too long to be short 2!");
}

TEST(CoTest, DroppedWhileItWaitsItsLocalsGoAndTheCallDoesNothing) {
  Event event;
  int count = 0;
  std::vector<std::string> said;
  {
    Co<void> co = PassTemporaries(&count, event, said);
    co.Start();
    EXPECT_GT(count, 0);
  }
  EXPECT_EQ(count, 0);
  event.Happen(0);
  EXPECT_TRUE(said.empty());
}

Co<void> AnswerAtOnce(int& answer) {
  Callback<int> called([](const Callback<int>::Done& done) {
    done(1);
    done(2);
  });
  answer = co_await called;
}

TEST(CoTest, OnlyTheFirstCallCountsAlsoWithinTheStart) {
  int answer = 0;
  Co<void> co = AnswerAtOnce(answer);
  co.Start();
  EXPECT_TRUE(co.done());
  EXPECT_EQ(answer, 1);
}

Co<std::unique_ptr<int>> MoveOnly() { co_return std::make_unique<int>(5); }

Co<void> TakeMoveOnly(int& taken) {
  const std::unique_ptr<int> value = co_await MoveOnly();
  taken = *value;
}

TEST(CoTest, ValuesAreMovedOut) {
  int taken = 0;
  Co<void> co = TakeMoveOnly(taken);
  co.Start();
  EXPECT_EQ(taken, 5);
}

}  // namespace
}  // namespace conclave::sim
