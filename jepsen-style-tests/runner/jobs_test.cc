#include "jepsen-style-tests/runner/jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Results = std::map<uint64_t, std::optional<std::string>>;

// The results of tasks `first` to `last`; each must end once.
Results RunTasks(const JobsOptions& options, uint64_t first, uint64_t last,
                 const std::function<std::string(uint64_t task)>& work) {
  Results results;
  RunJobs(
      options, first, [last](uint64_t next) { return next <= last; }, work,
      [&](uint64_t task, std::optional<std::string> result) {
        EXPECT_TRUE(results.emplace(task, std::move(result)).second) << task;
      });
  return results;
}

TEST(JobsTest, EveryTaskGivesItsResult) {
  for (const size_t jobs : {1, 3}) {
    const Results results =
        RunTasks({.jobs = jobs}, 5, 30, [](uint64_t task) { return "of " + std::to_string(task); });
    ASSERT_EQ(results.size(), 26u);
    for (const auto& [task, result] : results) EXPECT_EQ(result, "of " + std::to_string(task));
  }
}

TEST(JobsTest, ResultsMayBeEmptyOrLargerThanAPipe) {
  const Results results =
      RunTasks({.jobs = 2}, 0, 2, [](uint64_t task) { return std::string(task * 200'000, '\0'); });
  for (const auto& [task, result] : results) {
    EXPECT_EQ(result, std::string(task * 200'000, '\0'));
  }
}

TEST(JobsTest, WorkIsDoneInAnotherProcessThatLivesOn) {
  int done_here = 0;
  const Results results =
      RunTasks({.jobs = 1}, 1, 3, [&](uint64_t) { return std::to_string(++done_here); });
  EXPECT_THAT(results, ElementsAre(Pair(1, "1"), Pair(2, "2"), Pair(3, "3")));
  EXPECT_EQ(done_here, 0);
}

TEST(JobsTest, AChildThatDiesTakesOnlyItsTaskAlong) {
  for (const size_t jobs : {1, 2}) {
    int done_by_child = 0;
    const Results results = RunTasks({.jobs = jobs}, 0, 9, [&](uint64_t task) {
      if (task == 2) std::abort();
      if (task == 4) _exit(0);
      return jobs == 1 ? std::to_string(++done_by_child) : "done";
    });
    ASSERT_EQ(results.size(), 10u);
    for (const auto& [task, result] : results) {
      EXPECT_EQ(result.has_value(), task != 2 && task != 4) << task;
    }
    if (jobs == 1) {  // each time a new process has gone on
      EXPECT_EQ(results.at(1), "2");
      EXPECT_EQ(results.at(3), "1");
      EXPECT_EQ(results.at(9), "5");
    }
  }
}

TEST(JobsTest, AnExceptionEndsTheChild) {
  const pid_t parent = getpid();
  Results results;
  try {
    results = RunTasks({.jobs = 1}, 0, 2, [](uint64_t task) -> std::string {
      if (task == 1) throw std::runtime_error("thrown by the work");
      return "done";
    });
  } catch (const std::runtime_error&) {
    // The child, which would go on as if it were the parent.
    kill(parent, SIGABRT);
    _exit(1);
  }
  EXPECT_THAT(results, ElementsAre(Pair(0, "done"), Pair(1, std::nullopt), Pair(2, "done")));
}

TEST(JobsTest, AHangingChildIsKilledWhileTheOthersGoOn) {
  const Results results =
      RunTasks({.jobs = 2, .timeout = Milliseconds(300)}, 0, 9, [](uint64_t task) -> std::string {
        while (task == 1) pause();
        return "done";
      });
  ASSERT_EQ(results.size(), 10u);
  for (const auto& [task, result] : results) EXPECT_EQ(result.has_value(), task != 1) << task;
}

TEST(JobsTest, NothingIsBegunAfterTheLast) {
  std::vector<uint64_t> asked;
  const auto more = [&](uint64_t next) {
    asked.push_back(next);
    return next < 3;
  };
  std::vector<uint64_t> done;
  RunJobs(
      {.jobs = 1}, 1, more, [](uint64_t) { return std::string(); },
      [&](uint64_t task, const std::optional<std::string>&) { done.push_back(task); });
  EXPECT_THAT(done, ElementsAre(1, 2));
  EXPECT_THAT(asked, ElementsAre(1, 2, 3));

  done.clear();
  RunJobs(
      {.jobs = 3}, 7, [](uint64_t) { return false; }, [](uint64_t) { return std::string(); },
      [&](uint64_t task, const std::optional<std::string>&) { done.push_back(task); });
  EXPECT_THAT(done, IsEmpty());
}

TEST(JobsTest, AResultMayStopTheRestAndWhatIsBegunEnds) {
  bool stopped = false;
  std::map<uint64_t, std::string> results;
  RunJobs(
      {.jobs = 2}, 0, [&](uint64_t) { return !stopped; },
      [](uint64_t task) {
        if (task == 1) usleep(100'000);
        return std::to_string(task);
      },
      [&](uint64_t task, std::optional<std::string> result) {
        stopped = true;
        results[task] = result.value_or("absent");
      });
  EXPECT_THAT(results, ElementsAre(Pair(0, "0"), Pair(1, "1")));
}

}  // namespace
}  // namespace conclave::sim
