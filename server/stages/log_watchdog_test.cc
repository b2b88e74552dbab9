#include "server/stages/log_watchdog.h"

#include <gtest/gtest.h>

#include <memory>

#include "raft/base/manual_executor.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

constexpr const char* kLastWords = "the log could not be written for 10 s: the disk of wal hangs";

class LogWatchdogTest : public testing::Test {
 protected:
  ManualExecutor lane_;
  LogWatchdog watchdog_{{.stall_max = Seconds(10), .directory = "wal"}, &lane_};
};

using LogWatchdogDeathTest = LogWatchdogTest;

TEST_F(LogWatchdogDeathTest, AWriteThatHangsEndsTheProcess) {
  watchdog_.WriteStarted();
  EXPECT_EXIT(lane_.Advance(Milliseconds(10'001)), testing::ExitedWithCode(1), kLastWords);
}

TEST_F(LogWatchdogTest, NotBeforeItsTime) {
  watchdog_.WriteStarted();
  lane_.Advance(Milliseconds(9'900));
}

TEST_F(LogWatchdogTest, ASlowDiskIsEndured) {
  watchdog_.WriteStarted();
  for (int i = 0; i < 10; ++i) {
    watchdog_.WriteStarted();  // there is always one under way
    lane_.Advance(Seconds(8));
    watchdog_.WriteDone();
  }
}

TEST_F(LogWatchdogDeathTest, CountsFromTheLastWriteDone) {
  watchdog_.WriteStarted();
  watchdog_.WriteStarted();
  lane_.Advance(Seconds(8));
  watchdog_.WriteDone();
  lane_.Advance(Seconds(9));
  EXPECT_EXIT(lane_.Advance(Seconds(2)), testing::ExitedWithCode(1), kLastWords);
}

TEST_F(LogWatchdogDeathTest, LooksAgainAfterARest) {
  watchdog_.WriteStarted();
  watchdog_.WriteDone();
  lane_.Advance(Seconds(60));
  watchdog_.WriteStarted();
  lane_.Advance(Seconds(9));
  EXPECT_EXIT(lane_.Advance(Seconds(2)), testing::ExitedWithCode(1), kLastWords);
}

TEST_F(LogWatchdogTest, ASuspendedProcessHasLookedOnce) {
  watchdog_.WriteStarted();
  lane_.Advance(Seconds(5));
  lane_.Suspend(Seconds(60));
  lane_.Advance(Milliseconds(500));
  watchdog_.WriteDone();
  lane_.Advance(Seconds(60));
}

TEST_F(LogWatchdogDeathTest, AFullDiskIsNoHungOne) {
  watchdog_.WriteStarted();
  watchdog_.SetDiskFull(true);
  lane_.Advance(Seconds(60));
  watchdog_.SetDiskFull(false);
  lane_.Advance(Seconds(9));
  EXPECT_EXIT(lane_.Advance(Seconds(2)), testing::ExitedWithCode(1), kLastWords);
}

TEST_F(LogWatchdogTest, ZeroIsNever) {
  LogWatchdog never({.stall_max = Duration::zero(), .directory = "wal"}, &lane_);
  never.WriteStarted();
  lane_.Advance(Seconds(1000));
}

// The whole way: a member whose disk holds its writes ends itself, and not because of its peers.
TEST(LogWatchdogNodeDeathTest, AMemberWhoseDiskHangsEndsItself) {
  NodeOptions options;
  options.log_watchdog.directory = "wal";
  TestCluster cluster(3, 1, options);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t member = (cluster.leader() + 1) % 3;
  cluster.disk(member).HoldSyncs(true);
  auto answer = std::make_shared<absl::Status>(absl::UnknownError("pending"));
  cluster.Put(cluster.leader(), "key", "value", answer);
  cluster.Run(Seconds(9));
  EXPECT_TRUE(answer->ok()) << *answer;  // the others serve
  EXPECT_EXIT(cluster.Run(Seconds(3)), testing::ExitedWithCode(1), kLastWords);
}

// A disk with little room is not the log's being full: the log has its reserve.
TEST(LogWatchdogNodeDeathTest, WantOfSpaceElsewhereIsNoReasonToEndureAHang) {
  NodeOptions options;
  options.log_watchdog.directory = "wal";
  options.space.directories = {"wal"};
  TestCluster cluster(3, 2, options);
  ASSERT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(1));
  const size_t member = (cluster.leader() + 1) % 3;
  cluster.disk(member).SetFreeBytes(1);
  cluster.Run(Seconds(2));
  ASSERT_TRUE(cluster.node(member).space().low());
  cluster.disk(member).HoldSyncs(true);
  cluster.Put(cluster.leader(), "key", "value", std::make_shared<absl::Status>());
  EXPECT_EXIT(cluster.Run(Seconds(12)), testing::ExitedWithCode(1), kLastWords);
}

}  // namespace
}  // namespace conclave::server
