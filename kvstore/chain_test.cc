#include "kvstore/chain.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "kvstore/engine/snapshot.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/random_log.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

TEST(NextChainTest, EverythingCounts) {
  const Outcome outcome{
      .index = 5, .term = 2, .status_code = 0, .replaced_sum = 9, .effects = "abc"};
  std::set<uint64_t> seen = {NextChain(1, outcome)};
  EXPECT_TRUE(seen.insert(NextChain(2, outcome)).second);
  for (const Outcome& other :
       {Outcome{6, 2, 0, 9, "abc"}, Outcome{5, 3, 0, 9, "abc"}, Outcome{5, 2, 11, 9, "abc"},
        Outcome{5, 2, 0, 10, "abc"}, Outcome{5, 2, 0, 9, "abd"}, Outcome{5, 2, 0, 9, ""}}) {
    EXPECT_TRUE(seen.insert(NextChain(1, other)).second);
  }
  EXPECT_EQ(NextChain(1, outcome), NextChain(1, Outcome(outcome)));
}

// Two members: they end drains elsewhere, remove what is compacted at their own pace, restart, and
// stand on other engines.
TEST(StoreChainTest, IsTheSameOnMembersThatLiveDifferently) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RandomLog log(seed, /*keys=*/300);
    for (int i = 0; i < 1500; ++i) log.Append();
    TestStore one;
    StoreOptions options;
    options.compaction_batch = 3;
    TestStore other(EngineKind::kLevelDb, options);
    Random random(seed);
    std::set<uint64_t> seen;
    while (one->applied_index() < log.size()) {
      log.ApplyNext(*one);
      if (random.OneIn(3)) one->Commit();
      log.ApplyNext(*other);
      if (random.OneIn(20) || other->applied_index() == log.size()) {
        other->Commit();
        if (random.OneIn(3)) other->CompactStep();
        if (random.OneIn(10)) other.Restart();
      }
      ASSERT_EQ(one->chain(), other->chain())
          << "seed " << seed << ", entry " << one->applied_index();
      EXPECT_TRUE(seen.insert(one->chain()).second);
    }
  }
}

TEST(StoreChainTest, SurvivesARestart) {
  TestStore store(EngineKind::kLevelDb);
  ASSERT_TRUE(store.Put("a", "1").ok());
  const uint64_t before = store->chain();
  EXPECT_NE(before, 0u);
  store.Restart();
  EXPECT_EQ(store->chain(), before);
}

TEST(StoreChainTest, ComesWithASnapshot) {
  TestStore source;
  for (const char* value : {"1", "2", "3"}) ASSERT_TRUE(source.Put("a", value).ok());
  MemoryEngine incoming;
  TestStore target;
  ASSERT_TRUE(target.Put("a", "1").ok());

  SnapshotWriter writer(&incoming);
  SnapshotReader reader(source.engine().NewView());
  while (!writer.finished()) {
    ASSERT_TRUE(writer.Write(reader.Next(writer.last_key(), 1 << 10)).ok());
  }
  ASSERT_TRUE(target->Adopt(&incoming).ok());
  EXPECT_EQ(target->chain(), source->chain());
  ASSERT_TRUE(source.Put("b", "1").ok());
  ASSERT_TRUE(target.Put("b", "1").ok());
  EXPECT_EQ(target->chain(), source->chain());
}

// Of a value that has gone bad there is no trace in what is written over it.
TEST(StoreChainTest, WhatIsReplacedCounts) {
  for (const bool deleted : {false, true}) {
    StoreOptions no_cache;  // it would still know what was right
    no_cache.record_cache_bytes = 0;
    TestStore sound(EngineKind::kMemory, no_cache);
    TestStore spoiled(EngineKind::kMemory, no_cache);
    for (TestStore* store : {&sound, &spoiled}) ASSERT_TRUE(store->Put("a", "1").ok());
    std::string record = *spoiled.engine().Get(LatestKey("a"));
    record.back() = '2';
    WriteBatch batch;
    batch.Put(LatestKey("a"), record);
    spoiled.engine().Write(batch);
    EXPECT_EQ(spoiled->chain(), sound->chain());
    for (TestStore* store : {&sound, &spoiled}) {
      if (deleted) {
        EXPECT_EQ(store->Delete("a"), 1);
      } else {
        ASSERT_TRUE(store->Put("a", "3").ok());
      }
    }
    EXPECT_NE(spoiled->chain(), sound->chain());
  }
}

TEST(StoreChainTest, NothingCountsTwice) {
  TestStore sound;
  TestStore other;
  ASSERT_TRUE(sound.Put("a", "1").ok());
  ASSERT_TRUE(other.Put("a", "2").ok());
  for (TestStore* store : {&sound, &other}) ASSERT_TRUE(store->Put("a", "3").ok());
  EXPECT_NE(other->chain(), sound->chain());  // never again equal
}

}  // namespace
}  // namespace conclave::kv
