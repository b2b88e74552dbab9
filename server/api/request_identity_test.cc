// Writes with the metadata "conclave-request-id", as the services take and answer them.
#include <gtest/gtest.h>

#include <string>

#include "kvstore/errors.h"
#include "kvstore/request_identity.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::CompactionResponse;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseRevokeRequest;
using etcdserverpb::LeaseRevokeResponse;
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
constexpr char kGrant[] = "/etcdserverpb.Lease/LeaseGrant";
constexpr char kRevoke[] = "/etcdserverpb.Lease/LeaseRevoke";

TestApi::Metadata Under(const std::string& id) { return {{"conclave-request-id", id}}; }

PutRequest PutOf(const std::string& key, const std::string& value) {
  PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request;
}

TxnRequest PutTxn(const std::string& key) {
  TxnRequest request;
  *request.add_success()->mutable_request_put() = PutOf(key, "v");
  return request;
}

class RequestIdentityApiTest : public ::testing::Test {
 protected:
  // Of the one key.
  mvccpb::KeyValue Get(const std::string& key) {
    RangeRequest request;
    request.set_key(key);
    const auto response = api_.Ask<RangeResponse>(kRange, request);
    return response.ok() && response->kvs_size() == 1 ? response->kvs(0) : mvccpb::KeyValue();
  }
  template <typename Response, typename Request>
  Response Ask(const char* path, const Request& request, size_t member, const std::string& id) {
    const auto response = api_.Ask<Response>(path, request, member, Under(id));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(Response());
  }

  TestApi api_{3};
  const std::string id_ = "an-id-of-nobody-else";
};

TEST_F(RequestIdentityApiTest, OneWriteThroughAFollowerAndTheLeader) {
  const PutRequest put = PutOf("counter", "1");
  const auto first = Ask<PutResponse>(kPut, put, api_.follower(), id_);
  api_.Put("other", "x");
  const auto again = Ask<PutResponse>(kPut, put, api_.leader(), id_);
  EXPECT_EQ(again.header().revision(), first.header().revision());
  EXPECT_EQ(Get("counter").version(), 1);
  // The rest of the header is of whoever answers.
  ExpectHeader(api_, again.header(), first.header().revision(), api_.leader());
}

TEST_F(RequestIdentityApiTest, AnotherRequestUnderTheIdIsRefused) {
  Ask<PutResponse>(kPut, PutOf("k", "1"), 0, id_);
  EXPECT_EQ(api_.StatusOf(kPut, PutOf("k", "2"), 1, Under(id_)), kv::ErrRequestIdReused());
  EXPECT_EQ(api_.StatusOf(kTxn, PutTxn("k"), 1, Under(id_)), kv::ErrRequestIdReused());
  EXPECT_EQ(Get("k").value(), "1");
}

TEST_F(RequestIdentityApiTest, BadIdsAreRefusedOnEveryWrite) {
  DeleteRangeRequest deletion;
  deletion.set_key("k");
  CompactionRequest compaction;
  compaction.set_revision(1);
  LeaseGrantRequest grant;
  grant.set_ttl(60);
  LeaseRevokeRequest revoke;
  revoke.set_id(1);
  for (const std::string& id : {std::string(), std::string("short"), std::string(65, 'x'),
                                std::string("with spaces in it"), std::string(20, '\x7f')}) {
    EXPECT_EQ(api_.StatusOf(kPut, PutOf("k", "v"), 0, Under(id)), kv::ErrBadRequestId());
    EXPECT_EQ(api_.StatusOf(kDeleteRange, deletion, 0, Under(id)), kv::ErrBadRequestId());
    EXPECT_EQ(api_.StatusOf(kTxn, PutTxn("k"), 0, Under(id)), kv::ErrBadRequestId());
    EXPECT_EQ(api_.StatusOf(kCompact, compaction, 0, Under(id)), kv::ErrBadRequestId());
    EXPECT_EQ(api_.StatusOf(kGrant, grant, 0, Under(id)), kv::ErrBadRequestId());
    EXPECT_EQ(api_.StatusOf(kRevoke, revoke, 0, Under(id)), kv::ErrBadRequestId());
  }
  EXPECT_EQ(Get("k").version(), 0);
}

// They may be repeated anyhow, and an interceptor may put the id on every call.
TEST_F(RequestIdentityApiTest, ReadsDoNotLookAtIt) {
  api_.Put("k", "1");
  RangeRequest range;
  range.set_key("k");
  EXPECT_TRUE(api_.StatusOf(kRange, range, 0, Under("bad")).ok());
  TxnRequest read;
  *read.add_success()->mutable_request_range() = range;
  const auto first = Ask<TxnResponse>(kTxn, read, 0, id_);
  api_.Put("k", "2");
  const auto again = Ask<TxnResponse>(kTxn, read, 0, id_);
  EXPECT_EQ(first.responses(0).response_range().kvs(0).value(), "1");
  EXPECT_EQ(again.responses(0).response_range().kvs(0).value(), "2");
}

TEST_F(RequestIdentityApiTest, ALeaseWhoseIdTheMemberDrawsIsGrantedOnce) {
  LeaseGrantRequest grant;
  grant.set_ttl(60);
  const auto first = Ask<LeaseGrantResponse>(kGrant, grant, api_.follower(), id_);
  const auto again = Ask<LeaseGrantResponse>(kGrant, grant, api_.leader(), id_);
  EXPECT_NE(first.id(), 0);
  EXPECT_EQ(again.id(), first.id());
  EXPECT_EQ(api_.cluster().node(0).store().lessor().List().size(), 1u);
}

TEST_F(RequestIdentityApiTest, DeletesRevokesAndCompactionsToo) {
  api_.Grant(7, 60);
  api_.Put("k", "1", /*lease=*/0);
  DeleteRangeRequest deletion;
  deletion.set_key("k");
  LeaseRevokeRequest revoke;
  revoke.set_id(7);
  CompactionRequest compaction;
  compaction.set_revision(2);
  compaction.set_physical(true);
  for (const size_t member : {api_.follower(), api_.leader()}) {
    EXPECT_EQ(Ask<DeleteRangeResponse>(kDeleteRange, deletion, member, id_ + "-1").deleted(), 1);
    Ask<LeaseRevokeResponse>(kRevoke, revoke, member, id_ + "-2");
    Ask<CompactionResponse>(kCompact, compaction, member, id_ + "-3");
  }
  EXPECT_EQ(api_.StatusOf(kRevoke, revoke), kv::ErrLeaseNotFound());
  EXPECT_EQ(api_.StatusOf(kCompact, compaction), kv::ErrCompacted());
}

}  // namespace
}  // namespace conclave::server
