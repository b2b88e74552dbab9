#include "server/logging/log_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>

namespace conclave::server {
namespace {

TEST(LogOutputTest, FilesAreAppendedToLineByLine) {
  const std::string path = ::testing::TempDir() + "/log_output_test.log";
  std::remove(path.c_str());
  const auto contents = [&] {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  for (const char* expected : {"one\n", "one\none\n"}) {
    absl::StatusOr<std::unique_ptr<LogOutput>> output = OpenLogOutput(path);
    ASSERT_TRUE(output.ok()) << output.status();
    (*output)->Write("one\n");
    EXPECT_EQ(contents(), expected);
  }
  std::remove(path.c_str());
}

TEST(LogOutputTest, StandardStreamsGoByName) {
  ::testing::internal::CaptureStdout();
  (*OpenLogOutput("stdout"))->Write("to stdout\n");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "to stdout\n");
  for (const char* name : {"stderr", "default"}) {
    ::testing::internal::CaptureStderr();
    (*OpenLogOutput(name))->Write("to stderr\n");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "to stderr\n");
  }
}

TEST(LogOutputTest, APathThatCannotBeOpenedIsAnErrorOfTheFlag) {
  const absl::Status status = OpenLogOutput("/nowhere/at/all").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(::testing::StartsWith("--log-outputs: "),
                               ::testing::HasSubstr("/nowhere/at/all: No such file")));
}

}  // namespace
}  // namespace conclave::server
