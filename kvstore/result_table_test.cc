// Writes with a request id: the first one decides, repetitions change nothing and get its result,
// through restarts, snapshots and replays; other requests under its id are refused; old results go
// in the order of the log.
#include "kvstore/result_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/engine/snapshot.h"
#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/test_store.h"
#include "raft/base/coding.h"

namespace conclave::kv {
namespace {

using etcdserverpb::PutResponse;
using etcdserverpb::TxnResponse;

std::string IdOf(int number) { return "request-id-" + std::to_string(100'000 + number); }

// A put that is not idempotent: it counts the key's version and tells the previous pair.
etcdserverpb::PutRequest Counting(std::string_view key, std::string_view value) {
  etcdserverpb::PutRequest put = TestStore::PutRequest(key, value);
  put.set_prev_kv(true);
  return put;
}

int64_t VersionOf(TestStore& store, std::string_view key) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(key));
  const auto response = store.Range(request);
  return response.ok() && response->kvs_size() == 1 ? response->kvs(0).version() : 0;
}

StoreOptions Few(uint64_t results, uint64_t bytes = 1 << 20, size_t response_bytes = 1 << 10) {
  StoreOptions options;
  options.results = {
      .results_max = results, .bytes_max = bytes, .response_bytes_max = response_bytes};
  return options;
}

// Rows of the table in the engine.
std::vector<std::string> Rows(TestStore& store, char prefix = kResultPrefix) {
  std::vector<std::string> rows;
  const std::unique_ptr<Iterator> it = store.engine().NewIterator();
  for (it->Seek(std::string(1, prefix)); it->Valid() && it->key().front() == prefix; it->Next()) {
    rows.push_back(std::string(it->key().substr(1)));
  }
  return rows;
}

class ResultTableTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  TestStore store_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Engines, ResultTableTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(ResultTableTest, ARepetitionGetsTheFirstResultAndChangesNothing) {
  const std::string first = TextOf(store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1")));
  ASSERT_TRUE(store_.Put("a", "2").ok());
  const int64_t revision = store_->revision();
  const auto again = store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"));
  EXPECT_EQ(TextOf(again), first);
  EXPECT_EQ(std::get<PutResponse>(again.response).header().revision(), 2);
  EXPECT_EQ(store_->revision(), revision);
  EXPECT_EQ(store_.Read("a"), "a=2");
  EXPECT_EQ(VersionOf(store_, "a"), 2);
}

TEST_P(ResultTableTest, WithinOneDrainToo) {
  const auto put = Counting("a", "1");
  const auto first = store_.ApplyOnce(IdOf(1), CommandKind::kPut, put);
  const auto again = store_.ApplyOnce(IdOf(1), CommandKind::kPut, put);
  store_->Commit();
  EXPECT_EQ(TextOf(again), TextOf(first));
  EXPECT_EQ(VersionOf(store_, "a"), 1);
}

TEST_P(ResultTableTest, NobodyNeedsToWaitForTheFirst) {
  const auto put = Counting("a", "1");
  const auto first = store_.ApplyOnce(IdOf(1), CommandKind::kPut, put, /*want_response=*/false);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(first.response));
  const auto unheard = store_.ApplyOnce(IdOf(1), CommandKind::kPut, put, /*want_response=*/false);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(unheard.response));
  store_->Commit();
  const auto again = store_.RunOnce(IdOf(1), CommandKind::kPut, put);
  EXPECT_EQ(std::get<PutResponse>(again.response).header().revision(), 2);
}

TEST_P(ResultTableTest, OfEveryKind) {
  etcdserverpb::DeleteRangeRequest deletion;
  deletion.set_key("a");
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_put() = Counting("t", "1");
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(2);
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(5);
  grant.set_ttl(60);
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(5);
  ASSERT_TRUE(store_.Put("a", "1").ok());
  const auto twice = [&](int id, CommandKind kind, const auto& request) {
    const ApplyResult first = store_.RunOnce(IdOf(id), kind, request);
    EXPECT_TRUE(first.status.ok()) << first.status;
    const int64_t revision = store_->revision();
    const ApplyResult again = store_.RunOnce(IdOf(id), kind, request);
    EXPECT_TRUE(again.status.ok()) << again.status;
    EXPECT_EQ(store_->revision(), revision);
    return again.response;
  };
  EXPECT_EQ(
      std::get<etcdserverpb::DeleteRangeResponse>(twice(1, CommandKind::kDeleteRange, deletion))
          .deleted(),
      1);
  EXPECT_TRUE(std::get<TxnResponse>(twice(2, CommandKind::kTxn, txn)).succeeded());
  twice(3, CommandKind::kCompact, compaction);
  EXPECT_EQ(
      std::get<etcdserverpb::LeaseGrantResponse>(twice(4, CommandKind::kLeaseGrant, grant)).id(),
      5);
  twice(5, CommandKind::kLeaseRevoke, revoke);
  EXPECT_FALSE(store_->lessor().Exists(5));
}

TEST_P(ResultTableTest, AnErrorIsAResult) {
  const auto put = TestStore::PutRequest("a", "1", /*lease=*/9);
  EXPECT_EQ(store_.RunOnce(IdOf(1), CommandKind::kPut, put).status, ErrLeaseNotFound());
  ASSERT_TRUE(store_.Grant(9).ok());
  EXPECT_EQ(store_.RunOnce(IdOf(1), CommandKind::kPut, put).status, ErrLeaseNotFound());
  EXPECT_EQ(store_.Read("a"), "");
  EXPECT_TRUE(store_.RunOnce(IdOf(2), CommandKind::kPut, put).status.ok());
}

TEST_P(ResultTableTest, AnotherRequestUnderTheIdIsRefused) {
  ASSERT_TRUE(store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1")).status.ok());
  const uint32_t hash = store_->Hash();
  EXPECT_EQ(store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "2")).status,
            ErrRequestIdReused());
  // The same bytes, but of another kind: {1: "a"} is a put and a delete.
  etcdserverpb::DeleteRangeRequest deletion;
  deletion.set_key("b");
  EXPECT_TRUE(
      store_.RunOnce(IdOf(2), CommandKind::kPut, TestStore::PutRequest("b", "")).status.ok());
  EXPECT_EQ(store_.RunOnce(IdOf(2), CommandKind::kDeleteRange, deletion).status,
            ErrRequestIdReused());
  EXPECT_EQ(store_.Read("a", "z"), "a=1 b=");
  EXPECT_NE(store_->Hash(), hash);
  EXPECT_TRUE(absl::IsFailedPrecondition(ErrRequestIdReused()));
}

