// The checks at the entrance, rule by rule (reference: behaviour sections 3.2-3.6 and 4). The
// duplicate-key rows were tried on etcd 3.4.23.

#include "kvstore/validate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/errors.h"

namespace conclave::kv {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = std::vector<RequestOp>;

RequestOp Put(const std::string& key) {
  RequestOp op;
  op.mutable_request_put()->set_key(key);
  return op;
}

RequestOp Get(const std::string& key) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  return op;
}

RequestOp Delete(const std::string& key, const std::string& range_end = {}) {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(range_end);
  return op;
}

TxnRequest Txn(const Operations& success, const Operations& failure = {}) {
  TxnRequest txn;
  for (const RequestOp& op : success) *txn.add_success() = op;
  for (const RequestOp& op : failure) *txn.add_failure() = op;
  return txn;
}

RequestOp Nested(const Operations& success, const Operations& failure = {}) {
  RequestOp op;
  *op.mutable_request_txn() = Txn(success, failure);
  return op;
}

TEST(ValidateRange, NeedsAKeyAndKnownOrders) {
  RangeRequest range;
  EXPECT_EQ(Validate(range), ErrEmptyKey());
  range.set_key("a");
  EXPECT_EQ(Validate(range), absl::OkStatus());
  range.set_sort_order(static_cast<RangeRequest::SortOrder>(3));
  EXPECT_EQ(Validate(range), ErrInvalidSortOption());
  range.set_sort_order(RangeRequest::DESCEND);
  range.set_sort_target(static_cast<RangeRequest::SortTarget>(5));
  EXPECT_EQ(Validate(range), ErrInvalidSortOption());
}

TEST(ValidatePut, ChecksInEtcdsOrder) {
  etcdserverpb::PutRequest put;
  put.set_value("v");
  put.set_lease(1);
  put.set_ignore_value(true);
  put.set_ignore_lease(true);
  EXPECT_EQ(Validate(put), ErrEmptyKey());
  put.set_key("a");
  EXPECT_EQ(Validate(put), ErrValueProvided());
  put.clear_value();
  EXPECT_EQ(Validate(put), ErrLeaseProvided());
  put.clear_lease();
  EXPECT_EQ(Validate(put), absl::OkStatus());
}

TEST(ValidateDeleteRange, NeedsAKey) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_range_end("b");
  EXPECT_EQ(Validate(request), ErrEmptyKey());
  request.set_key("a");
  EXPECT_EQ(Validate(request), absl::OkStatus());
}

TEST(ValidateTxn, EveryOperationOfBothBranchesIsChecked) {
  EXPECT_EQ(Validate(TxnRequest(), 128), absl::OkStatus());
  EXPECT_EQ(Validate(Txn({}, {Put("")}), 128), ErrEmptyKey());
  EXPECT_EQ(Validate(Txn({Nested({}, {Get("")})}), 128), ErrEmptyKey());
  EXPECT_EQ(Validate(Txn({RequestOp()}), 128), ErrKeyNotFound());
  TxnRequest compare;
  compare.add_compare();
  EXPECT_EQ(Validate(compare, 128), ErrEmptyKey());
}

TEST(ValidateTxn, TheLongestListCounts) {
  TxnRequest txn = Txn({Get("a"), Get("b")}, {Get("c")});
  EXPECT_EQ(Validate(txn, 2), absl::OkStatus());
  EXPECT_EQ(Validate(txn, 1), ErrTooManyOps());
  for (int i = 0; i < 3; ++i) txn.add_compare()->set_key("a");
  EXPECT_EQ(Validate(txn, 2), ErrTooManyOps());
}

TEST(ValidateTxn, ANestedTransactionHasWhatTheOuterOneLeaves) {
  const TxnRequest txn = Txn({Get("a"), Nested({Get("b"), Get("c")})});
  EXPECT_EQ(Validate(txn, 4), absl::OkStatus());
  EXPECT_EQ(Validate(txn, 3), ErrTooManyOps());
}

