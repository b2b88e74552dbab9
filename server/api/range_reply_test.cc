// Ranges answered in pieces: the same answers as at once, in bounded memory, for clients that are
// slow, stop or leave (reference: behaviour section 3.3).
#include "server/api/range_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/random_requests.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RangeStreamResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

constexpr char kRange[] = "/etcdserverpb.KV/Range";
constexpr char kRangeStream[] = "/etcdserverpb.KV/RangeStream";
constexpr char kTxn[] = "/etcdserverpb.KV/Txn";

RangeRequest Everything(int64_t revision = 0) {
  RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_revision(revision);
  return request;
}

// `count` keys of `bytes` each, named in their order, in transactions that are not too large.
void PutMany(TestApi& api, int count, size_t bytes) {
  const int batch = std::min(100, static_cast<int>(8'000 / (bytes + 40)));
  for (int first = 0; first < count; first += batch) {
    TxnRequest request;
    for (int i = first; i < std::min(count, first + batch); ++i) {
      etcdserverpb::PutRequest& put = *request.add_success()->mutable_request_put();
      put.set_key(std::to_string(100'000 + i));
      put.set_value(std::string(bytes, static_cast<char>('a' + i % 26)));
    }
    ASSERT_TRUE(api.Ask<TxnResponse>(kTxn, request).ok());
  }
}

// Runs until the call is over, in steps of a millisecond; false after ten seconds.
bool RunUntilOver(TestApi& api, const FakeCall& call) {
  for (int step = 0; step < 10'000 && !call.status().has_value(); ++step) api.Run(Milliseconds(1));
  return call.status().has_value();
}

// Their texts would fill the screen.
::testing::AssertionResult Equal(const RangeResponse& actual, const RangeResponse& expected) {
  if (actual.SerializeAsString() == expected.SerializeAsString()) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << actual.kvs_size() << " keys, not " << expected.kvs_size()
                                       << ", or of other content: " << actual.header().DebugString()
                                       << " not " << expected.header().DebugString();
}

// What the chunks are together; checks what no single one may have.
RangeResponse Merged(const std::vector<RangeStreamResponse>& chunks) {
  RangeResponse merged;
  std::string last_key;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const RangeResponse& part = chunks[i].range_response();
    if (i + 1 < chunks.size()) {
      EXPECT_FALSE(part.has_header());
      EXPECT_FALSE(part.more());
      EXPECT_EQ(part.count(), 0);
      EXPECT_GT(part.kvs_size(), 0);
    }
    for (const mvccpb::KeyValue& kv : part.kvs()) {
      EXPECT_LT(last_key, kv.key());
      last_key = kv.key();
    }
    merged.MergeFrom(part);
  }
  return merged;
}

absl::StatusOr<RangeResponse> Stream(TestApi& api, const RangeRequest& request, size_t member = 0) {
  const auto call = api.Start(member, kRangeStream, request.SerializeAsString());
  EXPECT_TRUE(RunUntilOver(api, *call));
  call->Close();
  if (!call->status()->ok()) return *call->status();
  return Merged(call->TakeSent<RangeStreamResponse>());
}

ApiOptions SmallPieces() {
  ApiOptions options;
  options.max_request_bytes = 10'000;
  options.ranges.first_chunk_keys = 10;
  options.ranges.whole_bytes_max = 20'000;
  options.ranges.collected_bytes_max = 20'000;
  options.ranges.part_bytes = 3'000;
  options.ranges.budget.bytes = 1 << 20;
  return options;
}

TEST(RangeReplyTest, AStreamIsTheUnaryAnswer) {
  ApiOptions options = SmallPieces();
  options.ranges.first_chunk_keys = 1;
  options.max_request_bytes = 100;
  TestApi api(1, options);
  kv::RandomRequests requests(3);
  int answered = 0;
  for (int round = 0; round < 200; ++round) {
    api.StatusOf("/etcdserverpb.KV/Put", requests.Put()).IgnoreError();  // of no such lease, say
    RangeRequest request = requests.Range(0, api.cluster().store(0).revision());
    request.clear_sort_order();
    request.clear_sort_target();
    request.clear_min_mod_revision();
    request.clear_max_mod_revision();
    request.clear_min_create_revision();
    request.clear_max_create_revision();
    const auto unary = api.Ask<RangeResponse>(kRange, request);
    const auto stream = Stream(api, request);
    ASSERT_EQ(stream.status(), unary.status()) << request.DebugString();
    if (!unary.ok()) continue;
    ++answered;
    ASSERT_EQ(stream->DebugString(), unary->DebugString()) << request.DebugString();
  }
  EXPECT_GT(answered, 100);
}

TEST(RangeReplyTest, ChunksGrowFromTenKeysToTheBound) {
  TestApi api(1, SmallPieces());
  PutMany(api, 3000, 50);
  const auto call = api.Start(0, kRangeStream, Everything().SerializeAsString());
  ASSERT_TRUE(RunUntilOver(api, *call));
  const auto chunks = call->TakeSent<RangeStreamResponse>();
  ASSERT_GT(chunks.size(), 5u);
  EXPECT_EQ(chunks[0].range_response().kvs_size(), 10);
  EXPECT_EQ(chunks[1].range_response().kvs_size(), 20);
  EXPECT_EQ(chunks[2].range_response().kvs_size(), 40);
  for (size_t i = 4; i + 1 < chunks.size(); ++i) {
    EXPECT_GE(chunks[i].ByteSizeLong(), 5'000u) << i;
    EXPECT_LE(chunks[i].ByteSizeLong(), 10'200u) << i;
  }
  EXPECT_EQ(Merged(chunks).kvs_size(), 3000);
}

TEST(RangeReplyTest, CountOnlyIsOneMessage) {
  TestApi api(1, SmallPieces());
  PutMany(api, 300, 50);
  RangeRequest request = Everything();
  request.set_count_only(true);
  const auto call = api.Start(0, kRangeStream, request.SerializeAsString());
  ASSERT_TRUE(RunUntilOver(api, *call));
  const auto chunks = call->TakeSent<RangeStreamResponse>();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].range_response().count(), 300);
  ExpectHeader(api, chunks[0].range_response().header(), api.cluster().store(0).revision());
}

TEST(RangeReplyTest, WhatCannotBeStreamedIsRefusedInEtcdsWords) {
  TestApi api(1, SmallPieces());
  EXPECT_EQ(Stream(api, RangeRequest()).status(), kv::ErrEmptyKey());
  RangeRequest sorted = Everything();
  sorted.set_sort_order(RangeRequest::DESCEND);
  EXPECT_EQ(Stream(api, sorted).status(),
            absl::UnimplementedError("RangeStream does not support custom sort orders"));
  sorted.set_min_mod_revision(1);
  EXPECT_EQ(Stream(api, sorted).status(), kv::ErrStreamOfSortedRange());
  sorted.set_sort_order(RangeRequest::ASCEND);
  EXPECT_EQ(Stream(api, sorted).status(),
            absl::UnimplementedError("RangeStream does not support revision filters"));
  sorted.clear_min_mod_revision();
  EXPECT_TRUE(Stream(api, sorted).ok()) << "the order that it has";
  sorted.set_sort_target(RangeRequest::MOD);
  EXPECT_EQ(Stream(api, sorted).status(), kv::ErrStreamOfSortedRange());
  sorted.set_sort_order(RangeRequest::NONE);
  EXPECT_TRUE(Stream(api, sorted).ok());
  EXPECT_EQ(Stream(api, Everything(50)).status(), kv::ErrFutureRevision());
  PutMany(api, 300, 1);
  api.Compact(3);
  EXPECT_EQ(Stream(api, Everything(2)).status(), kv::ErrCompacted());
  EXPECT_EQ(Stream(api, Everything(3))->count(), 200);
}

TEST(RangeReplyTest, OnlyASerializableStreamIsAnsweredWithoutAQuorum) {
  TestApi api(3, SmallPieces());
  PutMany(api, 30, 10);
  const size_t alone = api.follower();
  api.Run(Seconds(1));
  api.cluster().Isolate(alone);
  api.Run(Seconds(5));
  RangeRequest request = Everything();
  EXPECT_EQ(Stream(api, request, alone).status(), kv::ErrTimeout());
  request.set_serializable(true);
  EXPECT_EQ(Stream(api, request, alone)->count(), 30);
}

// Its client takes nothing after the first chunk, then everything.
class StoppedStream {
 public:
  explicit StoppedStream(TestApi* api, const RangeRequest& request = Everything()) : api_(api) {
    call_ = api->Start(0, kRangeStream, request.SerializeAsString());
    call_->BlockOutputAfterSend(600);
    api->Run(Milliseconds(20));
    EXPECT_EQ(call_->sent().size(), 1u);
  }
  FakeCall& call() { return *call_; }
  void Resume() {
    call_->UnblockOutput();
    ASSERT_TRUE(RunUntilOver(*api_, *call_));
  }

 private:
  TestApi* const api_;
  std::shared_ptr<FakeCall> call_;
};

TEST(RangeReplyTest, NothingIsReadAheadOfAClientThatTakesNothing) {
  TestApi api(1, SmallPieces());
  PutMany(api, 3000, 50);
  StoppedStream stream(&api);
  api.Run(Seconds(3));
  EXPECT_EQ(stream.call().sent().size(), 1u);
  stream.Resume();
  EXPECT_EQ(Merged(stream.call().TakeSent<RangeStreamResponse>()).kvs_size(), 3000);
}

TEST(RangeReplyTest, TheRevisionIsPinnedWhateverHappensMeanwhile) {
  TestApi api(1, SmallPieces());
  PutMany(api, 300, 50);
  const auto expected = api.Ask<RangeResponse>(kRange, Everything());
  StoppedStream stream(&api);
  api.Put("1000000", "before all");
  api.Put("100299", "changed");
  api.Compact(api.Put("100150", "changed"));  // within the view that it has
  stream.Resume();
  ASSERT_EQ(*stream.call().status(), absl::OkStatus());
  EXPECT_TRUE(Equal(Merged(stream.call().TakeSent<RangeStreamResponse>()), *expected));
}

TEST(RangeReplyTest, AViewIsNotHeldForAClientThatTakesNothing) {
  TestApi api(1, SmallPieces());
  PutMany(api, 300, 50);
  const auto expected = api.Ask<RangeResponse>(kRange, Everything());
  {
    StoppedStream stream(&api);
    api.Put("100299", "changed");
    api.Run(Seconds(11));  // the view is gone
    stream.Resume();       // out of history
    EXPECT_TRUE(Equal(Merged(stream.call().TakeSent<RangeStreamResponse>()), *expected));
  }
  StoppedStream stream(&api);
  api.Run(Seconds(11));
  api.Compact(api.Put("100299", "changed again"));
  stream.Resume();
  EXPECT_EQ(*stream.call().status(), kv::ErrCompacted());
}

TEST(RangeReplyTest, AViewIsNotHeldForLong) {
  ApiOptions options = SmallPieces();
  options.ranges.view_age_max = Seconds(2);
  options.ranges.room_check_interval = Seconds(60);
  TestApi api(1, options);
  PutMany(api, 300, 50);
  for (const bool long_enough : {false, true}) {
    StoppedStream stream(&api);
    api.Run(Milliseconds(long_enough ? 2100 : 1900));
    api.Compact(api.Put("100299", "changed"));
    stream.Resume();
    EXPECT_EQ(*stream.call().status(), long_enough ? kv::ErrCompacted() : absl::OkStatus());
  }
}

TEST(RangeReplyTest, AClientThatTakesNothingForAMinuteIsGivenUp) {
  TestApi api(1, SmallPieces());
  PutMany(api, 300, 50);
  StoppedStream stopped(&api);
  api.Run(Seconds(50));
  EXPECT_FALSE(stopped.call().abandoned());
  stopped.call().BlockOutput(599);  // it took one byte
  api.Run(Seconds(55));
  EXPECT_FALSE(stopped.call().abandoned());
  api.Run(Seconds(15));
  EXPECT_TRUE(stopped.call().abandoned());
  EXPECT_GT(api.member(0).range_budget().stats().bytes, 0u) << "until the transport has dropped it";
  stopped.call().Close();
  EXPECT_EQ(api.member(0).range_budget().stats().bytes, 0u);
}

TEST(RangeReplyTest, AnAnswerThatIsFinishedAndNotTakenIsGivenUpToo) {
  ApiOptions options = SmallPieces();
  TestApi api(1, options);
  PutMany(api, 2100, 1);
  const auto call = api.Start(0, kRange, Everything().SerializeAsString());
  ASSERT_TRUE(RunUntilOver(api, *call));
  call->BlockOutput(5'000);
  api.Run(Seconds(70));
  EXPECT_TRUE(call->abandoned());
}

TEST(RangeReplyTest, WhoLeavesGivesEverythingBackAtOnce) {
  ApiOptions options = SmallPieces();
  options.ranges.budget.bytes = 40'000;  // as much as one stream takes
  TestApi api(1, options);
  PutMany(api, 300, 50);
  StoppedStream stopped(&api);
  const auto waiting = api.Start(0, kRangeStream, Everything().SerializeAsString());
  const auto leaves = api.Start(0, kRangeStream, Everything().SerializeAsString());
  api.Run(Seconds(1));
  RangeBudget& budget = api.member(0).range_budget();
  EXPECT_EQ(budget.stats().bytes, 40'000u);
  EXPECT_EQ(budget.stats().waiting, 2u);
  leaves->Close();
  EXPECT_EQ(budget.stats().waiting, 1u);
  EXPECT_TRUE(waiting->sent().empty());
  stopped.call().Close();
  ASSERT_TRUE(RunUntilOver(api, *waiting));
  EXPECT_EQ(Merged(waiting->TakeSent<RangeStreamResponse>()).kvs_size(), 300);
  EXPECT_TRUE(leaves->sent().empty());
  waiting->Close();
  EXPECT_EQ(budget.stats().bytes, 0u);
}

TEST(RangeReplyTest, WhoFindsNoMemoryIsToldSo) {
  ApiOptions options = SmallPieces();
  options.ranges.budget.bytes = 40'000;
  TestApi api(1, options);
  PutMany(api, 2100, 50);
  StoppedStream stopped(&api);
  EXPECT_EQ(api.StatusOf(kRange, Everything()),
            absl::ResourceExhaustedError("etcdserver: too many requests"));
  EXPECT_EQ(api.member(0).range_budget().stats().refused, 1u);
  RangeRequest small = Everything();
  small.set_limit(100);
  EXPECT_EQ(api.Ask<RangeResponse>(kRange, small)->kvs_size(), 100) << "small ones need none";
}

class UnaryRangeTest : public ::testing::TestWithParam<size_t> {};

// Read twice, read once in part, and read once.
INSTANTIATE_TEST_SUITE_P(Collected, UnaryRangeTest, ::testing::Values(20'000, 160'000, 1 << 20));

TEST_P(UnaryRangeTest, AnAnswerOfAnySizeIsSentInParts) {
  ApiOptions options = SmallPieces();
  options.ranges.collected_bytes_max = GetParam();
  options.ranges.budget.bytes = 4 << 20;
  TestApi api(1, options);
  PutMany(api, 2500, 200);
  for (const int64_t limit : {0, 2100, 2499, 2500}) {
    RangeRequest request = Everything();
    request.set_limit(limit);
    const auto call = api.Start(0, kRange, request.SerializeAsString());
    ASSERT_TRUE(RunUntilOver(api, *call));
    ASSERT_EQ(*call->status(), absl::OkStatus());
    EXPECT_LE(call->largest_part(), 20'500u);
    ASSERT_EQ(call->sent().size(), 1u);
    const RangeResponse response = call->TakeSent<RangeResponse>()[0];
    RangeResponse expected;
    ASSERT_TRUE(api.cluster().store(0).Range(request, &expected).ok());
    *expected.mutable_header() = response.header();
    EXPECT_TRUE(Equal(response, expected));
    ExpectHeader(api, response.header(), api.cluster().store(0).revision());
    call->Close();
  }
}

// What was collected needs the engine no more, whatever happens while a client takes it.
TEST(RangeReplyTest, WhatIsCollectedIsSentWhateverHappensMeanwhile) {
  ApiOptions options = SmallPieces();
  options.ranges.collected_bytes_max = 1 << 20;
  options.ranges.budget.bytes = 4 << 20;
  TestApi api(1, options);
  PutMany(api, 2500, 200);
  const auto expected = api.Ask<RangeResponse>(kRange, Everything());
  const auto call = api.Start(0, kRange, Everything().SerializeAsString());
  call->BlockOutputAfterSend(20);
  api.Run(Seconds(11));
  EXPECT_FALSE(call->status().has_value());
  EXPECT_GT(api.member(0).range_budget().stats().bytes, 600'000u);
  PutMany(api, 2500, 210);
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(api.cluster().store(0).revision());
  compact.set_physical(true);
  ASSERT_TRUE(api.StatusOf("/etcdserverpb.KV/Compact", compact).ok());
  call->UnblockOutput();
  ASSERT_TRUE(RunUntilOver(api, *call));
  ASSERT_EQ(*call->status(), absl::OkStatus());
  EXPECT_TRUE(Equal(call->TakeSent<RangeResponse>()[0], *expected));
  call->Close();
  EXPECT_EQ(api.member(0).range_budget().stats().bytes, 0u);
}

TEST(RangeReplyTest, ASlowUnaryAnswerIsOfItsRevisionOrFails) {
  TestApi api(1, SmallPieces());
  PutMany(api, 2500, 200);
  for (const bool compacted : {false, true}) {
    const auto expected = api.Ask<RangeResponse>(kRange, Everything());
    const auto call = api.Start(0, kRange, Everything().SerializeAsString());
    call->BlockOutputAfterSend(600);
    api.Run(Seconds(11));
    EXPECT_GT(call->largest_part(), 0u);
    const int64_t revision = api.Put("102499", "changed");
    if (compacted) api.Compact(revision);
    call->UnblockOutput();
    ASSERT_TRUE(RunUntilOver(api, *call));
    if (compacted) {
      EXPECT_EQ(*call->status(), kv::ErrCompacted());
      EXPECT_TRUE(call->sent().empty());
    } else {
      EXPECT_TRUE(Equal(call->TakeSent<RangeResponse>()[0], *expected));
    }
    call->Close();
  }
}

TEST(RangeReplyTest, ASortedAnswerMustFitTheMemoryAsAWhole) {
  TestApi api(1, SmallPieces());
  PutMany(api, 2100, 50);
  RangeRequest request = Everything();
  request.set_sort_order(RangeRequest::DESCEND);
  request.set_sort_target(RangeRequest::VALUE);
  const auto whole = api.Ask<RangeResponse>(kRange, request);
  ASSERT_TRUE(whole.ok()) << whole.status();
  RangeResponse expected;
  ASSERT_TRUE(api.cluster().store(0).Range(request, &expected).ok());
  *expected.mutable_header() = whole->header();
  EXPECT_TRUE(Equal(*whole, expected));

  PutMany(api, 2100, 300);
  const absl::Status refused = api.StatusOf(kRange, request);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("expected at most 1048576"));
  // Though it counts and reads all of them, the last key alone takes next to nothing.
  request.set_sort_target(RangeRequest::KEY);
  request.set_limit(2050);
  EXPECT_EQ(api.StatusOf(kRange, request).code(), absl::StatusCode::kResourceExhausted);
  request.set_limit(1);
  EXPECT_EQ(api.Ask<RangeResponse>(kRange, request)->kvs(0).key(), "102099");
}

}  // namespace
}  // namespace conclave::server
