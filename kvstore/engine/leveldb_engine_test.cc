// What is particular to LevelDB: what a crash leaves of it, and how damage is met.

#include "kvstore/engine/leveldb_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

class LevelDbEngineTest : public ::testing::Test {
 protected:
  LevelDbEngineTest() {
    options_.write_buffer_bytes = 64 << 10;
    Open();
  }

  void Open() {
    auto opened = OpenLevelDbEngine(&fs_, "data/db", options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }
  // The power goes: nothing that was not synced comes back.
  void Crash() {
    engine_.reset();
    disk_.CrashAndLose();
  }
  // Batch number `number`: puts a key of its own and says how many there have been.
  void WriteNumbered(int number, size_t value_bytes = 100) {
    WriteBatch batch;
    batch.Put("count", std::to_string(number));
    batch.Put("key" + std::to_string(number), std::string(value_bytes, 'v'));
    engine_->Write(batch);
  }
  // How many batches the engine holds; fails unless they are the first ones, each whole.
  int CountBatches() {
    const int count = std::stoi(engine_->Get("count").value_or("0"));
    int keys = 0;
    const std::unique_ptr<Iterator> it = engine_->NewIterator();
    for (it->Seek("key"); it->Valid(); it->Next()) ++keys;
    EXPECT_EQ(keys, count);
    for (int i = 1; i <= count; ++i) {
      EXPECT_TRUE(engine_->Get("key" + std::to_string(i)).has_value()) << i;
    }
    return count;
  }
  std::vector<std::string> FilesWith(std::string_view suffix) {
    std::vector<std::string> found;
    const std::vector<std::string> names = *disk_.List("data/db");
    for (const std::string& name : names) {
      if (name.ends_with(suffix)) found.push_back("data/db/" + name);
    }
    return found;
  }

  // Enough of the same keys for some compactions.
  void WriteManyTables() {
    for (int i = 1; i <= 100; ++i) {
      WriteNumbered(i % 10, 1000);
      engine_->Flush();
    }
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  LevelDbOptions options_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(LevelDbEngineTest, FlushMakesAllDurable) {
  for (int i = 1; i <= 50; ++i) WriteNumbered(i);
  engine_->Flush();
  Crash();
  Open();
  EXPECT_EQ(CountBatches(), 50);
}

TEST_F(LevelDbEngineTest, WithoutFlushACrashLeavesNothingOfASmallHistory) {
  WriteNumbered(1);
  engine_->Flush();
  for (int i = 2; i <= 50; ++i) WriteNumbered(i);
  Crash();
  Open();
  EXPECT_EQ(CountBatches(), 1);
}

TEST_F(LevelDbEngineTest, ACrashLeavesAPrefixOfHistoryWhateverWasFlushed) {
  Random random(3);
  int expected_min = 0;
  int number = 0;
  for (int round = 0; round < 12; ++round) {
    for (uint64_t n = random.Below(400); n > 0; --n) {
      WriteNumbered(++number, 1000);
      if (random.OneIn(150)) {
        engine_->Flush();
        expected_min = number;
      }
    }
    engine_.reset();
    if (random.OneIn(2)) {
      disk_.CrashAndLose();
    } else {
      disk_.CrashAndKeepSome(random);
    }
    Open();
    const int count = CountBatches();
    EXPECT_GE(count, expected_min);
    EXPECT_LE(count, number);
    number = expected_min = count;
  }
  EXPECT_GT(number, 100);
}

TEST_F(LevelDbEngineTest, FlushMayRunWhileAnotherThreadWrites) {
  std::atomic<bool> stop = false;
  std::thread flusher([&] {  // tidy: allow(determinism) the promise is about threads
    while (!stop) engine_->Flush();
  });
  for (int i = 1; i <= 2000; ++i) WriteNumbered(i);
  stop = true;
  flusher.join();
  engine_->Flush();
  Crash();
  Open();
  EXPECT_EQ(CountBatches(), 2000);
}

TEST_F(LevelDbEngineTest, NoLogReachesTheDisk) {
  for (int i = 1; i <= 500; ++i) WriteNumbered(i, 1000);
  engine_->Flush();
  EXPECT_THAT(FilesWith(".log"), ::testing::IsEmpty());
  EXPECT_THAT(FilesWith(".ldb"), ::testing::Not(::testing::IsEmpty()));
}

TEST_F(LevelDbEngineTest, SizeIsKnownAgainAfterReopening) {
  for (int i = 1; i <= 500; ++i) WriteNumbered(i, 1000);
  engine_->Flush();
  const uint64_t before = engine_->SizeBytes();
  engine_.reset();
  Open();
  EXPECT_GT(engine_->SizeBytes(), before / 2);
  EXPECT_LT(engine_->SizeBytes(), before * 2);
}

TEST_F(LevelDbEngineTest, ATableIsSyncedNowAndThenIfAskedFor) {
  options_.write_buffer_bytes = 4 << 20;
  const auto syncs_of_a_table = [this](size_t sync_every_bytes) {
    options_.sync_every_bytes = sync_every_bytes;
    engine_.reset();
    Open();
    for (int i = 1; i <= 20; ++i) WriteNumbered(i, 100 << 10);
    int syncs = 0;
    disk_.SetFault([&syncs](MemoryFileSystem::Operation operation, const std::string& path) {
      syncs += operation == MemoryFileSystem::Operation::kSync && path.ends_with(".ldb");
      return absl::OkStatus();
    });
    engine_->Flush();
    disk_.SetFault(nullptr);
    return syncs;
  };
  EXPECT_EQ(syncs_of_a_table(0), 1);
  const int syncs = syncs_of_a_table(256 << 10);  // of 2,000 KiB
  EXPECT_GE(syncs, 7);
  EXPECT_LE(syncs, 9);
}

TEST_F(LevelDbEngineTest, LookupsInVainHaveNothingCompacted) {
  for (int i = 1; i <= 3; ++i) {
    WriteNumbered(i, 10'000);
    engine_->Flush();
  }
  const std::vector<std::string> before = FilesWith(".ldb");
  ASSERT_THAT(before, ::testing::SizeIs(::testing::Ge(2u)));
  // LevelDB would have enough of them after 100.
  for (int i = 0; i < 20'000; ++i) EXPECT_EQ(engine_->Get("key1x"), std::nullopt);
  EXPECT_EQ(FilesWith(".ldb"), before);
}

TEST_F(LevelDbEngineTest, HistoryHasTablesThatAreMergedWithNothing) {
  options_.history_from = "r";
  engine_.reset();
  Open();
  constexpr int kFlushes = 20;
  for (int flush = 0; flush < kFlushes; ++flush) {
    for (int i = 0; i < 10; ++i) {
      WriteBatch batch;
      batch.Put("latest" + std::to_string(i), std::to_string(flush));
      batch.Put("r" + std::to_string(1000 + 10 * flush + i), std::string(100, 'v'));
      engine_->Write(batch);
    }
    engine_->Flush();
  }
  // Those of the latest state are merged into one whenever there are four.
  EXPECT_GE(FilesWith(".ldb").size(), kFlushes);
}

TEST_F(LevelDbEngineTest, SpaceOfDeletedHistoryComesBackByItself) {
  options_.history_from = "r";
  options_.write_buffer_bytes = 16 << 20;
  engine_.reset();
  Open();
  constexpr int kRows = 40'000;
  const auto key_of = [](int row) { return "r" + std::to_string(100'000 + row); };
  WriteBatch batch;
  for (int row = 0; row < kRows; ++row) batch.Put(key_of(row), std::string(100, 'v'));
  engine_->Write(batch);
  engine_->Flush();
  const uint64_t full = engine_->SizeBytes();
  ASSERT_GT(full, 100u * kRows);
  const std::unique_ptr<File> table = *fs_.Open(FilesWith(".ldb")[0], OpenMode::kReadOnly);
  batch.Clear();
  for (int row = 0; row < kRows; ++row) batch.Delete(key_of(row));
  engine_->Write(batch);
  engine_->Flush();
  for (int look = 0; look < 1000 && engine_->SizeBytes() > full / 10; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // tidy: allow(determinism) threads
  }
  EXPECT_LT(engine_->SizeBytes(), full / 10);
  engine_.reset();  // what it was about to remove is
  EXPECT_EQ(*table->Size(), 0u) << "only a gradual removal takes it from who has it open";
}

// LevelDB looks for what it can remove after each compaction: among the files that it has made, not
// in the directory, which takes long to read where there are thousands.
TEST_F(LevelDbEngineTest, TheDirectoryIsReadOnlyWhenItIsOpened) {
  const std::string stray = "data/db/000001.ldb";
  ASSERT_TRUE(fs_.Open(stray, OpenMode::kCreateOrKeep).ok());
  WriteManyTables();
  EXPECT_TRUE(disk_.Exists(stray));
  engine_.reset();
  Open();
  EXPECT_FALSE(disk_.Exists(stray));
}

TEST_F(LevelDbEngineTest, AFileThatCouldNotBeRemovedIsTriedAgain) {
  std::set<std::string> refused;
  disk_.SetFault([&](MemoryFileSystem::Operation operation, const std::string& path) {
    const bool refuses = operation == MemoryFileSystem::Operation::kRemove &&
                         path.ends_with(".ldb") && refused.insert(path).second;
    return refuses ? absl::UnavailableError("not now") : absl::OkStatus();
  });
  WriteManyTables();
  disk_.SetFault(nullptr);
  ASSERT_GT(refused.size(), 1u);
  const auto is_gone = [&](const std::string& path) { return !disk_.Exists(path); };
  EXPECT_TRUE(std::any_of(refused.begin(), refused.end(), is_gone));
}

TEST_F(LevelDbEngineTest, TheDirectoryIsLocked) {
  EXPECT_EQ(OpenLevelDbEngine(&fs_, "data/db", options_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LevelDbEngineTest, LosingATableIsDataLoss) {
  WriteNumbered(1);
  engine_->Flush();
  engine_.reset();
  for (const std::string& path : FilesWith(".ldb")) ASSERT_TRUE(disk_.Remove(path).ok());
  EXPECT_EQ(OpenLevelDbEngine(&fs_, "data/db", options_).status().code(),
            absl::StatusCode::kDataLoss);
}

using LevelDbEngineDeathTest = LevelDbEngineTest;

TEST_F(LevelDbEngineDeathTest, ADamagedTableEndsTheProcessWhenRead) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (int i = 1; i <= 10; ++i) WriteNumbered(i);
  engine_->Flush();
  engine_.reset();
  disk_.KillProcess();
  for (const std::string& path : FilesWith(".ldb")) disk_.FlipBits(path, 20, 0x01);
  Open();
  EXPECT_EXIT(CountBatches(), ::testing::ExitedWithCode(1), "storage engine");
}

TEST_F(LevelDbEngineDeathTest, AFailedSyncEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        disk_.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
          return operation == MemoryFileSystem::Operation::kSync ? absl::InternalError("no sync")
                                                                 : absl::OkStatus();
        });
        WriteNumbered(1);
        engine_->Flush();
      },
      ::testing::ExitedWithCode(1), "no sync");
}

}  // namespace
}  // namespace conclave::kv
