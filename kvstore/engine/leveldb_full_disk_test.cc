// The engine on a disk that is full for a while: it waits, loses nothing and answers reads; or, if
// it is not to wait, says so.
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

  void Open(const LevelDbOptions& options = {}) {
    engine_.reset();
    auto opened = OpenLevelDbEngine(&fs_, "db", options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  void Put(const std::string& key) {
    WriteBatch batch;
    batch.Put(key, "value");
    engine_->Write(batch);
  }

  // More than the write buffers of Small() hold.
  void PutMuch() {
    WriteBatch batch;
    for (int i = 0; i < 8; ++i) {
      batch.Clear();
      batch.Put("much" + std::to_string(i), std::string(kSmallBufferBytes / 2, 'v'));
      engine_->Write(batch);
    }
  }

  // Work on a lane of its own, once the full disk has refused it something.
  template <typename Work>
  std::future<void> StartInVain(Work work) {
    const int before = refused_;
    auto done = std::make_shared<std::promise<void>>();
    background_.Post([work, done] {
      work();
      done->set_value();
    });
    refused_.wait(before);
    return done->get_future();
  }
  std::future<void> FlushInVain() {
    return StartInVain([this] { engine_->Flush(); });
  }

  static bool IsOver(const std::future<void>& work) {
    return work.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  // A flush of so much is not the one of a few rows that the other tests have (FinishTable).
  static constexpr size_t kSmallBufferBytes = 256 << 10;
  static LevelDbOptions Small(bool waits_for_space) {
    LevelDbOptions options;
    options.write_buffer_bytes = kSmallBufferBytes;
    options.waits_for_space = waits_for_space;
    return options;
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

// What the buffers hold is not lost, and what does not fit waits (docs/operations.md).
TEST_F(LevelDbFullDiskTest, AWriteWaitsOnceTheBuffersAreFull) {
  Open(Small(/*waits_for_space=*/true));
  full_ = true;
  std::future<void> writes = StartInVain([this] { PutMuch(); });
  EXPECT_EQ(writes.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  EXPECT_TRUE(engine_->CheckSpace().ok());

  full_ = false;
  writes.get();
  EXPECT_EQ(engine_->Get("much7").value_or("").size(), kSmallBufferBytes / 2);
}

TEST_F(LevelDbFullDiskTest, OneThatDoesNotWaitTellsInstead) {
  Open(Small(/*waits_for_space=*/false));
  PutMuch();
  engine_->Flush();
  EXPECT_TRUE(engine_->CheckSpace().ok());

  full_ = true;
  PutMuch();
  engine_->Flush();
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->CheckSpace()));
  EXPECT_THAT(std::string(engine_->CheckSpace().message()), testing::HasSubstr("no space left"));
  full_ = false;
  PutMuch();
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->CheckSpace())) << "good for nothing any more";
}

TEST_F(LevelDbFullDiskTest, OpeningFailsAtOnce) {
  engine_.reset();
  full_ = true;
  const auto opened = OpenLevelDbEngine(&fs_, "db", {});
  EXPECT_TRUE(absl::IsResourceExhausted(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), testing::HasSubstr("no space left"));
}

}  // namespace
}  // namespace conclave::kv
