// What enters through the KV service, and what comes back (reference: behaviour sections 3 to 5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::CompactionResponse;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

constexpr char kRange[] = "/etcdserverpb.KV/Range";
constexpr char kPut[] = "/etcdserverpb.KV/Put";
constexpr char kDeleteRange[] = "/etcdserverpb.KV/DeleteRange";
constexpr char kTxn[] = "/etcdserverpb.KV/Txn";
constexpr char kCompact[] = "/etcdserverpb.KV/Compact";

RangeRequest RangeOf(const std::string& key, int64_t revision = 0) {
  RangeRequest request;
  request.set_key(key);
  request.set_revision(revision);
  return request;
}

PutRequest PutOf(const std::string& key, const std::string& value = "value") {
  PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request;
}

DeleteRangeRequest DeleteOf(const std::string& key) {
  DeleteRangeRequest request;
  request.set_key(key);
  return request;
}

// A transaction that puts the keys when its compares hold, which is always.
TxnRequest PutTxn(const std::vector<std::string>& keys) {
  TxnRequest request;
  for (const std::string& key : keys) {
    *request.add_success()->mutable_request_put() = PutOf(key);
  }
  return request;
}

CompactionRequest CompactOf(int64_t revision, bool physical = false) {
  CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(physical);
  return request;
}

// More keys than a range reads on the lane itself (kv::StoreOptions::long_range_keys).
void PutMany(TestApi& api) {
  for (int batch = 0; batch < 21; ++batch) {
    std::vector<std::string> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(std::to_string(1000 + batch) + std::to_string(i));
    ASSERT_TRUE(api.Ask<TxnResponse>(kTxn, PutTxn(keys)).ok());
  }
}

