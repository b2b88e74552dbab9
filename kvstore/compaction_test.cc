// Compaction of revisions (reference: behaviour section 3.7): what can be read afterwards, and what
// is left in the engine.

#include <gtest/gtest.h>

#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

constexpr std::string_view kZero("\0", 1);

class CompactionTest : public ::testing::Test {
 protected:
  static StoreOptions OneEventSteps() {
    StoreOptions options;
    options.compaction_batch = 1;
    return options;
  }
  // Entries of the engine with this prefix.
  size_t Entries(char prefix) {
    size_t entries = 0;
    const std::unique_ptr<Iterator> it = store_.engine().NewIterator();
    for (it->Seek(std::string(1, prefix)); it->Valid() && it->key().front() == prefix; it->Next()) {
      ++entries;
    }
    return entries;
  }
  void ExpectVersionsLeft(size_t versions) {
    EXPECT_EQ(Entries(kHistoryPrefix), versions);
    EXPECT_EQ(Entries(kPointerPrefix), versions);
  }
  void PutTwice() {  // deletes all, then puts k, in one revision
    etcdserverpb::TxnRequest txn;
    auto* all = txn.add_success()->mutable_request_delete_range();
    all->set_key(std::string(kZero));
    all->set_range_end(std::string(kZero));
    *txn.add_success()->mutable_request_put() = TestStore::PutRequest("k", "v");
    EXPECT_TRUE(store_.Run(CommandKind::kTxn, txn).status.ok());
  }
  // A new target arrives when half of the old one's own events have been looked at.
  void ExpectStoppingInTheRevisionLeavesNothing(bool restart) {
    TestStore at_once;
    for (TestStore* store : {&store_, &at_once}) {
      for (const char* key : {"a", "b", "c", "d"})
        ASSERT_TRUE(store->Put(key, "x").ok());   // 2 to 5
      EXPECT_EQ(store->Delete(kZero, kZero), 4);  // 6
      ASSERT_TRUE(store->Put("e", "x").ok());     // 7
      ASSERT_TRUE(store->Compact(6).ok());
    }
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(store_->CompactStep());
    ExpectVersionsLeft(7);  // c, d, four deletes, e
    at_once.CompactFully();
    for (TestStore* store : {&store_, &at_once}) ASSERT_TRUE(store->Compact(7).ok());
    if (restart) store_.Restart();
    for (TestStore* store : {&store_, &at_once}) store->CompactFully();
    ExpectVersionsLeft(1);  // e
    EXPECT_EQ(store_->HashKv(7)->hash, at_once->HashKv(7)->hash);
  }

  TestStore store_{EngineKind::kMemory, OneEventSteps()};
};

TEST_F(CompactionTest, AcceptsOnlyRevisionsAheadOfTheLast) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  EXPECT_EQ(store_.Compact(-1), ErrCompacted());
  EXPECT_TRUE(store_.Compact(0).ok());  // once, on a store never compacted
  EXPECT_EQ(store_.Compact(0), ErrCompacted());
  EXPECT_EQ(store_.Compact(3), ErrFutureRevision());
  EXPECT_TRUE(store_.Compact(2).ok());
  EXPECT_EQ(store_.Compact(1), ErrCompacted());
  EXPECT_EQ(store_->revision(), 2);
}

TEST_F(CompactionTest, ReadsBelowFailAtOnceAndTheRevisionItselfStays) {
  for (const char* value : {"1", "2", "3"}) ASSERT_TRUE(store_.Put("a", value).ok());
  ASSERT_TRUE(store_.Compact(3).ok());
  for (const bool removed : {false, true}) {
    EXPECT_EQ(store_.Read("a", "", 2), ErrCompacted().ToString());
    EXPECT_EQ(store_.Read("a", "", 3), "a=2");
    EXPECT_EQ(store_.Read("a"), "a=3");
    if (!removed) store_.CompactFully();
  }
}

TEST_F(CompactionTest, RemovesWhatNobodyCanRead) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_.Put("a", "x").ok());  // 2 to 11
  ASSERT_TRUE(store_.Put("b", "x").ok());                               // 12
  EXPECT_EQ(store_.Delete("b"), 1);                                     // 13
  ASSERT_TRUE(store_.Put("c", "x").ok());                               // 14
  ASSERT_TRUE(store_.Put("a", "x").ok());                               // 15
  ASSERT_TRUE(store_.Compact(14).ok());
  EXPECT_EQ(store_->compacted_physically(), -1);
  store_.CompactFully();
  EXPECT_EQ(store_->compacted_physically(), 14);
  EXPECT_EQ(store_->CompactStep(), false);
  ExpectVersionsLeft(3);  // a at 11 and 15, c
  EXPECT_EQ(store_.Read(kZero, kZero, 14), "a=x c=x");
}

