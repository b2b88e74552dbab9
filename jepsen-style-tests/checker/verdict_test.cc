#include "jepsen-style-tests/checker/verdict.h"

#include <gtest/gtest.h>

namespace conclave::checker {
namespace {

TEST(VerdictTest, OneLineSaysWhatWasFoundAndHowMuchWasChecked) {
  Report report{.checker = "linearizability",
                .verdict = Verdict::kFail,
                .anomaly = "stale-read",
                .explanation = "many\nlines",
                .checked = 812,
                .unit = "operations"};
  EXPECT_EQ(ToString(report), "linearizability: FAIL stale-read (812 operations)");
  EXPECT_FALSE(report.passed());

  report.verdict = Verdict::kPass;
  report.anomaly.clear();
  EXPECT_EQ(ToString(report), "linearizability: PASS (812 operations)");
  EXPECT_TRUE(report.passed());
}

TEST(VerdictTest, NamesEveryVerdictAndOutcome) {
  EXPECT_EQ(ToString(Verdict::kPass), "PASS");
  EXPECT_EQ(ToString(Verdict::kFail), "FAIL");
  EXPECT_EQ(ToString(Verdict::kUnknown), "UNKNOWN");
  EXPECT_EQ(ToString(Verdict::kInvalid), "INVALID");
  EXPECT_EQ(ToString(Outcome::kOk), "ok");
  EXPECT_EQ(ToString(Outcome::kFail), "fail");
  EXPECT_EQ(ToString(Outcome::kInfo), "info");
}

TEST(VerdictTest, AnUnknownOutcomeHasNoEnd) {
  EXPECT_EQ(ToString(Outcome::kOk, 1200, 1900), "ok, from 1200 ns to 1900 ns");
  EXPECT_EQ(ToString(Outcome::kInfo, 1200, kNeverReturned), "info, from 1200 ns");
}

}  // namespace
}  // namespace conclave::checker
