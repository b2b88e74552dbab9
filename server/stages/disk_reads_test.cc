// Reads on other lanes: all of them, then the word that they are over, and none that outlives its
// engine's turn.
#include "server/stages/disk_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

class DiskReadsTest : public ::testing::Test {
 protected:
  std::vector<kv::ColdRead> Reads(int count) {
    std::vector<kv::ColdRead> reads;
    for (int i = 0; i < count; ++i) reads.push_back([this] { ++read_; });
    return reads;
  }
  void Run(int count) {
    reads_->Run(Reads(count), [this] { ++done_; });
  }

  ManualExecutor lane_;
  ManualExecutor disk_[2];
  std::shared_ptr<kv::Engine> engine_ = std::make_shared<kv::MemoryEngine>();
  std::unique_ptr<DiskReads> reads_ =
      std::make_unique<DiskReads>(&lane_, std::vector<Executor*>{&disk_[0], &disk_[1]}, &engine_);
  int read_ = 0;
  int done_ = 0;
};

TEST_F(DiskReadsTest, AreSpreadOverTheLanesAndEndTogether) {
  Run(4);
  EXPECT_EQ(reads_->under_way(), 1u);
  disk_[0].RunPosted();
  lane_.RunPosted();
  EXPECT_EQ(read_, 2);
  EXPECT_EQ(done_, 0);
  disk_[1].RunPosted();
  EXPECT_EQ(done_, 0) << "on the lane of who asked";
  lane_.RunPosted();
  EXPECT_EQ(read_, 4);
  EXPECT_EQ(reads_->total(), 4u);
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(reads_->under_way(), 0u);
}

TEST_F(DiskReadsTest, NothingToReadIsOverInATurnOfItsOwn) {
  Run(0);
  EXPECT_EQ(done_, 0);
  lane_.RunPosted();
  EXPECT_EQ(done_, 1);
}

TEST_F(DiskReadsTest, AfterAllNoReadHoldsTheEngine) {
  Run(3);
  bool after = false;
  reads_->AfterAll([&] {
    after = true;
    EXPECT_EQ(engine_.use_count(), 1);
  });
  Run(1);  // later: it may be of another engine
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(after);
    disk_[i % 2].RunPosted();
  }
  EXPECT_TRUE(after);
}

TEST_F(DiskReadsTest, WhoHasGoneIsToldNothing) {
  Run(1);
  reads_.reset();
  for (ManualExecutor& disk : disk_) disk.RunPosted();
  lane_.RunPosted();
  EXPECT_EQ(read_, 1);
  EXPECT_EQ(done_, 0);
}

}  // namespace
}  // namespace conclave::server
