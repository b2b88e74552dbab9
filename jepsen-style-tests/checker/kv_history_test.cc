#include "jepsen-style-tests/checker/kv_history.h"

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/key_versions.h"

namespace conclave::checker {
namespace {

KvEvent Put(std::string key, std::string value) {
  KvEvent event;
  event.key = std::move(key);
  event.value = std::move(value);
  return event;
}

KvEvent Delete(std::string key) {
  KvEvent event;
  event.key = std::move(key);
  event.is_delete = true;
  return event;
}

TEST(EventLog, RevisionsMayComeInAnyOrderAndAgain) {
  EventLog log;
  EXPECT_EQ(log.last_revision(), 1);
  log.Add(3, {Put("b", "2"), Delete("a")}, 30);
  EXPECT_EQ(log.Check().anomaly, "missing-revision");
  log.Add(2, {Put("a", "1")}, 20);
  log.Add(3, {Put("b", "2"), Delete("a")}, 25);
  EXPECT_TRUE(log.Check().passed());
  EXPECT_EQ(log.last_revision(), 3);
  EXPECT_EQ(log.applied_ns(3), 25);
  EXPECT_EQ(ToString(log.At(3)[1]), "3.1 delete a");
  EXPECT_TRUE(log.At(4).empty());
  EXPECT_EQ(log.applied_ns(4), kNeverReturned);
}

TEST(EventLog, TheFirstDivergenceIsKept) {
  EventLog log;
  log.Add(2, {Put("a", "1")}, 20);
  log.Add(2, {Put("a", "2")}, 20);
  log.Add(2, {Put("a", "3")}, 20);
  const Report report = log.Check();
  EXPECT_EQ(report.anomaly, "diverged-events");
  EXPECT_NE(report.explanation.find("\"2\""), std::string::npos) << report.explanation;
}

TEST(KvOperation, OnlyReadsThatAllowItAreSerializable) {
  KvOperation operation;
  etcdserverpb::RangeRequest range;
  operation.request = range;
  EXPECT_FALSE(operation.serializable());
  range.set_serializable(true);
  operation.request = range;
  EXPECT_TRUE(operation.serializable());

  etcdserverpb::TxnRequest txn;
  operation.request = txn;
  EXPECT_TRUE(operation.serializable());  // a quirk of etcd's
  *txn.add_success()->mutable_request_range() = range;
  operation.request = txn;
  EXPECT_TRUE(operation.serializable());
  txn.add_failure()->mutable_request_put();
  operation.request = txn;
  EXPECT_FALSE(operation.serializable());
}

TEST(KvOperation, IsShownOnOneLine) {
  KvOperation operation;
  operation.id = 4;
  operation.process = 2;
  operation.called_ns = 10;
  operation.returned_ns = 20;
  etcdserverpb::PutRequest put;
  put.set_key("a");
  operation.request = put;
  operation.outcome = Outcome::kFail;
  operation.error = "etcdserver: no leader";
  EXPECT_EQ(ToString(operation),
            "operation 4 of process 2, called at 10 ns: put {key: \"a\"} -> fail etcdserver: no "
            "leader");
}

TEST(KeyVersions, KeepsEveryState) {
  EventLog log;
  KvEvent leased = Put("b", "2");
  leased.lease = 7;
  log.Add(2, {Put("a", "1"), leased}, 0);
  log.Add(3, {Delete("a")}, 0);
  log.Add(4, {Put("a", "3"), Put("b", "4")}, 0);
  log.Add(5, {Put("a", "5"), Delete("a")}, 0);
  const KeyVersions versions(log);
  EXPECT_EQ(versions.Get("a", 1), nullptr);
  EXPECT_EQ(versions.Get("a", 2)->value(), "1");
  EXPECT_EQ(versions.Get("a", 3), nullptr);
  EXPECT_EQ(versions.Get("a", 4)->value(), "3");
  EXPECT_EQ(versions.Get("a", 5), nullptr);
  EXPECT_EQ(versions.Select("a", "c", 2).size(), 2u);
  EXPECT_EQ(versions.Select("a", "c", 3).size(), 1u);
  EXPECT_EQ(versions.Select("a", "", 3).size(), 0u);
  EXPECT_EQ(versions.KeysOf(7, 3), std::vector<std::string>{"b"});
  EXPECT_TRUE(versions.KeysOf(7, 4).empty());
}

}  // namespace
}  // namespace conclave::checker
