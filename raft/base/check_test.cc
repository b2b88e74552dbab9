#include "raft/base/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace conclave {
namespace {

using testing::ExitedWithCode;
using testing::KilledBySignal;
using testing::MatchesRegex;

int evaluated = 0;
bool Counted(bool result) {
  ++evaluated;
  return result;
}

TEST(CheckTest, WhatHoldsIsEvaluatedOnceAndDoesNothing) {
  evaluated = 0;
  CHECK(Counted(true));
  CHECK_MSG(Counted(true), "never seen");
  EXPECT_EQ(evaluated, 2);
}

TEST(CheckTest, WhatDoesNotHoldAbortsAndSaysWhere) {
  EXPECT_EXIT(CHECK(1 + 1 == 3), KilledBySignal(SIGABRT),
              "base/check_test\\.cc:[0-9]+: CHECK\\(1 \\+ 1 == 3\\)\n$");
  EXPECT_EXIT(CHECK_MSG(false, std::string("more ") + "words"), KilledBySignal(SIGABRT),
              "CHECK\\(false\\): more words\n$");
}

TEST(CheckTest, AMachineThatBetraysUsEndsTheProcessWithoutACoreFile) {
  EXPECT_EXIT(Fatal("the disk is gone"), ExitedWithCode(1), "^fatal: the disk is gone\n$");
}

TEST(CheckTest, TheCrashHookSeesTheWordsBeforeTheEnd) {
  const auto with_hook = [](const auto& end) {
    SetCrashHook([](std::string_view what) {
      std::fprintf(stderr, "flushed after: %s.", std::string(what).c_str());
    });
    end();
  };
  EXPECT_EXIT(with_hook([] { Fatal("no disk"); }), ExitedWithCode(1),
              "flushed after: .*no disk\\.");
  EXPECT_EXIT(with_hook([] { CHECK_MSG(false, "why"); }), KilledBySignal(SIGABRT),
              "flushed after: .*CHECK\\(false\\): why\\.");
}

struct Ended : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One of many members in a process of the simulator ends; the others go on.
TEST(CheckTest, ASimulatedEndIsTheCallersBusiness) {
  SetSimulatedEnd([](bool bug, std::string_view what) {
    const std::string words = (bug ? "bug: " : "fatal: ") + std::string(what);
    throw Ended(words);  // tidy: allow(exceptions) as a simulated end must
  });
  const auto words_of = [](const auto& end) -> std::string {
    try {
      end();
    } catch (const Ended& ended) {  // tidy: allow(exceptions) of the one above
      return ended.what();
    }
    return "went on";
  };
  EXPECT_EQ(words_of([] { Fatal("no disk"); }), "fatal: no disk");
  EXPECT_THAT(words_of([] { CHECK(false); }), MatchesRegex("bug: .*check_test.cc.*CHECK.false."));
  SetSimulatedEnd(nullptr);
}

}  // namespace
}  // namespace conclave
