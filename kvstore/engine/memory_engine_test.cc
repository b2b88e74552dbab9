// What is particular to the engine in memory: what outlives it.

#include "kvstore/engine/memory_engine.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace conclave::kv {
namespace {

// Batch number `number`: puts a key of its own and says how many there have been.
void WriteNumbered(Engine& engine, int number) {
  WriteBatch batch;
  batch.Put("count", std::to_string(number));
  batch.Put("key" + std::to_string(number), "value");
  engine.Write(batch);
}

// How many batches the engine holds; fails unless they are the first ones, each whole.
int CountBatches(const Engine& engine) {
  const int count = std::stoi(engine.Get("count").value_or("0"));
  int keys = 0;
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek("key"); it->Valid(); it->Next()) ++keys;
  EXPECT_EQ(keys, count);
  return count;
}

TEST(MemoryEngineTest, WhatWasFlushedOutlivesTheEngine) {
  MemoryDisk disk;
  uint64_t flushed_bytes = 0;
  {
    MemoryEngine engine(&disk);
    for (int i = 1; i <= 10; ++i) WriteNumbered(engine, i);
    engine.Flush();
    flushed_bytes = engine.SizeBytes();
    for (int i = 11; i <= 20; ++i) WriteNumbered(engine, i);
    WriteBatch batch;
    batch.Delete("key1");
    engine.Write(batch);
  }
  for (int times = 0; times < 2; ++times) {
    const MemoryEngine engine(&disk);
    EXPECT_EQ(CountBatches(engine), 10);
    EXPECT_EQ(engine.SizeBytes(), flushed_bytes);
  }
}

TEST(MemoryEngineTest, WithoutADiskNothingDoes) {
  MemoryEngine engine;
  WriteNumbered(engine, 1);
  engine.Flush();
  EXPECT_EQ(CountBatches(engine), 1);
  EXPECT_EQ(CountBatches(MemoryEngine()), 0);
}

TEST(MemoryEngineTest, ADiskMayFlushByItself) {
  int kept_by_itself = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    MemoryDisk disk(seed, {.flush_one_in = 20});
    {
      MemoryEngine engine(&disk);
      for (int i = 1; i <= 10; ++i) WriteNumbered(engine, i);
      engine.Flush();
      for (int i = 11; i <= 30; ++i) WriteNumbered(engine, i);
    }
    const int count = CountBatches(MemoryEngine(&disk));
    EXPECT_GE(count, 10);
    EXPECT_LE(count, 30);
    kept_by_itself += count > 10;
  }
  EXPECT_GT(kept_by_itself, 40);
  EXPECT_LT(kept_by_itself, 90);
}

TEST(MemoryEngineTest, WhatADeadProcessFlushesIsNotKept) {
  MemoryDisk disk(1, {.flush_one_in = 2});
  auto dead = std::make_unique<MemoryEngine>(&disk);
  WriteNumbered(*dead, 1);
  dead->Flush();
  disk.Detach();
  for (int i = 2; i <= 20; ++i) WriteNumbered(*dead, i);
  dead->Flush();
  EXPECT_EQ(CountBatches(*dead), 20) << "it sees what it writes";
  MemoryEngine next(&disk);
  EXPECT_EQ(CountBatches(next), 1);
  dead->Flush();
  dead.reset();
  WriteNumbered(next, 2);
  next.Flush();
  EXPECT_EQ(CountBatches(MemoryEngine(&disk)), 2) << "the end of the dead one detaches nobody else";
}

}  // namespace
}  // namespace conclave::kv