TEST(ValidateTxn, DuplicateKeys) {
  const std::string zero(1, '\0');
  const struct {
    std::string name;
    TxnRequest txn;
    bool duplicate;
  } cases[] = {
      {"put, put", Txn({Put("k"), Put("k")}), true},
      {"put, put elsewhere", Txn({Put("k"), Put("l")}), false},
      {"put, delete", Txn({Put("k"), Delete("k")}), true},
      {"put before the end of a delete", Txn({Delete("a", "c"), Put("b")}), true},
      {"put at the end of a delete", Txn({Delete("a", "c"), Put("c")}), false},
      {"delete, delete", Txn({Delete("a", "c"), Delete("b")}), false},
      {"get, put", Txn({Get("k"), Put("k"), Get("k")}), false},
      {"either branch", Txn({Put("k")}, {Put("k")}), false},
      {"both branches of one nested", Txn({Nested({Put("k")}, {Put("k")})}), false},
      {"delete in one, put in the other branch", Txn({Nested({Delete("k")}, {Put("k")})}), false},
      {"two nested", Txn({Nested({Put("k")}), Nested({}, {Put("k")})}), true},
      {"nested and outer", Txn({Nested({Put("k")}), Put("k")}), true},
      {"exclusive puts and outer", Txn({Nested({Put("k")}, {Put("k")}), Put("k")}), true},
      {"nested put, outer delete", Txn({Nested({Put("k")}), Delete("k")}), true},
      {"nested delete, outer put", Txn({Put("k"), Nested({Delete("k")})}), true},
      {"nested delete, later nested put", Txn({Nested({Delete("k")}), Nested({Put("k")})}), true},
      {"nested put, later nested delete", Txn({Nested({Put("k")}), Nested({Delete("k")})}), false},
      {"put, delete from key on", Txn({Put("k"), Delete("a", zero)}), false},
      {"put, inverted delete", Txn({Put("b"), Delete("c", "a")}), false},
      {"only the failure branch", Txn({}, {Put("k"), Put("k")}), true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Validate(c.txn, 128), c.duplicate ? ErrDuplicateKey() : absl::OkStatus()) << c.name;
  }
}

TEST(ReadOnlyTxn, HasRangesOnlyAndNoneNested) {
  EXPECT_TRUE(IsReadOnly(TxnRequest()));
  EXPECT_TRUE(IsReadOnly(Txn({Get("a")}, {Get("b")})));
  EXPECT_FALSE(IsReadOnly(Txn({}, {Put("a")})));
  EXPECT_FALSE(IsReadOnly(Txn({Delete("a")})));
  EXPECT_FALSE(IsReadOnly(Txn({Nested({Get("a")})})));
}

TEST(SerializableTxn, IsOneWithoutALinearizableRange) {
  RequestOp serializable = Get("a");
  serializable.mutable_request_range()->set_serializable(true);
  EXPECT_TRUE(IsSerializable(TxnRequest()));
  EXPECT_TRUE(IsSerializable(Txn({serializable})));
  EXPECT_FALSE(IsSerializable(Txn({serializable}, {Get("a")})));
}

TEST(SpaceFor, IsThatOfTheBranchThatTakesMore) {
  etcdserverpb::PutRequest put;
  put.set_key("key");
  put.set_value("value");
  EXPECT_EQ(SpaceFor(put), 264u);
  const uint64_t one = SpaceFor(Txn({Put("k")}));
  EXPECT_GE(one, 257u);
  EXPECT_EQ(SpaceFor(Txn({Put("k"), Put("l")}, {Put("m")})), 2 * one);
  EXPECT_EQ(SpaceFor(Txn({}, {Nested({Put("k")}, {Put("l"), Put("m")}), Put("n")})), 3 * one);
  EXPECT_EQ(SpaceFor(Txn({Get("k"), Delete("l")}, {Nested({Delete("m")})})), 0u);
}

}  // namespace
}  // namespace conclave::kv
