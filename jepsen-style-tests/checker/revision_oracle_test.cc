// Corners of the revision oracle that random histories do not reach.
#include "jepsen-style-tests/checker/revision_oracle.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/request_replay.h"
#include "jepsen-style-tests/checker/revision_matching.h"

namespace conclave::checker {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

PutRequest Put(std::string key, std::string value) {
  PutRequest put;
  put.set_key(std::move(key));
  put.set_value(std::move(value));
  return put;
}

DeleteRangeRequest Delete(std::string key, std::string range_end) {
  DeleteRangeRequest request;
  request.set_key(std::move(key));
  request.set_range_end(std::move(range_end));
  return request;
}

KvOperation Unanswered(uint64_t id, KvRequest request, int64_t called_ns) {
  KvOperation operation;
  operation.id = id;
  operation.called_ns = called_ns;
  operation.outcome = Outcome::kInfo;
  operation.request = std::move(request);
  return operation;
}

// A store that does what it is asked, one request after the other.
class RevisionOracleTest : public testing::Test {
 protected:
  // Applies without an answer to anyone.
  void Apply(const KvRequest& request) {
    Replayed replayed = Replay(request, KeyVersions(log_), log_.last_revision());
    ASSERT_FALSE(replayed.refused);
    now_ns_ += 10;
    if (!replayed.events.empty()) {
      log_.Add(log_.last_revision() + 1, std::move(replayed.events), now_ns_);
    }
  }

  void Do(const KvRequest& request) {
    KvOperation operation = Unanswered(history_.size(), request, now_ns_ + 5);
    operation.response = Replay(request, KeyVersions(log_), log_.last_revision()).response;
    operation.outcome = Outcome::kOk;
    Apply(request);
    operation.returned_ns = now_ns_ + 5;
    history_.push_back(std::move(operation));
  }

  Report Check(RevisionOracleOptions options = {}) const {
    options.ok_writes_min = 0;
    options.ok_reads_min = 0;
    return CheckRevisions(history_, log_, options);
  }

  EventLog log_;
  std::vector<KvOperation> history_;
  int64_t now_ns_ = 0;
};

TEST_F(RevisionOracleTest, ATransactionMayTouchAKeyTwice) {
  Do(Put("b", "1"));
  TxnRequest txn;
  *txn.add_success()->mutable_request_delete_range() = Delete("a", std::string(1, '\0'));
  *txn.add_success()->mutable_request_put() = Put("b", "2");
  RangeRequest range;
  range.set_key("b");
  *txn.add_success()->mutable_request_range() = range;
  Do(txn);
  ASSERT_EQ(log_.At(3).size(), 2u);
  EXPECT_EQ(log_.At(3)[1].create_revision, 3);
  Do(range);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

TEST_F(RevisionOracleTest, NestedComparesSeeTheStateBeforeAll) {
  TxnRequest nested;
  etcdserverpb::Compare& compare = *nested.add_compare();
  compare.set_key("a");
  compare.set_target(etcdserverpb::Compare::CREATE);
  *nested.add_success()->mutable_request_delete_range() = Delete("b", "");
  *nested.add_failure()->mutable_request_put() = Put("c", "1");
  TxnRequest txn;
  *txn.add_success()->mutable_request_put() = Put("a", "1");
  *txn.add_success()->mutable_request_txn() = nested;
  Do(txn);
  EXPECT_EQ(log_.At(2).size(), 1u);  // the nested one did not see the put
  Do(txn);
  EXPECT_EQ(log_.At(3).size(), 2u);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

// Either operation explains the first revision, only one the second.
TEST_F(RevisionOracleTest, UnansweredOperationsAreMatchedToRevisions) {
  Apply(Put("a", "1"));
  Apply(Put("b", "1"));
  Apply(Delete("a", "b"));
  Apply(Put("a", "1"));
  Apply(Delete("a", "c"));
  history_.push_back(Unanswered(1, Put("a", "1"), 0));
  history_.push_back(Unanswered(2, Put("b", "1"), 0));
  history_.push_back(Unanswered(3, Put("a", "1"), 0));
  history_.push_back(Unanswered(4, Delete("a", std::string(1, '\0')), 0));
  history_.push_back(Unanswered(5, Delete("a", "b"), 0));
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
  history_.erase(history_.begin() + 2);
  EXPECT_EQ(Check().anomaly, "write-applied-twice");
}

TEST_F(RevisionOracleTest, NothingAppliesBeforeItIsCalled) {
  Apply(Put("a", "1"));
  history_.push_back(Unanswered(1, Put("a", "1"), now_ns_ + 1));
  EXPECT_EQ(Check().anomaly, "unexplained-event");
  history_[0].called_ns = now_ns_;
  EXPECT_EQ(Check().verdict, Verdict::kPass);
}

TEST_F(RevisionOracleTest, DeletesOfALeaseNeedNoOperation) {
  PutRequest put = Put("a", "1");
  put.set_lease(7);
  Do(put);
  put.set_key("b");
  Do(put);
  Apply(Delete("a", "c"));
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
  EXPECT_EQ(Check({.lease_deletes = std::set<int64_t>{4}}).verdict, Verdict::kPass);
  EXPECT_EQ(Check({.lease_deletes = std::set<int64_t>{}}).anomaly, "unexplained-event");
}

TEST_F(RevisionOracleTest, ALeaseTakesAllItsKeys) {
  PutRequest put = Put("a", "1");
  put.set_lease(7);
  Do(put);
  put.set_key("b");
  Do(put);
  Apply(Delete("a", ""));
  EXPECT_EQ(Check({.lease_deletes = std::set<int64_t>{4}}).anomaly, "unexplained-event");
}

TEST_F(RevisionOracleTest, AWriteThatSaysItChangedNothingMustNot) {
  Do(Put("a", "1"));
  DeleteRangeRequest nothing = Delete("b", "");
  Do(nothing);
  EXPECT_EQ(Check().verdict, Verdict::kPass);
  nothing.set_key("a");
  history_.back().request = nothing;
  EXPECT_EQ(Check().anomaly, "wrong-response");
}

TEST_F(RevisionOracleTest, CompactedIsPlausibleOnceACompactionWasAsked) {
  Do(Put("a", "1"));
  Do(Put("a", "2"));
  RangeRequest range;
  range.set_key("a");
  range.set_revision(2);
  KvOperation refused = Unanswered(9, range, now_ns_ + 10);
  refused.outcome = Outcome::kFail;
  refused.returned_ns = now_ns_ + 20;
  refused.error = "etcdserver: mvcc: required revision has been compacted";
  history_.push_back(refused);
  EXPECT_EQ(Check().anomaly, "wrong-error");
  EXPECT_EQ(Check({.auto_compaction = true}).verdict, Verdict::kPass);
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(3);
  history_.push_back(Unanswered(10, compaction, now_ns_ + 20));
  EXPECT_EQ(Check().verdict, Verdict::kPass);
  history_.back().called_ns = now_ns_ + 21;
  EXPECT_EQ(Check().anomaly, "wrong-error");
}

TEST_F(RevisionOracleTest, ConcurrentOperationsMayBeInAnyOrder) {
  Do(Put("a", "1"));
  Do(Put("b", "1"));
  // The first is called just after the second has returned, and then just as it does.
  history_[0].called_ns = history_[1].returned_ns + 1;
  history_[0].returned_ns = history_[1].returned_ns + 2;
  EXPECT_EQ(Check().anomaly, "revision-went-back");
  history_[0].called_ns = history_[1].returned_ns;
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

}  // namespace
}  // namespace conclave::checker