// The fingerprint is of what the client sent: a member draws a lease's id anew each time.
TEST_P(ResultTableTest, WhatIsReplicatedMayDiffer) {
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(60);
  grant.set_id(7);
  const RequestIdentity identity{.id = "a-lease-of-my-own", .fingerprint = FingerprintOf("ttl 60")};
  ASSERT_TRUE(store_.ApplyAs(identity, CommandKind::kLeaseGrant, grant).status.ok());
  grant.set_id(8);
  const auto again = store_.ApplyAs(identity, CommandKind::kLeaseGrant, grant);
  store_->Commit();
  EXPECT_EQ(std::get<etcdserverpb::LeaseGrantResponse>(again.response).id(), 7);
  EXPECT_FALSE(store_->lessor().Exists(8));
}

TEST_P(ResultTableTest, AResponseTooLargeLeavesAnErrorThatSaysSo) {
  TestStore store(GetParam(), Few(100, 1 << 20, /*response_bytes=*/200));
  ASSERT_TRUE(store.Put("a", std::string(300, 'v')).ok());
  const auto first = store.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "2"));
  ASSERT_TRUE(first.status.ok());
  EXPECT_EQ(std::get<PutResponse>(first.response).prev_kv().value().size(), 300u);
  const auto again = store.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "2"));
  EXPECT_EQ(again.status, ErrResponseNotKept(3));
  EXPECT_TRUE(absl::IsAlreadyExists(again.status));
  EXPECT_EQ(VersionOf(store, "a"), 2);
}

TEST_P(ResultTableTest, TheOldestGoInTheOrderOfTheLog) {
  TestStore store(GetParam(), Few(3));
  for (int id = 9; id >= 5; --id) {
    ASSERT_TRUE(store.ApplyOnce(IdOf(id), CommandKind::kPut, Counting("a", "1")).status.ok());
    if (id == 8) store->Commit();
  }
  store->Commit();
  EXPECT_EQ(Rows(store), (std::vector<std::string>{IdOf(5), IdOf(6), IdOf(7)}));
  EXPECT_EQ(Rows(store, kResultOrderPrefix).size(), 3u);
  // The oldest that is left is still known; one that has gone runs again.
  EXPECT_TRUE(store.RunOnce(IdOf(7), CommandKind::kPut, Counting("a", "1")).status.ok());
  EXPECT_EQ(VersionOf(store, "a"), 5);
  EXPECT_TRUE(store.RunOnce(IdOf(9), CommandKind::kPut, Counting("a", "1")).status.ok());
  EXPECT_EQ(VersionOf(store, "a"), 6);
  EXPECT_EQ(Rows(store), (std::vector<std::string>{IdOf(5), IdOf(6), IdOf(9)}));
}

