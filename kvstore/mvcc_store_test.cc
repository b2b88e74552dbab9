// What each command does to the store, and what is left after a restart; on both engines.

#include "kvstore/mvcc_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kAll("\0", 1);

class StoreTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  TestStore store_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Engines, StoreTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

mvccpb::KeyValue Only(TestStore& store, std::string_view key) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(key));
  const auto response = store.Range(request);
  EXPECT_TRUE(response.ok());
  EXPECT_EQ(response->kvs_size(), 1);
  return response->kvs_size() == 1 ? response->kvs(0) : mvccpb::KeyValue();
}

TEST_P(StoreTest, AnEmptyStoreIsAtRevisionOne) {
  EXPECT_EQ(store_->revision(), 1);
  EXPECT_EQ(store_->compact_revision(), -1);
  EXPECT_EQ(store_->applied_index(), 0u);
  EXPECT_EQ(store_.Read(kAll, kAll), "");
}

TEST_P(StoreTest, EveryPutIsARevision) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(store_.Put("b", "").ok());
  EXPECT_EQ(store_->revision(), 4);
  const mvccpb::KeyValue a = Only(store_, "a");
  EXPECT_EQ(a.create_revision(), 2);
  EXPECT_EQ(a.mod_revision(), 3);
  EXPECT_EQ(a.version(), 2);
  EXPECT_EQ(store_.Read(kAll, kAll), "a=1 b=");
}

// A crash in the middle of a flush leaves such.
TEST_P(StoreTest, EventsThatTheStateDoesNotKnowAreDroppedAtTheStart) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  WriteBatch unapplied;
  for (const Revision revision : {Revision{3, 0}, Revision{3, 1}, Revision{4, 0}}) {
    unapplied.Put(HistoryKey(revision), *store_.engine().Get(HistoryKey({2, 0})));
  }
  store_.engine().Write(unapplied);
  store_.Restart();
  EXPECT_EQ(store_->revision(), 2);
  EXPECT_THAT(store_->ReadEvents(3, 10, 1000), IsEmpty());
  EXPECT_NE(store_->RecordAt("a", {2, 0}), std::nullopt);
  ASSERT_TRUE(store_.Put("b", "2").ok());
  const std::vector<SharedRevisionEvents> events = store_->ReadEvents(3, 10, 1000);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_EQ(events[0]->events.size(), 1u);
  EXPECT_EQ(events[0]->events[0].key, "b");
}

TEST_P(StoreTest, ADeleteEndsTheVersionsAndTheNextPutStartsThemAgain) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(store_.Put("a", "2").ok());
  EXPECT_EQ(store_.Delete("a"), 1);
  EXPECT_EQ(store_.Delete("a"), 0);
  EXPECT_EQ(store_->revision(), 4);
  ASSERT_TRUE(store_.Put("a", "3").ok());
  const mvccpb::KeyValue a = Only(store_, "a");
  EXPECT_EQ(a.create_revision(), 5);
  EXPECT_EQ(a.version(), 1);
}

TEST_P(StoreTest, ADeleteRangeIsOneRevision) {
  for (const char* key : {"a", "b", "c", "d"}) ASSERT_TRUE(store_.Put(key, "x").ok());
  etcdserverpb::DeleteRangeRequest request;
  request.set_key("b");
  request.set_range_end("d");
  request.set_prev_kv(true);
  const ApplyResult result = store_.Run(CommandKind::kDeleteRange, request);
  const auto& response = std::get<etcdserverpb::DeleteRangeResponse>(result.response);
  EXPECT_EQ(response.deleted(), 2);
  EXPECT_EQ(response.header().revision(), 6);
  ASSERT_EQ(response.prev_kvs_size(), 2);
  EXPECT_EQ(response.prev_kvs(0).key(), "b");
  EXPECT_EQ(response.prev_kvs(1).key(), "c");
  EXPECT_EQ(store_.Read(kAll, kAll), "a=x d=x");
}

TEST_P(StoreTest, PutsOfOneDrainSeeEachOther) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(store_.Apply(CommandKind::kPut, TestStore::PutRequest("a", "v")).status.ok());
  }
  store_->Commit();
  EXPECT_EQ(Only(store_, "a").version(), 3);
}

TEST_P(StoreTest, PutOptions) {
  ASSERT_TRUE(store_.Grant(5).ok());
  auto absent = TestStore::PutRequest("a", "");
  absent.set_ignore_value(true);
  EXPECT_EQ(store_.Run(CommandKind::kPut, absent).status, ErrKeyNotFound());
  EXPECT_EQ(store_.Put("a", "1", 99), ErrLeaseNotFound());
  EXPECT_EQ(store_->revision(), 1);

  ASSERT_TRUE(store_.Put("a", "1", 5).ok());
  auto keep_lease = TestStore::PutRequest("a", "2");
  keep_lease.set_ignore_lease(true);
  keep_lease.set_prev_kv(true);
  const ApplyResult result = store_.Run(CommandKind::kPut, keep_lease);
  EXPECT_EQ(std::get<etcdserverpb::PutResponse>(result.response).prev_kv().value(), "1");
  EXPECT_EQ(Only(store_, "a").lease(), 5);
  auto keep_value = TestStore::PutRequest("a", "");
  keep_value.set_ignore_value(true);
  EXPECT_TRUE(store_.Run(CommandKind::kPut, keep_value).status.ok());
  EXPECT_EQ(Only(store_, "a").value(), "2");
  EXPECT_EQ(Only(store_, "a").lease(), 0);
  EXPECT_EQ(Only(store_, "a").version(), 3);
}

