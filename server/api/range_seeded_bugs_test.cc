// The seeded bug of ranges in pieces, with it and without it.
#include <gtest/gtest.h>

#include <string>

#include "raft/base/with_seeded_bug.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeStreamResponse;

// The values of two keys that change together, read in two chunks with a change in between.
std::string ReadAcrossAChange() {
  ApiOptions options;
  options.ranges.first_chunk_keys = 1;
  TestApi api(1, options);
  const auto put_both = [&api](const std::string& value) {
    etcdserverpb::TxnRequest txn;
    for (const char* key : {"a", "b"}) {
      etcdserverpb::PutRequest& put = *txn.add_success()->mutable_request_put();
      put.set_key(key);
      put.set_value(value);
    }
    EXPECT_TRUE(api.StatusOf("/etcdserverpb.KV/Txn", txn).ok());
  };
  put_both("1");
  RangeRequest request;
  request.set_key("a");
  request.set_range_end("c");
  const auto call = api.Start(0, "/etcdserverpb.KV/RangeStream", request.SerializeAsString());
  call->BlockOutputAfterSend(10);
  api.Run(Seconds(1));
  EXPECT_EQ(call->sent().size(), 1u);
  put_both("2");
  call->UnblockOutput();
  api.Run(Seconds(1));
  std::string values;
  for (const auto& chunk : call->TakeSent<RangeStreamResponse>()) {
    for (const auto& kv : chunk.range_response().kvs()) values += kv.value();
  }
  return values;
}

TEST(RangeSeededBugsTest, RangeStreamNotPinned) {
  EXPECT_EQ(ReadAcrossAChange(), "11");
  const WithSeededBug bug(SeededBug::kRangeStreamNotPinned);
  EXPECT_EQ(ReadAcrossAChange(), "12");
}

}  // namespace
}  // namespace conclave::server
