#include "client/bench/bench_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::client {
namespace {

absl::StatusOr<BenchOptions> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "conclave-bench");
  return ParseBenchOptions(static_cast<int>(arguments.size()), arguments.data());
}

TEST(BenchOptionsTest, Defaults) {
  const auto options = Parse({});
  ASSERT_TRUE(options.ok());
  EXPECT_THAT(options->endpoints, testing::ElementsAre("127.0.0.1:2379"));
  EXPECT_EQ(options->operation, BenchOperation::kPut);
  EXPECT_EQ(options->outstanding, 64u);
  EXPECT_EQ(options->connections, 1u);
  EXPECT_EQ(options->duration, std::chrono::seconds(10));
}

TEST(BenchOptionsTest, ListsAndTimes) {
  const auto options = Parse({"--endpoints=a:1,b:2,c:3", "--server-pids=7,8", "--duration=0.5",
                              "--op=mixed", "--warm-up=0", "--clients=9"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->endpoints, testing::ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_THAT(options->server_pids, testing::ElementsAre(7, 8));
  EXPECT_EQ(options->connections, 3u);
  EXPECT_EQ(options->duration, std::chrono::milliseconds(500));
  EXPECT_EQ(options->warm_up, std::chrono::milliseconds(0));
  EXPECT_EQ(options->operation, BenchOperation::kMixed);
  EXPECT_EQ(options->outstanding, 9u);
}

TEST(BenchOptionsTest, OneConnectionToTheLeaderUnlessMoreAreAskedFor) {
  EXPECT_EQ(Parse({"--endpoints=a:1,b:2", "--target-leader"})->connections, 1u);
  EXPECT_EQ(Parse({"--endpoints=a:1,b:2", "--target-leader", "--connections=4"})->connections, 4u);
}

TEST(BenchOptionsTest, EveryOperationHasItsName) {
  for (const char* name : {"put", "range", "txn", "mixed", "watch", "keepalive"}) {
    const auto options = Parse({"--op", name});
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_STREQ(NameOf(options->operation), name);
  }
}

TEST(BenchOptionsTest, AWatchLoadNeedsRoomForTheTime) {
  EXPECT_TRUE(Parse({"--op=watch", "--value-size=20"}).ok());
  EXPECT_EQ(Parse({"--op=watch", "--value-size=19"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(BenchOptionsTest, HelpIsNotAnError) {
  const auto options = Parse({"--help"});
  EXPECT_EQ(options.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(options.status().message()), testing::HasSubstr("--outstanding"));
}

TEST(BenchOptionsTest, WrongOnesAreNamed) {
  for (const auto& [argument, named] :
       std::vector<std::pair<const char*, const char*>>{{"--outstanding=0", "--outstanding"},
                                                        {"--op=nonsense", "--op"},
                                                        {"--key-size=2", "--key-size"},
                                                        {"--read-percent=101", "--read-percent"},
                                                        {"--watchers=0", "--watchers"},
                                                        {"--nonsense", "--nonsense"}}) {
    const auto options = Parse({argument});
    ASSERT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument) << argument;
    EXPECT_THAT(std::string(options.status().message()), testing::HasSubstr(named));
  }
}

}  // namespace
}  // namespace conclave::client
