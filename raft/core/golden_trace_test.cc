// Replays every trace in raft/core/golden and compares. With CONCLAVE_UPDATE_GOLDEN=1 in the
// environment it writes the new outcomes into the files instead: read the difference before it is
// committed.
#include "raft/core/golden_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"

namespace conclave::raft {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

const fs::path kFolder = fs::path(CONCLAVE_SOURCE_DIR) / "raft" / "core" / "golden";

bool Updating() { return std::getenv("CONCLAVE_UPDATE_GOLDEN") != nullptr; }

std::string Read(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// As "1_elections/01_election", in the order of the course.
std::vector<std::string> TraceNames() {
  std::vector<std::string> names;
  for (const auto& file : fs::recursive_directory_iterator(kFolder)) {
    if (file.path().extension() != ".txt") continue;
    names.push_back(fs::relative(file.path(), kFolder).replace_extension().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenTraceTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTraceTest, ReplaysAsWritten) {
  const fs::path path = kFolder / (GetParam() + ".txt");
  const std::string written = Read(path);
  const std::string replayed = ReplayTrace(written);
  EXPECT_THAT(replayed, Not(HasSubstr("PROBLEM")));
  if (Updating()) {
    std::ofstream(path) << replayed;
    return;
  }
  EXPECT_EQ(replayed, written) << "see the top of golden_trace_test.cc";
}

INSTANTIATE_TEST_SUITE_P(Traces, GoldenTraceTest, testing::ValuesIn(TraceNames()),
                         [](const auto& trace) {
                           std::string name = trace.param;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

// ---- The table of contents. ----

// A trace's line in README.md: its title is its first line.
std::string Listing(const std::string& name) {
  const std::vector<std::string> lines = LinesOf(Read(kFolder / (name + ".txt")));
  return fmt::format("- [{}]({}.txt) {}", fs::path(name).filename().string(), name,
                     lines.empty() ? "" : lines.front());
}

TEST(GoldenCourseTest, TheContentsListExactlyTheTracesThatThereAre) {
  std::vector<std::string> listed;
  for (const std::string& line : LinesOf(Read(kFolder / "README.md"))) {
    if (line.starts_with("- [")) listed.push_back(line);
  }
  std::vector<std::string> expected;
  for (const std::string& name : TraceNames()) expected.push_back(Listing(name));
  EXPECT_THAT(listed, ElementsAreArray(expected));
}

TEST(GoldenCourseTest, EveryTraceBeginsWithASentenceAndTeaches) {
  for (const std::string& name : TraceNames()) {
    const std::vector<std::string> lines = LinesOf(Read(kFolder / (name + ".txt")));
    ASSERT_FALSE(lines.empty()) << name;
    EXPECT_TRUE(lines.front().ends_with('.')) << name;
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
      return line.starts_with("> cluster");
    })) << name;
    size_t prose = 0;
    for (const std::string& line : lines) {
      EXPECT_THAT(line, SizeIs(testing::Le(400u))) << name;
      if (!line.empty() && !line.starts_with("> ") && !line.starts_with("    ")) ++prose;
    }
    EXPECT_GE(prose, 4u) << name << " says too little";
  }
}

// ---- The replay itself. ----

TEST(ReplayTraceTest, OutcomesAreMadeAnew) {
  EXPECT_EQ(ReplayTrace("Alone.\n> cluster 1\n    what was there before\n> status\n"),
            "Alone.\n> cluster 1\n> status\n"
            "    1: follower of term 0, log 1..0, durable 0, commit 0, applied 0\n");
}

TEST(ReplayTraceTest, CommandsThatDoNotApplyAreProblems) {
  EXPECT_THAT(ReplayTrace("> cluster 1\n> write 1\n"), HasSubstr("PROBLEM: cannot write 1"));
  EXPECT_THAT(ReplayTrace("> cluster 1\n> dance 1\n"), HasSubstr("PROBLEM: cannot dance 1"));
  EXPECT_THAT(ReplayTrace("> status\n"), HasSubstr("PROBLEM: cannot status"));
  EXPECT_THAT(ReplayTrace("> cluster 2 wings 2\n"), HasSubstr("PROBLEM: cannot cluster"));
  EXPECT_THAT(ReplayTrace("> cluster 2\n> deliver 1->2\n"), HasSubstr("PROBLEM: cannot deliver"));
}

}  // namespace
}  // namespace conclave::raft
