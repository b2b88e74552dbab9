// A write buffer that is full because the disk is behind: who asks need not wait, and nobody makes
// it grow without end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/posix_executor.h"

namespace conclave::kv {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr size_t kValueBytes = 10'000;
// Writes with which a buffer is full, and is flushed.
constexpr int kFull = 7;

class LevelDbRoomTest : public ::testing::Test {
 protected:
  LevelDbRoomTest() {
    options_.write_buffer_bytes = kBufferBytes;
    Open();
    disk_.SetFault([this](MemoryFileSystem::Operation operation, const std::string& path) {
      const bool of_table =
          operation == MemoryFileSystem::Operation::kSync && path.ends_with(".ldb");
      if (of_table) disk_goes_on_.wait();
      return absl::OkStatus();
    });
  }
  ~LevelDbRoomTest() override { LetDiskGoOn(); }

  void Open() { engine_ = *OpenLevelDbEngine(&fs_, "data/db", options_); }
  void LetDiskGoOn() {
    if (!disk_goes_on_.try_wait()) disk_goes_on_.count_down();
  }
  void Write() {
    WriteBatch batch;
    batch.Put("key" + std::to_string(++written_), std::string(kValueBytes, 'v'));
    engine_->Write(batch);
  }
  void Fill() {
    for (int i = 0; i < 2 * kFull; ++i) Write();
  }
  int CountKeys() const {
    int keys = 0;
    const std::unique_ptr<Iterator> it = engine_->NewIterator();
    for (it->Seek(""); it->Valid(); it->Next()) ++keys;
    return keys;
  }

  std::latch disk_goes_on_{1};  // until then no table is synced
  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  LevelDbOptions options_;
  std::unique_ptr<Engine> engine_;
  std::atomic<int> written_ = 0;
  // Another thread; gone once it has done all that it was given.
  std::unique_ptr<PosixExecutor> other_ = std::make_unique<PosixExecutor>("other");
};

TEST_F(LevelDbRoomTest, WhoAsksIsToldOnceThereIsRoom) {
  for (int i = 0; i < kFull; ++i) {
    EXPECT_TRUE(engine_->HasRoom());
    Write();
  }
  EXPECT_TRUE(engine_->HasRoom()) << "while the first buffer is flushed";
  for (int i = 0; i < kFull; ++i) Write();
  EXPECT_FALSE(engine_->HasRoom());
  Write();  // a small one after it does not wait
  std::latch told(1);
  std::atomic<bool> early = true;
  engine_->AwaitRoom([&] {
    EXPECT_FALSE(early);
    told.count_down();
  });
  early = false;
  LetDiskGoOn();
  told.wait();
  EXPECT_TRUE(engine_->HasRoom());
  bool at_once = false;
  engine_->AwaitRoom([&] { at_once = true; });
  EXPECT_TRUE(at_once);
  EXPECT_EQ(CountKeys(), written_);
}

TEST_F(LevelDbRoomTest, AFlushThatIsAskedForMeanwhileHasAllThatWasWritten) {
  Fill();
  Write();
  std::latch asks(1);
  other_->Post([&] {
    asks.count_down();
    engine_->Flush();
  });
  asks.wait();
  // The disk stands still, so it is asked for while the first flush is under way.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // tidy: allow(determinism) threads
  LetDiskGoOn();
  other_.reset();
  engine_.reset();
  disk_.CrashAndLose();
  Open();
  EXPECT_EQ(CountKeys(), written_);
}

TEST_F(LevelDbRoomTest, AFlushOfNothingMoreEndsWithTheOneUnderWay) {
  for (int i = 0; i < kFull; ++i) Write();
  other_->Post([this] { engine_->Flush(); });
  LetDiskGoOn();
  other_.reset();
  engine_->Flush();
  EXPECT_TRUE(engine_->HasRoom());
}

TEST_F(LevelDbRoomTest, WhoDoesNotAskWaitsWhenTwoBuffersAreFull) {
  other_->Post([this] {
    for (int i = 0; i < 10 * kFull; ++i) Write();
  });
  while (written_ < 2 * kFull) std::this_thread::yield();      // tidy: allow(determinism) threads
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // tidy: allow(determinism) threads
  EXPECT_LE(written_, 3 * kFull + 1);
  LetDiskGoOn();
  other_.reset();
  EXPECT_EQ(CountKeys(), written_);
}

TEST_F(LevelDbRoomTest, EndsWhileItIsBehind) {
  Fill();
  Write();
  bool told = false;
  engine_->AwaitRoom([&told] { told = true; });
  LetDiskGoOn();
  engine_.reset();
}

}  // namespace
}  // namespace conclave::kv
