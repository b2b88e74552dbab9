// The engine home on disk under every crash, and what is refused: before each operation that
// changes the disk the state of that moment is taken, what is unsynced is lost, kept or torn, and
// a home is opened on it.
#include "kvstore/engine/leveldb_home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/base/crash_images.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kHome[] = "data/db";
constexpr int kTornImages = 3;  // of each moment, beside the two extremes

LevelDbOptions SmallAndDrained() {
  LevelDbOptions options;
  options.write_buffer_bytes = 64 << 10;
  options.drained = true;
  return options;
}

using Rows = std::map<std::string, std::string>;

Rows RowsOf(const Engine& engine) {
  Rows rows;
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(""); it->Valid(); it->Next()) rows.emplace(it->key(), it->value());
  return rows;
}

// Adopts one snapshot after the other. At any moment a crash may leave `either` of two states.
class AdoptionRun {
 public:
  void Run(int snapshots) {
    // Called on LevelDB's thread as well, while the test waits for it.
    disk_.SetFault([this](MemoryFileSystem::Operation operation, const std::string&) {
      if (MemoryFileSystem::Mutates(operation)) TryCrashes();
      return absl::OkStatus();
    });
    std::unique_ptr<EngineHome> home = NewLevelDbHome(&locked_, kHome, SmallAndDrained());
    std::unique_ptr<Engine> live = *home->Open();
    for (int i = 1; i <= snapshots && !::testing::Test::HasFailure(); ++i) {
      Adopt(*home, live, i);
      if (i != 2) continue;
      live.reset();
      home = NewLevelDbHome(&locked_, kHome, SmallAndDrained());
      live = *home->Open();
    }
  }

  int images() const { return images_; }

 private:
  void Adopt(EngineHome& home, std::unique_ptr<Engine>& live, int snapshot) {
    std::unique_ptr<Engine> incoming = *home.StartIncoming();
    const Rows rows = Fill(*incoming, snapshot);
    incoming->Flush();
    incoming.reset();
    after_ = rows;
    ASSERT_TRUE(home.Adopt().ok());
    before_ = rows;
    live = *home.Open();
    ASSERT_EQ(RowsOf(*live), rows);
    ASSERT_TRUE(home.RemoveOld().ok());
  }

  static Rows Fill(Engine& engine, int snapshot) {
    Rows rows;
    for (int i = 0; i < 40; ++i) {
      const std::string key = "key" + std::to_string(i);
      rows[key] = std::string(4000, static_cast<char>('a' + snapshot));
      WriteBatch batch;
      batch.Put(key, rows[key]);
      engine.Write(batch);
    }
    return rows;
  }

  void TryCrashes() {
    if (::testing::Test::HasFailure()) return;
    ForEachCrashImage(disk_, kTornImages, random_,
                      [this](MemoryFileSystem& image) { CheckImage(image); });
  }

  void CheckImage(MemoryFileSystem& image) {
    ++images_;
    LockedFileSystem locked(&image);
    const std::unique_ptr<EngineHome> home = NewLevelDbHome(&locked, kHome, SmallAndDrained());
    const auto live = home->Open();
    ASSERT_TRUE(live.ok()) << "image " << images_ << ": " << live.status();
    const Rows rows = RowsOf(**live);
    ASSERT_TRUE(rows == before_ || rows == after_) << "image " << images_;
    // Only the live one is left, whatever was there.
    ASSERT_EQ(image.List(kHome)->size(), 2 + image.Exists(std::string(kHome) + "/db-current.tmp"));
  }

  Random random_{5};
  MemoryFileSystem disk_;
  LockedFileSystem locked_{&disk_};
  Rows before_;
  Rows after_;
  int images_ = 0;
};

TEST(LevelDbHomeTest, ACrashAtAnyPointLeavesTheOldEngineOrTheNewOne) {
  AdoptionRun run;
  run.Run(4);
  RecordProperty("images", run.images());
  EXPECT_GE(run.images(), 500);
}

