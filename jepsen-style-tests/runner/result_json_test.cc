#include "jepsen-style-tests/runner/result_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace conclave::sim {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

RunResult SomeResult() {
  RunResult result;
  result.seed = std::numeric_limits<uint64_t>::max();
  result.verdict = checker::Verdict::kFail;
  result.failed_by = "raft: left before durable";
  result.explanation = "two lines\nand a \"quote\"";
  result.last_lines = {"first", "", "last"};
  result.trace_hash = 0xfedcba9876543210u;
  result.simulated_s = 12.345678901;
  result.events = 7;
  result.operations = 8;
  result.faults = {{"crash", 3}, {"kill", 1}};
  result.probes = {{"a rare path", 0}, {"another", 9}};
  return result;
}

TEST(ResultJsonTest, EverythingComesBack) {
  const RunResult sent = SomeResult();
  const absl::StatusOr<RunResult> got = ResultFromJson(ToJson(sent));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->seed, sent.seed);
  EXPECT_EQ(got->verdict, sent.verdict);
  EXPECT_EQ(got->failed_by, sent.failed_by);
  EXPECT_EQ(got->explanation, sent.explanation);
  EXPECT_EQ(got->last_lines, sent.last_lines);
  EXPECT_EQ(got->trace_hash, sent.trace_hash);
  EXPECT_EQ(got->simulated_s, sent.simulated_s);
  EXPECT_EQ(got->events, sent.events);
  EXPECT_EQ(got->operations, sent.operations);
  EXPECT_EQ(got->faults, sent.faults);
  EXPECT_EQ(got->probes, sent.probes);
}

TEST(ResultJsonTest, EveryVerdictComesBackAndHasItsName) {
  for (const checker::Verdict verdict : {checker::Verdict::kPass, checker::Verdict::kFail,
                                         checker::Verdict::kUnknown, checker::Verdict::kInvalid}) {
    RunResult sent;
    sent.verdict = verdict;
    const std::string text = ToJson(sent);
    EXPECT_THAT(text, HasSubstr(std::string(checker::ToString(verdict))));
    const absl::StatusOr<RunResult> got = ResultFromJson(text);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->verdict, verdict);
  }
}

TEST(ResultJsonTest, BytesThatAreNoTextAreReplaced) {
  RunResult sent;
  sent.explanation = "key \xff\x80.";
  const absl::StatusOr<RunResult> got = ResultFromJson(ToJson(sent));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(got->explanation, HasSubstr("key \xef\xbf\xbd"));
}

TEST(ResultJsonTest, WhatIsNoResultIsRefused) {
  for (const char* text : {"", "{", "null", "7", "[]", "{}", "{\"seed\": 1}"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ResultFromJson(text).status())) << text;
  }
  const std::string whole = ToJson(SomeResult());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_TRUE(absl::IsInvalidArgument(ResultFromJson(whole.substr(0, length)).status()));
  }
}

TEST(ResultJsonTest, AMissingOrWrongFieldIsRefused) {
  const json whole = json::parse(ToJson(SomeResult()));
  for (const auto& [name, value] : whole.items()) {
    if (name == "verdict_name") continue;  // for readers only
    json without = whole;
    without.erase(name);
    EXPECT_TRUE(absl::IsInvalidArgument(ResultFromJson(without.dump()).status())) << name;
    json wrong = whole;
    wrong[name] = json::array({json::array()});
    EXPECT_TRUE(absl::IsInvalidArgument(ResultFromJson(wrong.dump()).status())) << name;
  }
  for (const int verdict : {-1, 4}) {
    json wrong = whole;
    wrong["verdict"] = verdict;
    EXPECT_TRUE(absl::IsInvalidArgument(ResultFromJson(wrong.dump()).status())) << verdict;
  }
}

}  // namespace
}  // namespace conclave::sim
