// What who may not wait for the disk finds, on LevelDB over a file system of which nothing is in
// memory.
#include "kvstore/engine/cached_only.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"

namespace conclave::kv {
namespace {

class CachedOnlyTest : public ::testing::Test {
 protected:
  CachedOnlyTest() {
    Open();
    Put("table", "1");
    Put("tables", "1");
    engine_->Flush();
    engine_.reset();
    Open();
    disk_.SetCold(true);
  }

  void Open() { engine_ = *OpenLevelDbEngine(&fs_, "data/db", {}); }
  void Put(const std::string& key, const std::string& value) {
    WriteBatch batch;
    batch.Put(key, value);
    engine_->Write(batch);
  }
  // "?" if it was missed.
  std::string Get(const std::string& key) const {
    const CachedOnly cached_only;
    const std::optional<std::string> value = engine_->Get(key);
    return cached_only.missed() ? "?" : value.value_or("-");
  }
  std::string ScanFrom(const std::string& key) const {
    const CachedOnly cached_only;
    std::string keys;
    const std::unique_ptr<Iterator> it = engine_->NewIterator();
    for (it->Seek(key); it->Valid(); it->Next()) keys += it->key();
    return cached_only.missed() ? "?" : keys;
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<Engine> engine_;
};

TEST_F(CachedOnlyTest, WhatLiesInATableIsMissedUntilSomebodyHasWaitedForIt) {
  EXPECT_EQ(Get("table"), "?");
  EXPECT_EQ(Get("table"), "?") << "missing changes nothing";
  EXPECT_EQ(engine_->Get("table"), "1");
  EXPECT_EQ(Get("table"), "1") << "its block is in the cache";
}

TEST_F(CachedOnlyTest, WhatWasWrittenLatelyIsThere) {
  Put("new", "2");
  EXPECT_EQ(Get("new"), "2");
}

TEST_F(CachedOnlyTest, ThatAKeyIsAbsentIsKnownOnceTheTableIsOpen) {
  EXPECT_EQ(Get("tablecloth"), "?");
  EXPECT_EQ(engine_->Get("table"), "1");
  EXPECT_EQ(Get("tablecloth"), "-") << "its filter was read as well";
}

TEST_F(CachedOnlyTest, AScanEndsWithTheFirstMiss) {
  Put("a", "2");
  Put("z", "2");
  EXPECT_EQ(ScanFrom(""), "?");
  EXPECT_EQ(engine_->Get("table"), "1");
  EXPECT_EQ(ScanFrom(""), "atabletablesz");
}

TEST_F(CachedOnlyTest, WhoMayWaitMissesNothing) {
  const CachedOnly cached_only(/*on=*/false);
  EXPECT_EQ(engine_->Get("table"), "1");
  EXPECT_FALSE(cached_only.missed() || CachedOnly::HasMissed());
}

}  // namespace
}  // namespace conclave::kv