class LevelDbHomeFilesTest : public ::testing::Test {
 protected:
  std::unique_ptr<EngineHome> NewHome() { return NewLevelDbHome(&fs_, kHome, SmallAndDrained()); }
  std::string OpenError() {
    const auto opened = NewHome()->Open();
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
    return std::string(MessageOf(opened.status()));
  }
  std::vector<std::string> Names() { return *disk_.List(kHome); }
  // The second engine is the live one.
  void AdoptOne() {
    const std::unique_ptr<EngineHome> home = NewHome();
    const std::unique_ptr<Engine> old = *home->Open();
    std::unique_ptr<Engine> incoming = *home->StartIncoming();
    WriteBatch batch;
    batch.Put("key", "value");
    incoming->Write(batch);
    incoming->Flush();
    incoming.reset();
    ASSERT_TRUE(home->Adopt().ok());
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
};

TEST_F(LevelDbHomeFilesTest, LayoutOnDisk) {
  (void)NewHome()->Open();
  EXPECT_THAT(Names(), ElementsAre("db-1", "db-current"));
  EXPECT_EQ(disk_.Contents("data/db/db-current"), "1\n");
  AdoptOne();
  EXPECT_EQ(disk_.Contents("data/db/db-current"), "2\n");
  EXPECT_THAT(Names(), ElementsAre("db-1", "db-2", "db-current"))
      << "the old one is open till then";
  (void)NewHome()->Open();
  EXPECT_THAT(Names(), ElementsAre("db-2", "db-current"));
}

TEST_F(LevelDbHomeFilesTest, ALayoutOfBeforeIsRefused) {
  (void)OpenLevelDbEngine(&fs_, kHome, SmallAndDrained());
  EXPECT_THAT(OpenError(), HasSubstr("older version of conclave"));
}

TEST_F(LevelDbHomeFilesTest, WithoutDbCurrentNothingIsRemoved) {
  AdoptOne();
  ASSERT_TRUE(disk_.Remove("data/db/db-current").ok());
  EXPECT_THAT(OpenError(), HasSubstr("no db-current"));
  EXPECT_THAT(Names(), ElementsAre("db-1", "db-2"));
}

TEST_F(LevelDbHomeFilesTest, ADamagedDbCurrentIsDataLoss) {
  (void)NewHome()->Open();
  for (const char* text : {"", "\n", "x\n", "0\n", "01\n", "1", "-1\n", "1\n\n", "2 \n"}) {
    ASSERT_TRUE(ReplaceFile(disk_, "data/db/db-current", text).ok());
    EXPECT_THAT(OpenError(), HasSubstr("db-current is damaged")) << text;
  }
}

TEST_F(LevelDbHomeFilesTest, ALostEngineIsNotTakenForANewOne) {
  AdoptOne();
  ASSERT_TRUE(disk_.RemoveTree("data/db/db-2").ok());
  EXPECT_THAT(OpenError(), HasSubstr("db-2"));
}

TEST_F(LevelDbHomeFilesTest, OnlyWhatIsAnEngineByNameIsRemoved) {
  (void)NewHome()->Open();
  for (const char* name : {"db-3", "db-7", "db-07", "db-x", "db-", "lost+found"}) {
    ASSERT_TRUE(disk_.CreateDirectory(std::string(kHome) + "/" + name).ok());
  }
  ASSERT_TRUE(ReplaceFile(disk_, "data/db/notes", "not ours").ok());
  EXPECT_TRUE(NewHome()->Open().ok());
  EXPECT_THAT(Names(),
              ElementsAre("db-", "db-07", "db-1", "db-current", "db-x", "lost+found", "notes"));
}

class LevelDbHomeFullDiskTest : public LevelDbHomeFilesTest {
 protected:
  using Operation = MemoryFileSystem::Operation;

  void FillUp(Operation refused) {
    disk_.SetFault([refused](Operation operation, const std::string& path) {
      return operation == refused ? absl::ResourceExhaustedError(path + ": no space left on device")
                                  : absl::OkStatus();
    });
  }
  void EndFull() { disk_.SetFault(nullptr); }

  std::unique_ptr<EngineHome> home_ = NewHome();
  std::unique_ptr<Engine> live_ = *home_->Open();
};

TEST_F(LevelDbHomeFullDiskTest, AnIncomingEngineTellsAndLeavesNothing) {
  std::unique_ptr<Engine> incoming = *home_->StartIncoming();
  FillUp(Operation::kWrite);
  WriteBatch batch;
  batch.Put("key", "value");
  incoming->Write(batch);
  incoming->Flush();
  EXPECT_TRUE(absl::IsResourceExhausted(incoming->CheckSpace()));
  incoming.reset();
  EXPECT_TRUE(home_->DropIncoming().ok());
  EXPECT_FALSE(disk_.Exists("data/db/db-2"));

  EXPECT_TRUE(absl::IsResourceExhausted(home_->StartIncoming().status()));
  EXPECT_TRUE(home_->DropIncoming().ok());
  EXPECT_FALSE(disk_.Exists("data/db/db-2"));
}

TEST_F(LevelDbHomeFullDiskTest, WhatCouldNotBeDroppedIsNotFoundAgain) {
  std::unique_ptr<Engine> incoming = *home_->StartIncoming();
  WriteBatch batch;
  batch.Put("key", "value");
  incoming->Write(batch);
  incoming->Flush();
  incoming.reset();
  FillUp(Operation::kRemoveTree);
  EXPECT_TRUE(absl::IsResourceExhausted(home_->DropIncoming()));
  EXPECT_TRUE(absl::IsResourceExhausted(home_->StartIncoming().status()));
  EndFull();
  EXPECT_EQ((*home_->StartIncoming())->Get("key"), std::nullopt);
}

TEST_F(LevelDbHomeFilesTest, ACrashBetweenTheTwoStepsOfTheFirstStartIsNone) {
  ASSERT_TRUE(disk_.CreateDirectory(kHome).ok());
  ASSERT_TRUE(ReplaceFile(disk_, "data/db/db-current", "1\n").ok());
  EXPECT_TRUE(NewHome()->Open().ok());
}

}  // namespace
}  // namespace conclave::kv
