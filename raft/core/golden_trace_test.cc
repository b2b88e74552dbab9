// Replays every trace in raft/core/golden and compares. With CONCLAVE_UPDATE_GOLDEN=1 in the
// environment it writes the new outcomes into the files instead: read the difference before it is
// committed.
#include "raft/core/golden_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace conclave::raft {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::filesystem::path kFolder =
    std::filesystem::path(CONCLAVE_SOURCE_DIR) / "raft" / "core" / "golden";

std::vector<std::string> TraceNames() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFolder)) {
    names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenTraceTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTraceTest, ReplaysAsWritten) {
  const std::filesystem::path path = kFolder / (GetParam() + ".txt");
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  const std::string replayed = ReplayTrace(written.str());
  EXPECT_THAT(replayed, Not(HasSubstr("PROBLEM")));
  if (std::getenv("CONCLAVE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << replayed;
    return;
  }
  EXPECT_EQ(replayed, written.str()) << "see the top of golden_trace_test.cc";
}

INSTANTIATE_TEST_SUITE_P(Traces, GoldenTraceTest, testing::ValuesIn(TraceNames()),
                         [](const auto& trace) { return trace.param; });

TEST(GoldenTraceTest, OutcomesAreMadeAnew) {
  EXPECT_EQ(ReplayTrace("Alone.\n> cluster 1\n    what was there before\n> status\n"),
            "Alone.\n> cluster 1\n> status\n"
            "    1: follower of term 0, log 1..0, durable 0, commit 0, applied 0\n");
}

TEST(GoldenTraceTest, CommandsThatDoNotApplyAreProblems) {
  EXPECT_THAT(ReplayTrace("> cluster 1\n> write 1\n"), HasSubstr("PROBLEM: cannot write 1"));
  EXPECT_THAT(ReplayTrace("> cluster 1\n> dance 1\n"), HasSubstr("PROBLEM: cannot dance 1"));
  EXPECT_THAT(ReplayTrace("> status\n"), HasSubstr("PROBLEM: cannot status"));
}

}  // namespace
}  // namespace conclave::raft