TEST_P(StoreTest, NobodyWaitsNoResponse) {
  const ApplyResult result =
      store_.Apply(CommandKind::kPut, TestStore::PutRequest("a", "1"), false);
  store_->Commit();
  EXPECT_TRUE(std::holds_alternative<std::monostate>(result.response));
  EXPECT_EQ(store_.Read("a"), "a=1");
}

TEST_P(StoreTest, ALeaseHoldsItsLastPutsAndTakesThemAlong) {
  ASSERT_TRUE(store_.Grant(5).ok());
  ASSERT_TRUE(store_.Grant(-6).ok());
  EXPECT_EQ(store_.Grant(5), ErrLeaseExists());
  for (const char* key : {"c", "a", "b", "d"}) ASSERT_TRUE(store_.Put(key, "x", 5).ok());
  ASSERT_TRUE(store_.Put("b", "y").ok());      // detached
  ASSERT_TRUE(store_.Put("d", "y", -6).ok());  // moved
  EXPECT_THAT(store_->lessor().Keys(5), ElementsAre("a", "c"));
  EXPECT_THAT(store_->lessor().Keys(-6), ElementsAre("d"));

  const int64_t before = store_->revision();
  ASSERT_TRUE(store_.Revoke(5).ok());
  EXPECT_EQ(store_->revision(), before + 1);
  EXPECT_EQ(store_.Read(kAll, kAll), "b=y d=y");
  const auto events = store_->ReadEvents(before + 1, 10, 1 << 20);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_EQ(events[0]->events.size(), 2u);
  EXPECT_EQ(events[0]->events[0].key, "a");
  EXPECT_EQ(events[0]->events[1].key, "c");
  EXPECT_EQ(store_.Revoke(5), ErrLeaseNotFound());
  EXPECT_EQ(store_.Put("a", "x", 5), ErrLeaseNotFound());
}

TEST_P(StoreTest, ARevokeSeesThePutsOfItsDrain) {
  ASSERT_TRUE(store_.Grant(5).ok());
  (void)store_.Apply(CommandKind::kPut, TestStore::PutRequest("a", "1", 5));
  ASSERT_TRUE(store_.Revoke(5).ok());
  EXPECT_EQ(store_.Read(kAll, kAll), "");
  EXPECT_EQ(store_->revision(), 3);
}

TEST_P(StoreTest, RevokingAnEmptyLeaseIsNoRevision) {
  ASSERT_TRUE(store_.Grant(5).ok());
  ASSERT_TRUE(store_.Revoke(5).ok());
  EXPECT_EQ(store_->revision(), 1);
}

TEST_P(StoreTest, DeletedKeysLeaveTheirLease) {
  ASSERT_TRUE(store_.Grant(5).ok());
  ASSERT_TRUE(store_.Put("a", "1", 5).ok());
  store_.Delete("a");
  EXPECT_THAT(store_->lessor().Keys(5), IsEmpty());
}

TEST_P(StoreTest, WhileSpaceIsShortOnlyWhatTakesSpaceFails) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  etcdserverpb::AlarmRequest alarm;
  alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.set_memberid(7);
  alarm.set_alarm(etcdserverpb::NOSPACE);
  for (int i = 0; i < 2; ++i) {  // a second time is the same
    const ApplyResult result = store_.Run(CommandKind::kAlarm, alarm);
    EXPECT_EQ(std::get<etcdserverpb::AlarmResponse>(result.response).alarms_size(), 1);
  }
  EXPECT_EQ(store_.Put("a", "2"), ErrNoSpace());
  EXPECT_EQ(store_.Grant(1), ErrNoSpace());
  etcdserverpb::TxnRequest txn;
  *txn.add_failure()->mutable_request_put() = TestStore::PutRequest("a", "2");
  EXPECT_EQ(store_.Run(CommandKind::kTxn, txn).status, ErrNoSpace());
  store_.Restart();
  EXPECT_EQ(store_.Put("a", "2"), ErrNoSpace());
  EXPECT_EQ(store_.Delete("a"), 1);

  EXPECT_TRUE(store_->IsAlarmOn(etcdserverpb::NOSPACE));
  EXPECT_FALSE(store_->IsAlarmOn(etcdserverpb::CORRUPT));

  alarm.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  EXPECT_TRUE(store_.Run(CommandKind::kAlarm, alarm).status.ok());
  EXPECT_THAT(store_->Alarms(), IsEmpty());
  EXPECT_FALSE(store_->IsAlarmOn(etcdserverpb::NOSPACE));
  EXPECT_TRUE(store_.Put("a", "2").ok());
  const ApplyResult again = store_.Run(CommandKind::kAlarm, alarm);
  EXPECT_EQ(std::get<etcdserverpb::AlarmResponse>(again.response).alarms_size(), 0);
}

