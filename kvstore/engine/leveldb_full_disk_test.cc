// The engine on a disk that is full for a while: it waits, loses nothing and answers reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/posix_executor.h"

namespace conclave::kv {
namespace {

using Operation = MemoryFileSystem::Operation;

class LevelDbFullDiskTest : public ::testing::Test {
 protected:
  LevelDbFullDiskTest() {
    disk_.SetFault([this](Operation operation, const std::string& path) {
      const bool takes_space = operation == Operation::kCreate || operation == Operation::kWrite ||
                               operation == Operation::kRename;
      if (!full_ || !takes_space) return absl::OkStatus();
      ++refused_;
      refused_.notify_all();
      return absl::ResourceExhaustedError(path + ": no space left on device");
    });
    Open();
  }
  ~LevelDbFullDiskTest() override { engine_.reset(); }

  void Open() {
    auto opened = OpenLevelDbEngine(&fs_, "db", {});
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  void Put(const std::string& key) {
    WriteBatch batch;
    batch.Put(key, "value");
    engine_->Write(batch);
  }

  // A flush on a lane of its own, once the full disk has refused it something.
  std::future<void> FlushInVain() {
    const int before = refused_;
    auto flushed = std::make_shared<std::promise<void>>();
    background_.Post([this, flushed] {
      engine_->Flush();
      flushed->set_value();
    });
    refused_.wait(before);
    return flushed->get_future();
  }

  static bool IsOver(const std::future<void>& flush) {
    return flush.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::atomic<bool> full_ = false;
  std::atomic<int> refused_ = 0;
  std::unique_ptr<Engine> engine_;
  PosixExecutor background_{"flush"};
};

TEST_F(LevelDbFullDiskTest, AFlushWaitsAndReadsAndWritesGoOn) {
  Put("a");
  full_ = true;
  std::future<void> flush = FlushInVain();
  Put("b");
  EXPECT_EQ(engine_->Get("a"), "value");
  EXPECT_EQ(engine_->Get("b"), "value");
  EXPECT_FALSE(IsOver(flush));

  full_ = false;
  flush.get();
  engine_->Flush();
  engine_.reset();
  disk_.CrashAndLose();
  Open();
  EXPECT_EQ(engine_->Get("a"), "value");
  EXPECT_EQ(engine_->Get("b"), "value");
}

TEST_F(LevelDbFullDiskTest, TheEndOfTheProcessWaitsForNothing) {
  Put("kept");
  engine_->Flush();
  Put("unflushed");
  full_ = true;
  std::future<void> flush = FlushInVain();
  engine_->StopWaitingForSpace();
  flush.get();
  engine_->Flush();
  engine_.reset();

  // Whoever has a log brings the rest back.
  full_ = false;
  Open();
  EXPECT_EQ(engine_->Get("kept"), "value");
  EXPECT_EQ(engine_->Get("unflushed"), std::nullopt);
}

TEST_F(LevelDbFullDiskTest, OpeningFailsAtOnce) {
  engine_.reset();
  full_ = true;
  const auto opened = OpenLevelDbEngine(&fs_, "db", {});
  EXPECT_TRUE(absl::IsFailedPrecondition(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), testing::HasSubstr("no space left"));
}

}  // namespace
}  // namespace conclave::kv