TEST_F(CompactionTest, ADeleteAtTheRevisionItselfStaysUntilTheNext) {
  ASSERT_TRUE(store_.Put("a", "x").ok());
  EXPECT_EQ(store_.Delete("a"), 1);  // 3
  ASSERT_TRUE(store_.Compact(3).ok());
  store_.CompactFully();
  ExpectVersionsLeft(1);
  EXPECT_EQ(store_->ReadEvents(3, 10, 1000).size(), 1u);
  ASSERT_TRUE(store_.Put("b", "x").ok());
  ASSERT_TRUE(store_.Compact(4).ok());
  store_.CompactFully();
  ExpectVersionsLeft(1);  // b
}

TEST_F(CompactionTest, AllOfTheRevisionItselfStaysUntilTheNext) {
  ASSERT_TRUE(store_.Put("k", "old").ok());
  PutTwice();  // 3: delete k, put k
  ASSERT_TRUE(store_.Compact(3).ok());
  store_.CompactFully();
  ExpectVersionsLeft(2);
  ASSERT_TRUE(store_.Put("b", "x").ok());
  ASSERT_TRUE(store_.Compact(4).ok());
  store_.CompactFully();
  ExpectVersionsLeft(2);  // k, b
  EXPECT_EQ(store_.Read(kZero, kZero, 4), "b=x k=v");
}

TEST_F(CompactionTest, GoesOnAfterARestartAndTakesANewTargetOnTheWay) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_.Put("a", "x").ok());
  ASSERT_TRUE(store_.Compact(6).ok());
  EXPECT_TRUE(store_->CompactStep());
  EXPECT_TRUE(store_->CompactStep());
  store_.Restart();
  EXPECT_TRUE(store_->CompactStep());
  ASSERT_TRUE(store_.Compact(10).ok());
  store_.CompactFully();
  EXPECT_EQ(store_->compacted_physically(), 10);
  ExpectVersionsLeft(2);  // 10 and 11
  store_.Restart();
  EXPECT_EQ(store_->compacted_physically(), 10);
  EXPECT_FALSE(store_->CompactStep());
}

TEST_F(CompactionTest, ANewTargetLooksAgainAtTheRevisionItStoppedIn) {
  ExpectStoppingInTheRevisionLeavesNothing(/*restart=*/false);
}

TEST_F(CompactionTest, ANewTargetLooksAgainAtTheRevisionItStoppedInAfterARestart) {
  ExpectStoppingInTheRevisionLeavesNothing(/*restart=*/true);
}

TEST_F(CompactionTest, WorkIsThatOfTheHistoryCompacted) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(store_.Put("k" + std::to_string(i), "x").ok());
  ASSERT_TRUE(store_.Compact(1001).ok());
  store_.CompactFully();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store_.Put("a", "x").ok());
  ASSERT_TRUE(store_.Compact(1006).ok());
  int steps = 1;
  while (store_->CompactStep()) ++steps;
  EXPECT_LE(steps, 7);  // one event each, the last compaction's revision once more
}

TEST_F(CompactionTest, HashesDoNotDependOnRemoval) {
  TestStore removed;
  for (TestStore* store : {&store_, &removed}) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(store->Put("k" + std::to_string(i % 7), std::to_string(i)).ok());
      if (i % 5 == 0) store->Delete("k" + std::to_string(i % 7));
    }
    ASSERT_TRUE(store->Compact(12).ok());
  }
  removed.CompactFully();
  const int64_t current = store_->revision();
  for (int64_t revision = 12; revision <= current; ++revision) {
    EXPECT_EQ(store_->HashKv(revision)->hash, removed->HashKv(revision)->hash) << revision;
  }
  EXPECT_NE(store_->HashKv(12)->hash, store_->HashKv(13)->hash);
  EXPECT_EQ(store_->HashKv(0)->hash_revision, current);
  EXPECT_EQ(store_->HashKv(0)->compact_revision, 12);
  EXPECT_EQ(store_->HashKv(11).status(), ErrCompacted());
  EXPECT_EQ(store_->HashKv(current + 1).status(), ErrFutureRevision());
}

TEST_F(CompactionTest, HashesTellDifferentHistoriesApart) {
  TestStore other;
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(other.Put("a", "2").ok());
  EXPECT_NE(store_->HashKv(0)->hash, other->HashKv(0)->hash);
  EXPECT_NE(store_->Hash(), other->Hash());
}

}  // namespace
}  // namespace conclave::kv