RangeRequest Everything() {
  RangeRequest request = RangeOf(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  return request;
}

TEST(KvServiceTest, ALongRangeIsAnsweredAsAShortOneIs) {
  TestApi api;
  PutMany(api);
  const auto response = api.Ask<RangeResponse>(kRange, Everything());
  ASSERT_TRUE(response.ok());
  ExpectHeader(api, response->header(), 22);
  EXPECT_EQ(response->count(), 2100);
  EXPECT_EQ(response->kvs_size(), 2100);
}

// An empty answer would say that there are no keys.
TEST(KvServiceTest, ALongRangeThatIsTooLargeForAMessageIsRefused) {
  TestApi api(1, {.max_response_bytes = 10'000});
  PutMany(api);
  EXPECT_EQ(api.StatusOf(kRange, Everything()).code(), absl::StatusCode::kResourceExhausted);
  RangeRequest page = Everything();
  page.set_limit(500);
  EXPECT_EQ(api.Ask<RangeResponse>(kRange, page)->kvs_size(), 500);
}

// What writes and reads of every kind answer, when one lookup in so many has to wait for the disk.
std::vector<std::string> AnswersIfOneMisses(uint32_t one_in) {
  TestApi api(1);
  api.cluster().member(0).home_disk.SetMisses(one_in);
  std::vector<std::string> answers;
  const auto ask = [&](const char* method, const auto& request) {
    answers.push_back(api.StatusOf(method, request).ToString());
  };
  const auto read = [&](RangeRequest request) {
    auto response = api.Ask<RangeResponse>(kRange, request);
    ASSERT_TRUE(response.ok()) << response.status();
    response->clear_header();
    answers.push_back(response->ShortDebugString());
  };
  for (int i = 0; i < 3; ++i) {
    for (const std::string key : {"a", "b", "c"}) ask(kPut, PutOf(key, std::to_string(i)));
  }
  ask(kDeleteRange, DeleteOf("c"));
  PutRequest kept = PutOf("c");
  kept.clear_value();
  kept.set_ignore_value(true);
  ask(kPut, kept);  // there is nothing to keep
  TxnRequest txn = PutTxn({"d", "e"});
  auto& compare = *txn.add_compare();
  compare.set_key("a");
  compare.set_target(etcdserverpb::Compare::VERSION);
  compare.set_version(3);
  const auto changed = api.Ask<TxnResponse>(kTxn, txn);
  answers.push_back(changed->succeeded() ? "succeeded" : "failed");
  for (const std::string key : {"a", "c", "x"}) read(RangeOf(key));
  read(RangeOf("a", 2));
  read(Everything());
  RangeRequest count = Everything();
  count.set_count_only(true);
  read(count);
  for (RangeRequest sorted : {RangeOf("b"), RangeOf("b", 3), Everything()}) {
    sorted.set_sort_order(RangeRequest::DESCEND);
    sorted.set_limit(2);
    read(sorted);
  }
  TxnRequest reads;
  *reads.add_success()->mutable_request_range() = RangeOf("a");
  *reads.add_success()->mutable_request_range() = Everything();
  auto both = api.Ask<TxnResponse>(kTxn, reads);
  both->clear_header();
  answers.push_back(both->ShortDebugString());
  return answers;
}

TEST(KvServiceTest, WhatIsNotInMemoryIsAnsweredAllTheSame) {
  const std::vector<std::string> answers = AnswersIfOneMisses(0);
  EXPECT_EQ(answers.size(), 22u);
  EXPECT_EQ(AnswersIfOneMisses(1), answers);
  EXPECT_EQ(AnswersIfOneMisses(2), answers);
}

TEST(KvServiceTest, AColdReadOfAClientThatLeftCostsNothing) {
  TestApi api(1);
  ASSERT_TRUE(api.StatusOf(kPut, PutOf("a")).ok());
  api.cluster().member(0).home_disk.SetMisses(1);
  RangeRequest request = RangeOf("a");
  request.set_serializable(true);
  const auto call = api.Start(0, kRange, request.SerializeAsString());
  EXPECT_FALSE(call->status().has_value()) << "it waits for the disk";
  call->Close();
  api.Run(Seconds(1));
  EXPECT_TRUE(call->sent().empty());
}

TEST(KvServiceTest, HeadersSayWhoAnsweredAtWhichRevision) {
  TestApi api;
  ExpectHeader(api, api.Ask<RangeResponse>(kRange, RangeOf("a"))->header(), 1);
  ExpectHeader(api, api.Ask<PutResponse>(kPut, PutOf("a"))->header(), 2);
  ExpectHeader(api, api.Ask<TxnResponse>(kTxn, PutTxn({"a", "b"}))->header(), 3);
  // Of a historic read too: the present revision.
  ExpectHeader(api, api.Ask<RangeResponse>(kRange, RangeOf("a", 2))->header(), 3);
  ExpectHeader(api, api.Ask<CompactionResponse>(kCompact, CompactOf(2))->header(), 3);
  ExpectHeader(api, api.Ask<DeleteRangeResponse>(kDeleteRange, DeleteOf("b"))->header(), 4);
  ExpectHeader(api, api.Ask<DeleteRangeResponse>(kDeleteRange, DeleteOf("b"))->header(), 4);
}

TEST(KvServiceTest, ResponsesInsideATxnHaveARevisionAndNoMember) {
  TestApi api;
  TxnRequest request = PutTxn({"a"});
  *request.add_success()->mutable_request_range() = RangeOf("a");
  request.add_success()->mutable_request_txn();
  const TxnResponse response = *api.Ask<TxnResponse>(kTxn, request);
  ASSERT_EQ(response.responses_size(), 3);
  const auto& put = response.responses(0).response_put().header();
  const auto& range = response.responses(1).response_range().header();
  EXPECT_EQ(put.revision(), 2);
  EXPECT_EQ(range.revision(), 2);
  EXPECT_EQ(put.member_id(), 0u);
  EXPECT_EQ(range.cluster_id(), 0u);
  EXPECT_TRUE(response.responses(2).response_txn().has_header());
  EXPECT_EQ(response.responses(2).response_txn().header().ByteSizeLong(), 0u);
}

TEST(KvServiceTest, MalformedRequestsAreRefusedAsByGrpc) {
  TestApi api;
  for (const char* path : {kRange, kPut, kDeleteRange, kTxn, kCompact}) {
    const auto call = api.Start(0, path, "\xff\xff\xff");
    ASSERT_TRUE(call->status().has_value()) << path;
    EXPECT_TRUE(absl::IsInternal(*call->status())) << *call->status();
    EXPECT_TRUE(call->sent().empty());
  }
}

TEST(KvServiceTest, InvalidSingleRequestsNeverReachTheLog) {
  TestApi api;
  const uint64_t commit = api.cluster().node(0).Status().commit.value();
  EXPECT_EQ(api.StatusOf(kRange, RangeOf("")), kv::ErrEmptyKey());
  EXPECT_EQ(api.StatusOf(kPut, PutOf("")), kv::ErrEmptyKey());
  EXPECT_EQ(api.StatusOf(kDeleteRange, DeleteOf("")), kv::ErrEmptyKey());
  RangeRequest badly_sorted = RangeOf("a");
  badly_sorted.set_sort_order(static_cast<RangeRequest::SortOrder>(7));
  EXPECT_EQ(api.StatusOf(kRange, badly_sorted), kv::ErrInvalidSortOption());
  PutRequest with_value = PutOf("a");
  with_value.set_ignore_value(true);
  EXPECT_EQ(api.StatusOf(kPut, with_value), kv::ErrValueProvided());
  PutRequest with_lease = PutOf("a");
  with_lease.set_ignore_lease(true);
  with_lease.set_lease(1);
  EXPECT_EQ(api.StatusOf(kPut, with_lease), kv::ErrLeaseProvided());
  EXPECT_EQ(api.cluster().node(0).Status().commit.value(), commit);
}

TEST(KvServiceTest, InvalidTxnsNeverReachTheLog) {
  TestApi api(1, {.max_txn_ops = 3});
  const uint64_t commit = api.cluster().node(0).Status().commit.value();
  EXPECT_EQ(api.StatusOf(kTxn, PutTxn({""})), kv::ErrEmptyKey());
  EXPECT_EQ(api.StatusOf(kTxn, PutTxn({"a", "a"})), kv::ErrDuplicateKey());
  EXPECT_EQ(api.StatusOf(kTxn, PutTxn({"a", "b", "c", "d"})), kv::ErrTooManyOps());
  TxnRequest without_operation;
  without_operation.add_failure();
  EXPECT_EQ(api.StatusOf(kTxn, without_operation), kv::ErrKeyNotFound());
  TxnRequest compares_nothing = PutTxn({"a"});
  compares_nothing.add_compare();
  EXPECT_EQ(api.StatusOf(kTxn, compares_nothing), kv::ErrEmptyKey());
  EXPECT_EQ(api.cluster().node(0).Status().commit.value(), commit);
  EXPECT_TRUE(api.StatusOf(kTxn, PutTxn({"a", "b", "c"})).ok());
}

TEST(KvServiceTest, WhatIsReplicatedHasABoundAndReadsHaveNone) {
  TestApi api(1, {.max_request_bytes = 1000});
  EXPECT_TRUE(api.StatusOf(kPut, PutOf("a", std::string(900, 'x'))).ok());
  EXPECT_EQ(api.StatusOf(kPut, PutOf("a", std::string(1000, 'x'))), kv::ErrRequestTooLarge());
  EXPECT_EQ(api.StatusOf(kTxn, PutTxn({std::string(1000, 'x')})), kv::ErrRequestTooLarge());
  EXPECT_EQ(api.StatusOf(kDeleteRange, DeleteOf(std::string(1000, 'x'))), kv::ErrRequestTooLarge());
  EXPECT_TRUE(api.StatusOf(kRange, RangeOf(std::string(1000, 'x'))).ok());
  // Bytes that no field of ours explains count too.
  CompactionRequest padded = CompactOf(1);
  padded.GetReflection()->MutableUnknownFields(&padded)->AddLengthDelimited(99,
                                                                            std::string(1000, 'x'));
  EXPECT_EQ(api.StatusOf(kCompact, padded), kv::ErrRequestTooLarge());
}

TEST(KvServiceTest, ErrorsOfApplyReachTheClient) {
  TestApi api;
  PutRequest unknown_lease = PutOf("a");
  unknown_lease.set_lease(77);
  EXPECT_EQ(api.StatusOf(kPut, unknown_lease), kv::ErrLeaseNotFound());
  PutRequest absent = PutOf("a", "");
  absent.set_ignore_value(true);
  EXPECT_EQ(api.StatusOf(kPut, absent), kv::ErrKeyNotFound());
  TxnRequest future = PutTxn({"a"});
  *future.add_success()->mutable_request_range() = RangeOf("a", 50);
  EXPECT_EQ(api.StatusOf(kTxn, future), kv::ErrFutureRevision());
  EXPECT_EQ(api.cluster().Get(0, "a"), "(none)");
}

TEST(KvServiceTest, RevisionsOutsideHistoryAreRefused) {
  TestApi api;
  for (int i = 0; i < 4; ++i) api.Put("a", std::to_string(i));  // revisions 2 to 5
  EXPECT_EQ(api.StatusOf(kRange, RangeOf("a", 6)), kv::ErrFutureRevision());
  EXPECT_EQ(api.StatusOf(kCompact, CompactOf(6)), kv::ErrFutureRevision());
  api.Compact(4);
  EXPECT_EQ(api.StatusOf(kCompact, CompactOf(4)), kv::ErrCompacted());
  EXPECT_EQ(api.StatusOf(kRange, RangeOf("a", 3)), kv::ErrCompacted());
  EXPECT_TRUE(api.StatusOf(kRange, RangeOf("a", 4)).ok());
  TxnRequest read_only;
  *read_only.add_success()->mutable_request_range() = RangeOf("a", 3);
  EXPECT_EQ(api.StatusOf(kTxn, read_only), kv::ErrCompacted());
}

TEST(KvServiceTest, PhysicalCompactionAnswersWhenTheOldVersionsAreGone) {
  TestApi api;
  for (int i = 0; i < 50; ++i) api.Put("a", std::to_string(i));
  EXPECT_TRUE(api.StatusOf(kCompact, CompactOf(40, /*physical=*/true)).ok());
  EXPECT_EQ(api.cluster().store(0).compacted_physically(), 40);
  // Again: it waits likewise, then repeats the error.
  EXPECT_EQ(api.StatusOf(kCompact, CompactOf(40, /*physical=*/true)), kv::ErrCompacted());
}

TEST(KvServiceTest, OnlySerializableReadsAreAnsweredWithoutAQuorum) {
  TestApi api(3);
  api.Put("a", "value");
  const size_t alone = api.follower();
  api.Run(Seconds(1));
  api.cluster().Isolate(alone);
  api.Run(Seconds(5));
  RangeRequest serializable = RangeOf("a");
  serializable.set_serializable(true);
  EXPECT_EQ(api.Ask<RangeResponse>(kRange, serializable, alone)->kvs(0).value(), "value");
  TxnRequest read_only;
  *read_only.add_success()->mutable_request_range() = serializable;
  EXPECT_TRUE(api.StatusOf(kTxn, read_only, alone).ok());
  *read_only.add_success()->mutable_request_range() = RangeOf("a");
  EXPECT_EQ(api.StatusOf(kTxn, read_only, alone), kv::ErrTimeout());
  EXPECT_EQ(api.StatusOf(kRange, RangeOf("a"), alone), kv::ErrTimeout());
  EXPECT_EQ(api.StatusOf(kPut, PutOf("a"), alone),
            absl::DeadlineExceededError("context deadline exceeded"));
}

TEST(KvServiceTest, AClientThatLeftGetsNothingAndCostsNothing) {
  TestApi api;
  const auto range = api.Start(0, kRange, RangeOf("a").SerializeAsString());
  const auto put = api.Start(0, kPut, PutOf("a").SerializeAsString());
  range->Close();
  put->Close();
  api.Run(Seconds(1));
  EXPECT_TRUE(range->sent().empty());
  EXPECT_TRUE(put->sent().empty());
  EXPECT_EQ(api.cluster().Get(0, "a"), "value");
}

TEST(KvServiceTest, AnyMemberTakesAWrite) {
  TestApi api(3);
  const size_t follower = api.follower();
  const auto response = api.Ask<PutResponse>(kPut, PutOf("a"), follower);
  ASSERT_TRUE(response.ok()) << response.status();
  ExpectHeader(api, response->header(), 2, follower);
  EXPECT_EQ(api.Ask<RangeResponse>(kRange, RangeOf("a"), api.leader())->kvs(0).value(), "value");
}

}  // namespace
}  // namespace conclave::server