// An id whose result went in this very drain is free at once, though the engine has its row yet.
TEST_P(ResultTableTest, AnIdIsFreeAsSoonAsItsResultHasGone) {
  TestStore store(GetParam(), Few(1));
  ASSERT_TRUE(store.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1")).status.ok());
  store.ApplyOnce(IdOf(2), CommandKind::kPut, Counting("a", "1"));
  store.ApplyOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"));
  store.ApplyOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"));
  store->Commit();
  EXPECT_EQ(VersionOf(store, "a"), 3);
  EXPECT_EQ(Rows(store), std::vector<std::string>{IdOf(1)});
  EXPECT_EQ(Rows(store, kResultOrderPrefix).size(), 1u);
}

TEST_P(ResultTableTest, BytesAreBoundedToo) {
  // Each counts some 120 bytes: its id, its response, and a share of what goes with them.
  TestStore store(GetParam(), Few(1000, /*bytes=*/1200));
  for (int id = 0; id < 50; ++id) {
    ASSERT_TRUE(store.RunOnce(IdOf(id), CommandKind::kPut, Counting("a", "1")).status.ok());
  }
  const std::vector<std::string> rows = Rows(store);
  EXPECT_GE(rows.size(), 4u);
  EXPECT_LE(rows.size(), 12u);
  EXPECT_EQ(rows.back(), IdOf(49));
}

// More than are read ahead at a time.
TEST_P(ResultTableTest, ManyGoOneAfterTheOther) {
  TestStore store(GetParam(), Few(700));
  for (int id = 0; id < 2000; ++id) {
    ASSERT_TRUE(store.ApplyOnce(IdOf(id), CommandKind::kPut, Counting("a", "1")).status.ok());
    if (id % 37 == 0) store->Commit();
    if (id == 1500) store->Commit();
    if (id == 1500) store.Restart();
  }
  store->Commit();
  const std::vector<std::string> rows = Rows(store);
  ASSERT_EQ(rows.size(), 700u);
  EXPECT_EQ(rows.front(), IdOf(1300));
  EXPECT_EQ(rows.back(), IdOf(1999));
}

TEST_P(ResultTableTest, SurvivesARestart) {
  const auto first = store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"));
  store_.Restart();
  EXPECT_EQ(TextOf(store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"))), TextOf(first));
  EXPECT_EQ(VersionOf(store_, "a"), 1);
}

TEST_P(ResultTableTest, ComesWithASnapshot) {
  const auto first = store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"));
  SnapshotReader reader(store_.engine().NewView());
  MemoryEngine incoming;
  SnapshotWriter writer(&incoming);
  while (!writer.finished()) ASSERT_TRUE(writer.Write(reader.Next(writer.last_key(), 100)).ok());
  TestStore other;
  ASSERT_TRUE(other->Adopt(&incoming).ok());
  EXPECT_EQ(TextOf(other.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1"))), TextOf(first));
  EXPECT_EQ(VersionOf(other, "a"), 1);
}

TEST_P(ResultTableTest, IsPartOfTheHashAndNotOfHashKv) {
  TestStore without;
  ASSERT_TRUE(store_.RunOnce(IdOf(1), CommandKind::kPut, Counting("a", "1")).status.ok());
  ASSERT_TRUE(without.Run(CommandKind::kPut, Counting("a", "1")).status.ok());
  EXPECT_NE(store_->Hash(), without->Hash());
  EXPECT_EQ(store_->HashKv(0)->hash, without->HashKv(0)->hash);
}

TEST_P(ResultTableTest, WritesWithoutAnIdLeaveNoTrace) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  EXPECT_EQ(Rows(store_), std::vector<std::string>());
  EXPECT_FALSE(store_.engine().Get(kResultsKey).has_value());
}

TEST(ResultTableDamageTest, DamagedTotalsAreDataLoss) {
  MemoryEngine engine;
  WriteBatch batch;
  batch.Put(kResultsKey, "short");
  engine.Write(batch);
  ResultTable table({});
  EXPECT_TRUE(absl::IsDataLoss(table.Load(&engine)));
}

}  // namespace
}  // namespace conclave::kv
