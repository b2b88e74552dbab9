// What every engine home promises, on both: the incoming engine is nothing until it is adopted, and
// everything from then on, whatever ends the process.
#include "kvstore/engine/engine_home.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvstore/engine/leveldb_home.h"
#include "kvstore/engine/memory_home.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"

namespace conclave::kv {
namespace {

enum class Kind { kMemory, kLevelDb };

class EngineHomeTest : public ::testing::TestWithParam<Kind> {
 protected:
  EngineHomeTest() { Start(); }

  void Start() {
    if (GetParam() == Kind::kMemory) {
      home_ = NewMemoryHome(&memory_disk_);
    } else {
      home_ = NewLevelDbHome(&fs_, "data/db", {});
    }
    auto opened = home_->Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  void Crash() {
    live_.reset();
    incoming_.reset();
    home_.reset();
    file_disk_.CrashAndLose();
    Start();
  }

  static void Put(Engine& engine, const std::string& value) {
    WriteBatch batch;
    batch.Put("key", value);
    engine.Write(batch);
  }
  static std::string Get(const Engine& engine) { return engine.Get("key").value_or("nothing"); }

  void StartIncoming() {
    auto started = home_->StartIncoming();
    ASSERT_TRUE(started.ok()) << started.status();
    incoming_ = *std::move(started);
  }
  // Ends the process; the next one finds nothing of the live engine that it could read.
  void CrashAndDamage() {
    live_.reset();
    home_.reset();
    file_disk_.CrashAndLose();
    if (GetParam() == Kind::kMemory) {
      memory_disk_.Damage();
      home_ = NewMemoryHome(&memory_disk_);
    } else {
      auto current = file_disk_.Open("data/db/db-1/CURRENT", OpenMode::kMustExist);
      ASSERT_TRUE(current.ok() && (*current)->WriteAt(0, "damaged").ok());
      home_ = NewLevelDbHome(&fs_, "data/db", {});
    }
  }
  // As engine_home.h says, up to the point of no return.
  void AdoptFilled(const std::string& value) {
    StartIncoming();
    Put(*incoming_, value);
    incoming_->Flush();
    incoming_.reset();
    ASSERT_TRUE(home_->Adopt().ok());
  }
  // And after it.
  void OpenNew() {
    auto opened = home_->Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
    ASSERT_TRUE(home_->RemoveOld().ok());
  }

  MemoryHomeDisk memory_disk_;
  MemoryFileSystem file_disk_;
  LockedFileSystem fs_{&file_disk_};
  std::unique_ptr<EngineHome> home_;
  std::unique_ptr<Engine> live_;
  std::unique_ptr<Engine> incoming_;
};

INSTANTIATE_TEST_SUITE_P(Engines, EngineHomeTest, ::testing::Values(Kind::kMemory, Kind::kLevelDb),
                         [](const auto& kind) {
                           return kind.param == Kind::kMemory ? "Memory" : "LevelDb";
                         });

TEST_P(EngineHomeTest, ANewOneHoldsNothing) { EXPECT_EQ(Get(*live_), "nothing"); }

TEST_P(EngineHomeTest, WhatWasFlushedIsFoundAgain) {
  Put(*live_, "1");
  live_->Flush();
  Put(*live_, "2");
  Crash();
  EXPECT_EQ(Get(*live_), "1");
}

TEST_P(EngineHomeTest, TheIncomingEngineIsApart) {
  Put(*live_, "live");
  StartIncoming();
  EXPECT_EQ(Get(*incoming_), "nothing");
  Put(*incoming_, "incoming");
  EXPECT_EQ(Get(*live_), "live");
  EXPECT_EQ(Get(*incoming_), "incoming");
}

TEST_P(EngineHomeTest, WithoutAdoptACrashLeavesTheOldOne) {
  Put(*live_, "old");
  live_->Flush();
  StartIncoming();
  Put(*incoming_, "new");
  incoming_->Flush();
  Crash();
  EXPECT_EQ(Get(*live_), "old");
  StartIncoming();
  EXPECT_EQ(Get(*incoming_), "nothing") << "the one before the crash was removed";
}

TEST_P(EngineHomeTest, AdoptIsDurableAtOnce) {
  Put(*live_, "old");
  live_->Flush();
  AdoptFilled("new");
  Crash();
  EXPECT_EQ(Get(*live_), "new");
}

TEST_P(EngineHomeTest, TheOldEngineStaysOpenAndCountsForNothing) {
  Put(*live_, "old");
  AdoptFilled("new");
  EXPECT_EQ(Get(*live_), "old");
  Put(*live_, "late");
  live_->Flush();
  Crash();
  EXPECT_EQ(Get(*live_), "new");
}

TEST_P(EngineHomeTest, ADamagedEngineIsRefusedUntilAnotherIsAdopted) {
  Put(*live_, "old");
  live_->Flush();
  EXPECT_FALSE(home_->damaged());
  CrashAndDamage();
  EXPECT_TRUE(absl::IsDataLoss(home_->Open().status()));
  EXPECT_TRUE(home_->damaged());
  EXPECT_TRUE(absl::IsDataLoss(home_->Open().status()));
  AdoptFilled("new");
  EXPECT_FALSE(home_->damaged());
  OpenNew();
  EXPECT_EQ(Get(*live_), "new");
  Crash();
  EXPECT_EQ(Get(*live_), "new");
}

TEST_P(EngineHomeTest, ManyInARow) {
  for (int i = 0; i < 12; ++i) {
    const std::string value = std::to_string(i);
    AdoptFilled(value);
    OpenNew();
    EXPECT_EQ(Get(*live_), value);
    Put(*live_, value + "+");
    live_->Flush();
    if (i % 3 != 0) continue;
    Crash();
    EXPECT_EQ(Get(*live_), value + "+");
  }
}

TEST_P(EngineHomeTest, AnIncomingEngineReplacesAnEarlierOne) {
  StartIncoming();
  Put(*incoming_, "first");
  incoming_->Flush();
  incoming_.reset();
  StartIncoming();
  EXPECT_EQ(Get(*incoming_), "nothing");
  Put(*incoming_, "second");
  incoming_->Flush();
  incoming_.reset();
  ASSERT_TRUE(home_->Adopt().ok());
  OpenNew();
  EXPECT_EQ(Get(*live_), "second");
}

TEST_P(EngineHomeTest, WhatIsDroppedIsGone) {
  EXPECT_TRUE(home_->DropIncoming().ok()) << "there is none";
  EXPECT_TRUE(home_->RemoveOld().ok()) << "there is none";
  Put(*live_, "old");
  live_->Flush();
  StartIncoming();
  Put(*incoming_, "new");
  incoming_.reset();
  EXPECT_TRUE(home_->DropIncoming().ok());
  StartIncoming();
  EXPECT_EQ(Get(*incoming_), "nothing");
  Crash();
  EXPECT_EQ(Get(*live_), "old");
}

TEST_P(EngineHomeTest, WhatWasNotFlushedIsNotAdopted) {
  StartIncoming();
  Put(*incoming_, "flushed");
  incoming_->Flush();
  Put(*incoming_, "not flushed");
  incoming_.reset();
  ASSERT_TRUE(home_->Adopt().ok());
  OpenNew();
  EXPECT_EQ(Get(*live_), "flushed");
}

TEST(MemoryHomeTest, NothingThatADeadProcessDoesIsKept) {
  MemoryHomeDisk disk;
  std::unique_ptr<EngineHome> dead = NewMemoryHome(&disk);
  const std::unique_ptr<Engine> old = *dead->Open();
  WriteBatch batch;
  batch.Put("key", "old");
  old->Write(batch);
  old->Flush();
  disk.Detach();

  std::unique_ptr<Engine> incoming = *dead->StartIncoming();
  batch.Put("key", "new");
  incoming->Write(batch);
  incoming->Flush();
  incoming.reset();
  ASSERT_TRUE(dead->Adopt().ok());
  const std::unique_ptr<Engine> seen = *dead->Open();
  EXPECT_EQ(seen->Get("key"), "new") << "it works on for those who do not know";

  const std::unique_ptr<EngineHome> next = NewMemoryHome(&disk);
  const std::unique_ptr<Engine> found = *next->Open();
  EXPECT_EQ(found->Get("key"), "old");
}

}  // namespace
}  // namespace conclave::kv
