// Transactions rule by rule (reference: behaviour section 3.6), through the store.

#include <gtest/gtest.h>

#include <functional>

#include "kvstore/errors.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

RequestOp Put(const std::string& key, const std::string& value, int64_t lease = 0) {
  RequestOp op;
  *op.mutable_request_put() = TestStore::PutRequest(key, value, lease);
  return op;
}

RequestOp Get(const std::string& key, int64_t revision = 0, const std::string& end = {}) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  op.mutable_request_range()->set_range_end(end);
  op.mutable_request_range()->set_revision(revision);
  return op;
}

RequestOp Delete(const std::string& key, const std::string& end = {}) {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(end);
  return op;
}

class Builder {
 public:
  Builder& If(Compare::CompareTarget target, Compare::CompareResult result, const std::string& key,
              const std::function<void(Compare&)>& set = nullptr) {
    Compare& compare = *txn_.add_compare();
    compare.set_target(target);
    compare.set_result(result);
    compare.set_key(key);
    if (set) set(compare);
    return *this;
  }
  Builder& Then(const RequestOp& op) {
    *txn_.add_success() = op;
    return *this;
  }
  Builder& Else(const RequestOp& op) {
    *txn_.add_failure() = op;
    return *this;
  }
  RequestOp Nested() const {
    RequestOp op;
    *op.mutable_request_txn() = txn_;
    return op;
  }
  const TxnRequest& txn() const { return txn_; }

 private:
  TxnRequest txn_;
};

// Revisions:   2 a=m   3 b=x (lease 5)   4 b=m (lease 5)
class TxnTest : public ::testing::Test {
 protected:
  TxnTest() {
    EXPECT_TRUE(store_.Grant(5).ok());
    EXPECT_TRUE(store_.Put("a", "m").ok());
    EXPECT_TRUE(store_.Put("b", "x", 5).ok());
    EXPECT_TRUE(store_.Put("b", "m", 5).ok());
  }
  TxnResponse Run(const Builder& builder) {
    const ApplyResult result = store_.Run(CommandKind::kTxn, builder.txn());
    EXPECT_TRUE(result.status.ok()) << result.status;
    return result.status.ok() ? std::get<TxnResponse>(result.response) : TxnResponse();
  }
  absl::Status Fail(const Builder& builder) {
    return store_.Run(CommandKind::kTxn, builder.txn()).status;
  }

  TestStore store_;
};

TEST_F(TxnTest, ComparesHoldAsTheTableSays) {
  const auto number = [](void (Compare::*set)(int64_t), int64_t value) {
    return [=](Compare& compare) { (compare.*set)(value); };
  };
  const auto text = [](const std::string& value) {
    return [=](Compare& compare) { compare.set_value(value); };
  };
  const auto over = [](const std::string& end, const std::function<void(Compare&)>& set) {
    return [=](Compare& compare) {
      set(compare);
      compare.set_range_end(end);
    };
  };
  const auto version = [&](int64_t value) { return number(&Compare::set_version, value); };
  const struct {
    Compare::CompareTarget target;
    Compare::CompareResult result;
    std::string key;
    std::function<void(Compare&)> set;
    bool holds;
  } cases[] = {
      {Compare::VERSION, Compare::EQUAL, "b", version(2), true},
      {Compare::VERSION, Compare::NOT_EQUAL, "b", version(2), false},
      {Compare::VERSION, Compare::GREATER, "b", version(1), true},
      {Compare::VERSION, Compare::GREATER, "b", version(2), false},
      {Compare::VERSION, Compare::LESS, "b", version(3), true},
      {Compare::CREATE, Compare::EQUAL, "b", number(&Compare::set_create_revision, 3), true},
      {Compare::MOD, Compare::EQUAL, "b", number(&Compare::set_mod_revision, 4), true},
      {Compare::LEASE, Compare::EQUAL, "b", number(&Compare::set_lease, 5), true},
      {Compare::VALUE, Compare::EQUAL, "b", text("m"), true},
      {Compare::VALUE, Compare::GREATER, "b", text("ma"), false},
      {Compare::VALUE, Compare::LESS, "b", text("\xff"), true},
      // An absent key has zeros but no value.
      {Compare::VERSION, Compare::EQUAL, "none", version(0), true},
      {Compare::CREATE, Compare::LESS, "none", number(&Compare::set_create_revision, 1), true},
      {Compare::VALUE, Compare::EQUAL, "none", text(""), false},
      {Compare::VALUE, Compare::NOT_EQUAL, "none", text("x"), false},
      // A member that does not fit the target, or none, is zero.
      {Compare::VERSION, Compare::EQUAL, "b", text("2"), false},
      {Compare::VERSION, Compare::GREATER, "b", nullptr, true},
      // Every key of a range must hold; an empty range is an absent key.
      {Compare::VERSION, Compare::GREATER, "a", over("c", version(0)), true},
      {Compare::VERSION, Compare::GREATER, "a", over("c", version(1)), false},
      {Compare::VALUE, Compare::EQUAL, "a", over(std::string(1, '\0'), text("m")), true},
      {Compare::VERSION, Compare::EQUAL, "x", over("z", version(0)), true},
      {Compare::VALUE, Compare::NOT_EQUAL, "x", over("z", text("q")), false},
      // Numbers that this server does not know.
      {Compare::VERSION, static_cast<Compare::CompareResult>(9), "b", version(7), true},
      {static_cast<Compare::CompareTarget>(9), Compare::EQUAL, "b", version(7), true},
  };
  for (const auto& c : cases) {
    const TxnResponse response = Run(Builder().If(c.target, c.result, c.key, c.set));
    EXPECT_EQ(response.succeeded(), c.holds) << c.target << ' ' << c.result << ' ' << c.key;
  }
}