TEST_P(StoreTest, MembersPublishTheirAttributes) {
  etcdserverpb::Member published;
  published.set_id(7);
  published.set_name("one");
  published.add_clienturls("http://one:2379");
  EXPECT_TRUE(store_.Run(CommandKind::kMemberAttributes, published).status.ok());
  store_.Restart();
  const std::vector<etcdserverpb::Member> members = store_->Members();
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(members[0].name(), "one");
  EXPECT_THAT(members[0].clienturls(), ElementsAre("http://one:2379"));
  EXPECT_THAT(members[0].peerurls(), ElementsAre("http://one:2380"));
  published.set_id(8);
  EXPECT_EQ(store_.Run(CommandKind::kMemberAttributes, published).status, ErrMemberNotFound());
}

TEST_P(StoreTest, ARestartFindsAllAsItWas) {
  ASSERT_TRUE(store_.Grant(5).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store_.Put("k" + std::to_string(i), "v", 5).ok());
  store_->ApplyNothing(store_->applied_index() + 1, 3);
  store_->Commit();
  ASSERT_TRUE(store_.Compact(10).ok());
  const uint64_t applied = store_->applied_index();
  const uint32_t hash = store_->Hash();
  store_.Restart();
  EXPECT_EQ(store_->applied_index(), applied);
  EXPECT_EQ(store_->revision(), 21);
  EXPECT_EQ(store_->compact_revision(), 10);
  EXPECT_TRUE(store_->lessor().Exists(5));
  EXPECT_EQ(store_->Hash(), hash);
}

TEST_P(StoreTest, ASumIsOfTheMomentAtWhichItWasAskedFor) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(store_.Put("a", "2").ok());
  const uint32_t all = store_->Hash();
  const uint32_t history = store_->HashKv(0)->hash;
  HashWork all_later = store_->PrepareHash();
  absl::StatusOr<HashWork> history_later = store_->PrepareHashKv(0);
  ASSERT_TRUE(store_.Put("a", "3").ok());
  ASSERT_TRUE(store_.Compact(4).ok());
  store_.CompactFully();
  EXPECT_EQ(all_later().hash, all);
  const HashResult sum = (*history_later)();
  EXPECT_EQ(sum.hash, history);
  EXPECT_EQ(sum.hash_revision, 3);
  EXPECT_EQ(sum.compact_revision, -1);
  EXPECT_NE(store_->Hash(), all);
}

TEST_P(StoreTest, HistoryListsRevisionsInOrder) {
  ASSERT_TRUE(store_.Put("a", "1").ok());
  ASSERT_TRUE(store_.Put("b", "1").ok());
  store_.Delete(kAll, kAll);
  const auto all = store_->ReadEvents(1, 100, 1 << 20);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]->revision, 2);
  EXPECT_EQ(all[2]->revision, 4);
  ASSERT_EQ(all[2]->events.size(), 2u);
  const Event& event = all[2]->events[1];
  EXPECT_TRUE(event.is_delete);
  EXPECT_EQ(event.key, "b");
  EXPECT_EQ(event.record.mod, (Revision{4, 1}));
  EXPECT_EQ(event.previous, (Revision{3, 0}));
  EXPECT_EQ(store_->RecordAt("b", event.previous)->value, "1");
  EXPECT_EQ(store_->RecordAt("a", event.previous), std::nullopt);

  EXPECT_EQ(store_->ReadEvents(3, 1, 1 << 20).size(), 1u);
  EXPECT_EQ(store_->ReadEvents(1, 100, 1).size(), 1u);
  EXPECT_EQ(store_->ReadEvents(5, 100, 1 << 20).size(), 0u);
}

using StoreDeathTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Memory, StoreDeathTest, ::testing::Values(EngineKind::kMemory));

TEST_P(StoreDeathTest, EntriesAreAppliedInOrder) {
  EXPECT_DEATH(store_->ApplyNothing(2, 3), "position_");
}

TEST(StoreOpenTest, AnEngineWithSomethingElseIsDataLoss) {
  MemoryEngine engine;
  WriteBatch batch;
  batch.Put("x", "y");
  engine.Write(batch);
  EXPECT_EQ(Store::Open(&engine, {}, {}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(StoreOpenTest, AnUnknownFormatIsDataLoss) {
  MemoryEngine engine;
  WriteBatch batch;
  batch.Put(kFormatKey, "1");
  engine.Write(batch);
  EXPECT_EQ(Store::Open(&engine, {}, {}).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace conclave::kv
