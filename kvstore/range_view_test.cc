// Ranges read piece by piece are what Range answers, whatever the pieces, and whatever is written,
// compacted and viewed anew between two of them.
#include "kvstore/mvcc/range_view.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "kvstore/random_requests.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

constexpr size_t kNoBound = std::numeric_limits<size_t>::max();

RangeRequest Everything(int64_t limit = 0) {
  RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_limit(limit);
  return request;
}

// A range that is being read, put together again.
class Reading {
 public:
  Reading(TestStore* store, const RangeRequest& request) : store_(store), request_(request) {}

  // In a view of what is there now.
  absl::Status View() {
    auto view = (*store_)->ViewRange(request_, progress_);
    if (!view.ok()) return view.status();
    view_ = *std::move(view);
    progress_ = view_->start();
    return absl::OkStatus();
  }
  RangePiece Next(const RangePieceBounds& bounds) {
    RangePiece piece = view_->Read(progress_, bounds);
    progress_ = piece.progress;
    EXPECT_LE(piece.keys, bounds.keys_max);
    RangeResponse part;
    EXPECT_TRUE(part.ParseFromString(piece.kvs));
    if (!bounds.measure) {
      EXPECT_EQ(static_cast<uint64_t>(part.kvs_size()), piece.keys);
      EXPECT_EQ(piece.kvs.size(), piece.bytes);
      if (part.kvs_size() > 1) {
        part.mutable_kvs()->RemoveLast();
        EXPECT_LT(part.ByteSizeLong(), bounds.bytes_max) << "it should have ended before the last";
      }
    }
    EXPECT_TRUE(merged_.MergeFromString(piece.kvs));
    bytes_ += piece.bytes;
    if (piece.last) {
      merged_.mutable_header()->set_revision(progress_.header_revision);
      merged_.set_more(progress_.more);
      merged_.set_count(piece.count);
    }
    return piece;
  }
  const RangeResponse& merged() const { return merged_; }
  uint64_t bytes() const { return bytes_; }

 private:
  TestStore* const store_;
  const RangeRequest request_;
  std::unique_ptr<RangeView> view_;
  RangeProgress progress_;
  RangeResponse merged_;
  uint64_t bytes_ = 0;
};

class RangeViewTest : public ::testing::TestWithParam<EngineKind> {};