TEST_F(TxnTest, AllComparesMustHold) {
  Builder builder;
  builder.If(Compare::VALUE, Compare::EQUAL, "a", [](Compare& c) { c.set_value("m"); })
      .If(Compare::VALUE, Compare::EQUAL, "b", [](Compare& c) { c.set_value("wrong"); })
      .Then(Put("t", "1"))
      .Else(Put("e", "1"));
  EXPECT_FALSE(Run(builder).succeeded());
  EXPECT_EQ(store_.Read("e", "u"), "e=1");
}

TEST_F(TxnTest, AllChangesAreOneRevision) {
  const TxnResponse response =
      Run(Builder().Then(Put("x", "1")).Then(Delete("a", "c")).Then(Put("y", "1")));
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 5);
  EXPECT_EQ(store_->revision(), 5);
  ASSERT_EQ(response.responses_size(), 3);
  EXPECT_EQ(response.responses(0).response_put().header().revision(), 5);
  EXPECT_EQ(response.responses(1).response_delete_range().deleted(), 2);
  const auto events = store_->ReadEvents(5, 10, 1 << 20);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_EQ(events[0]->events.size(), 4u);
  for (int64_t sub = 0; sub < 4; ++sub) {
    EXPECT_EQ(events[0]->events[static_cast<size_t>(sub)].record.mod, (Revision{5, sub}));
  }
}

TEST_F(TxnTest, WithoutAChangeThereIsNoRevision) {
  const TxnResponse response = Run(Builder().Then(Get("a")).Then(Delete("none")));
  EXPECT_EQ(response.header().revision(), 4);
  EXPECT_EQ(response.responses(0).response_range().header().revision(), 4);
  EXPECT_EQ(response.responses(1).response_delete_range().header().revision(), 4);
  EXPECT_EQ(store_->revision(), 4);
}

TEST_F(TxnTest, LaterOperationsSeeEarlierOnes) {
  const TxnResponse response = Run(Builder()
                                       .Then(Get("a"))
                                       .Then(Put("a", "n"))
                                       .Then(Get("a"))
                                       .Then(Get("a", 4))
                                       .Then(Delete("a", std::string(1, '\0')))
                                       .Then(Get("a", 0, "z")));
  const auto range = [&](int i) { return response.responses(i).response_range(); };
  EXPECT_EQ(TestStore::Text(range(0)), "a=m");
  EXPECT_EQ(range(0).header().revision(), 4);
  EXPECT_EQ(TestStore::Text(range(2)), "a=n");
  EXPECT_EQ(range(2).header().revision(), 5);
  EXPECT_EQ(TestStore::Text(range(3)), "a=m");
  EXPECT_EQ(TestStore::Text(range(5)), "");
}