INSTANTIATE_TEST_SUITE_P(Engines, RangeViewTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

RangePieceBounds DrawBounds(Random& random) {
  return {.keys_max = random.OneIn(4) ? kNoBound : random.Between(1, 2),
          .bytes_max = random.OneIn(2) ? kNoBound : random.Between(1, 120)};
}

void Change(TestStore& store, RandomRequests& requests) {
  if (requests.random().OneIn(20)) {
    store.Run(CommandKind::kDeleteRange, requests.DeleteRange());
  } else {
    store.Run(CommandKind::kPut, requests.Put());
  }
}

TEST_P(RangeViewTest, PiecesTogetherAreTheAnswerWhateverIsWrittenMeanwhile) {
  RandomRequests requests(7);
  Random& random = requests.random();
  TestStore store(GetParam());
  int viewed_anew = 0, of_many_pieces = 0;
  for (int round = 0; round < 1500; ++round) {
    for (uint64_t n = random.Below(4); n > 0; --n) Change(store, requests);
    RangeRequest request = requests.Range(0, store->revision());
    request.clear_sort_order();
    request.clear_sort_target();
    if (random.OneIn(2)) {
      request.set_key(Everything().key());
      request.set_range_end(Everything().range_end());
    }
    const auto expected = store.Range(request);
    Reading reading(&store, request);
    ASSERT_EQ(reading.View(), expected.status()) << request.DebugString();
    if (!expected.ok()) continue;
    int pieces = 1;
    while (!reading.Next(DrawBounds(random)).last) {
      ++pieces;
      for (uint64_t n = random.Below(3); n > 0; --n) Change(store, requests);
      if (!random.OneIn(3)) continue;
      ASSERT_TRUE(reading.View().ok());
      ++viewed_anew;
    }
    of_many_pieces += pieces > 3;
    ASSERT_EQ(reading.merged().DebugString(), expected->DebugString()) << request.DebugString();
  }
  EXPECT_GT(viewed_anew, 100);
  EXPECT_GT(of_many_pieces, 100);
}

TEST_P(RangeViewTest, MeasuresWhatItReads) {
  RandomRequests requests(8);
  TestStore store(GetParam());
  for (int round = 0; round < 300; ++round) {
    Change(store, requests);
    RangeRequest request = requests.Range(0, store->revision());
    request.clear_revision();
    Reading measured(&store, request), read(&store, request);
    ASSERT_TRUE(measured.View().ok());
    ASSERT_TRUE(read.View().ok());
    const RangePieceBounds measure{.keys_max = 3, .bytes_max = kNoBound, .measure = true};
    while (!measured.Next(measure).last) {
    }
    while (!read.Next({.keys_max = 2, .bytes_max = kNoBound}).last) {
    }
    ASSERT_EQ(measured.bytes(), read.bytes());
    ASSERT_EQ(measured.merged().kvs_size(), 0);
    ASSERT_EQ(measured.merged().count(), read.merged().count());
    ASSERT_EQ(measured.merged().more(), read.merged().more());
  }
}

TEST_P(RangeViewTest, ALaterViewReadsOnOnlyWhatIsNotCompacted) {
  TestStore store(GetParam());
  for (const char* key : {"a", "b", "c", "d"}) ASSERT_TRUE(store.Put(key, "old").ok());
  Reading reading(&store, Everything());
  ASSERT_TRUE(reading.View().ok());
  const int64_t pinned = store->revision();
  EXPECT_FALSE(reading.Next({.keys_max = 1, .bytes_max = kNoBound}).last);
  for (const char* key : {"c", "d", "e"}) ASSERT_TRUE(store.Put(key, "new").ok());
  store.Delete("b");
  // At the compacted revision itself reading goes on.
  ASSERT_TRUE(store.Compact(pinned).ok());
  store.CompactFully();
  ASSERT_TRUE(reading.View().ok());
  EXPECT_FALSE(reading.Next({.keys_max = 2, .bytes_max = kNoBound}).last);
  EXPECT_EQ(TestStore::Text(reading.merged()), "a=old b=old c=old");
  // One revision further it does not, but what is viewed already can be read.
  ASSERT_TRUE(store.Compact(pinned + 1).ok());
  store.CompactFully();
  EXPECT_EQ(reading.View(), ErrCompacted());
  EXPECT_TRUE(reading.Next({.keys_max = 2, .bytes_max = kNoBound}).last);
  EXPECT_EQ(TestStore::Text(reading.merged()), "a=old b=old c=old d=old");
  EXPECT_EQ(reading.merged().count(), 4);
  EXPECT_EQ(reading.merged().header().revision(), pinned);
}

TEST_P(RangeViewTest, ALimitIsCountedAcrossPiecesAndTheRestIsCounted) {
  TestStore store(GetParam());
  for (const char* key : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(store.Put(key, key).ok());
  Reading reading(&store, Everything(3));
  ASSERT_TRUE(reading.View().ok());
  EXPECT_FALSE(reading.Next({.keys_max = 2, .bytes_max = kNoBound}).last);
  EXPECT_TRUE(reading.Next({.keys_max = 2, .bytes_max = kNoBound}).last);
  EXPECT_EQ(TestStore::Text(reading.merged()), "a=a b=b c=c");
  EXPECT_TRUE(reading.merged().more());
  EXPECT_EQ(reading.merged().count(), 5);
}

// Others wait behind it on the lane for long reads.
TEST_P(RangeViewTest, NoPieceLooksAtAnyNumberOfKeys) {
  TestStore store(GetParam());
  for (int i = 0; i < 25'000; ++i) {
    store.Apply(CommandKind::kPut, TestStore::PutRequest(std::to_string(i), ""));
    if (i % 1000 == 999) store->Commit();
  }
  RangeRequest request = Everything();
  request.set_min_create_revision(1'000'000);  // none is
  Reading reading(&store, request);
  ASSERT_TRUE(reading.View().ok());
  int pieces = 1;
  while (!reading.Next({.keys_max = kNoBound, .bytes_max = kNoBound}).last) ++pieces;
  EXPECT_GE(pieces, 3);
  EXPECT_EQ(reading.merged().kvs_size(), 0);
  EXPECT_EQ(reading.merged().count(), 25'000);
}

TEST_P(RangeViewTest, OnlyARangeOfFewKeysAndBytesIsShort) {
  StoreOptions options;
  options.long_range_keys = 3;
  options.long_range_bytes = 100;
  TestStore store(GetParam(), options);
  const auto is_short = [&store](const RangeRequest& request) {
    RangeResponse response;
    const absl::StatusOr<bool> whole = store->RangeIfShort(request, &response);
    EXPECT_TRUE(whole.ok());
    if (*whole) {
      EXPECT_EQ(response.DebugString(), store.Range(request)->DebugString());
    }
    return *whole;
  };
  ASSERT_TRUE(store.Put("a", std::string(40, 'x')).ok());
  ASSERT_TRUE(store.Put("b", std::string(40, 'x')).ok());
  EXPECT_TRUE(is_short(Everything()));
  ASSERT_TRUE(store.Put("b", std::string(61, 'x')).ok());
  EXPECT_FALSE(is_short(Everything())) << "of 103 bytes";
  RangeRequest keys_only = Everything();
  keys_only.set_keys_only(true);
  EXPECT_TRUE(is_short(keys_only));
  // A single key is short whatever it has.
  ASSERT_TRUE(store.Put("b", std::string(1000, 'x')).ok());
  RangeRequest one;
  one.set_key("b");
  EXPECT_TRUE(is_short(one));
  for (const char* key : {"c", "d", "e", "f"}) ASSERT_TRUE(store.Put(key, "").ok());
  EXPECT_FALSE(is_short(keys_only)) << "of 6 keys";
  RangeRequest future = Everything();
  future.set_revision(100);
  RangeResponse response;
  EXPECT_EQ(store->RangeIfShort(future, &response).status(), ErrFutureRevision());
}

}  // namespace
}  // namespace conclave::kv