// A put and a delete of all keys from one on are not seen as duplicates, so one revision may change
// a key twice.
TEST_F(TxnTest, AKeyMayChangeTwiceInOneRevision) {
  const std::string zero(1, '\0');
  Run(Builder().Then(Put("q", "1")).Then(Delete("a", zero)));
  EXPECT_EQ(store_.Read(zero, zero), "");
  Run(Builder().Then(Delete("a", zero)).Then(Put("q", "2")));
  EXPECT_EQ(store_.Read(zero, zero), "q=2");
  Run(Builder().Then(Delete("a", zero)).Then(Put("q", "3")));
  EXPECT_EQ(store_.Read(zero, zero, 7), "q=3");
  EXPECT_EQ(store_.Read(zero, zero, 6), "q=2");
  const auto events = store_->ReadEvents(7, 10, 1 << 20);
  ASSERT_EQ(events[0]->events.size(), 2u);
  EXPECT_TRUE(events[0]->events[0].is_delete);
  EXPECT_EQ(events[0]->events[1].record.version, 1);
}

TEST_F(TxnTest, NestedComparesSeeTheStateBeforeTheWhole) {
  Builder nested;
  nested.If(Compare::VALUE, Compare::EQUAL, "a", [](Compare& c) { c.set_value("m"); })
      .Then(Put("n", "old"))
      .Else(Put("n", "new"));
  const TxnResponse response = Run(Builder().Then(Put("a", "changed")).Then(nested.Nested()));
  EXPECT_EQ(store_.Read("n"), "n=old");
  const TxnResponse& inner = response.responses(1).response_txn();
  EXPECT_TRUE(inner.succeeded());
  EXPECT_TRUE(inner.has_header());
  EXPECT_EQ(inner.header().revision(), 0);
  EXPECT_EQ(inner.responses(0).response_put().header().revision(), 5);
}

TEST_F(TxnTest, AnErrorOfTheTakenPathLeavesNoTrace) {
  ASSERT_TRUE(store_.Compact(3).ok());
  RequestOp keep_value = Put("none", "");
  keep_value.mutable_request_put()->set_ignore_value(true);
  const struct {
    RequestOp op;
    absl::Status expected;
  } cases[] = {
      {Get("a", 5), ErrFutureRevision()},
      {Get("a", 2), ErrCompacted()},
      {Get("a", -1), ErrCompacted()},  // a quirk: a plain Range reads the latest
      {Put("k", "v", 99), ErrLeaseNotFound()},
      {keep_value, ErrKeyNotFound()},
      {Builder().Then(Put("k", "v", 99)).Nested(), ErrLeaseNotFound()},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Fail(Builder().Then(Put("first", "1")).Then(c.op)), c.expected);
    EXPECT_TRUE(Fail(Builder().Else(c.op)).ok()) << "not on the path taken";
    EXPECT_EQ(store_.Read("first"), "");
    EXPECT_EQ(store_->revision(), 4);
  }
}

// Which error a put with both faults gets is etcd's choice, and it is not the same one.
TEST_F(TxnTest, ThePutsKeyIsLookedAtBeforeItsLeaseInATransactionOnly) {
  RequestOp op = Put("none", "", 99);
  op.mutable_request_put()->set_ignore_value(true);
  EXPECT_EQ(Fail(Builder().Then(op)), ErrKeyNotFound());
  EXPECT_EQ(store_.Run(CommandKind::kPut, op.request_put()).status, ErrLeaseNotFound());
}

// Keys that the transaction itself makes do not help: the check looks at the state before it.
TEST_F(TxnTest, ChecksDoNotSeeTheTransactionsOwnChanges) {
  RequestOp keep_value = Put("k", "");
  keep_value.mutable_request_put()->set_ignore_value(true);
  EXPECT_EQ(Fail(Builder().Then(Builder().Then(Put("j", "1")).Nested()).Then(keep_value)),
            ErrKeyNotFound());
  EXPECT_EQ(Fail(Builder().Then(Put("k", "1")).Then(Get("k", 5))), ErrFutureRevision());
}

TEST_F(TxnTest, AReadOnlyOneAnswersWithoutTheLog) {
  Builder builder;
  builder.If(Compare::MOD, Compare::EQUAL, "a", [](Compare& c) { c.set_mod_revision(2); })
      .Then(Get("a"))
      .Then(Get("b", 3));
  TxnResponse response;
  ASSERT_TRUE(store_->ReadOnlyTxn(builder.txn(), &response).ok());
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 4);
  EXPECT_EQ(TestStore::Text(response.responses(0).response_range()), "a=m");
  EXPECT_EQ(TestStore::Text(response.responses(1).response_range()), "b=x");
  TxnResponse failed;
  EXPECT_EQ(store_->ReadOnlyTxn(Builder().Then(Get("a", 9)).txn(), &failed), ErrFutureRevision());
}

}  // namespace
}  // namespace conclave::kv
