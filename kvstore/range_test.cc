// The options of a Range one by one (reference: behaviour section 3.2), through the store.

#include <gtest/gtest.h>

#include <functional>

#include "kvstore/errors.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

constexpr std::string_view kZero("\0", 1);

RangeRequest All() {
  RangeRequest request;
  request.set_key(std::string(kZero));
  request.set_range_end(std::string(kZero));
  return request;
}

// Revisions:   2 c=1   3 a=3   4 b=2   5 a=2   6 d=1   7 delete b
class RangeTest : public ::testing::Test {
 protected:
  RangeTest() {
    for (const auto& [key, value] :
         {std::pair("c", "1"), {"a", "3"}, {"b", "2"}, {"a", "2"}, {"d", "1"}}) {
      EXPECT_TRUE(store_.Put(key, value).ok());
    }
    EXPECT_EQ(store_.Delete("b"), 1);
  }
  RangeResponse Get(const RangeRequest& request) {
    const auto response = store_.Range(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(RangeResponse());
  }

  TestStore store_;
};

TEST_F(RangeTest, SpansAreThoseOfTheWire) {
  EXPECT_EQ(store_.Read("a"), "a=2");
  EXPECT_EQ(store_.Read("b"), "");
  EXPECT_EQ(store_.Read("a", "d"), "a=2 c=1");
  EXPECT_EQ(store_.Read("b", kZero), "c=1 d=1");
  EXPECT_EQ(store_.Read("d", "a"), "");
}

TEST_F(RangeTest, RevisionsShowThePast) {
  EXPECT_EQ(store_.Read(kZero, kZero, 1), "");
  EXPECT_EQ(store_.Read(kZero, kZero, 3), "a=3 c=1");
  EXPECT_EQ(store_.Read(kZero, kZero, 6), "a=2 b=2 c=1 d=1");
  EXPECT_EQ(store_.Read(kZero, kZero, 7), "a=2 c=1 d=1");
  EXPECT_EQ(store_.Read("b", "", 4), "b=2");
  EXPECT_EQ(store_.Read(kZero, kZero, -1), "a=2 c=1 d=1");
  RangeRequest past = All();
  past.set_revision(3);
  EXPECT_EQ(Get(past).header().revision(), 7);
}

TEST_F(RangeTest, RevisionsOutsideOfHistoryAreErrors) {
  RangeRequest request = All();
  request.set_revision(8);
  EXPECT_EQ(store_.Range(request).status(), ErrFutureRevision());
  ASSERT_TRUE(store_.Compact(4).ok());
  request.set_revision(3);
  EXPECT_EQ(store_.Range(request).status(), ErrCompacted());
  EXPECT_EQ(store_.Read(kZero, kZero, 4), "a=3 b=2 c=1");
  EXPECT_EQ(store_.Read(kZero, kZero, -5), "a=2 c=1 d=1");
}

TEST_F(RangeTest, LimitSaysMoreAndCountsAll) {
  RangeRequest request = All();
  for (const int64_t revision : {0, 7, 6}) {
    request.set_revision(revision);
    const int64_t count = revision == 6 ? 4 : 3;
    request.set_limit(2);
    EXPECT_EQ(Get(request).kvs_size(), 2);
    EXPECT_TRUE(Get(request).more());
    EXPECT_EQ(Get(request).count(), count);
    request.set_limit(count);
    EXPECT_FALSE(Get(request).more());
    request.set_limit(-1);
    EXPECT_EQ(Get(request).kvs_size(), count);
  }
}

TEST_F(RangeTest, CountOnlyIgnoresLimitAndFilters) {
  RangeRequest request = All();
  request.set_count_only(true);
  request.set_limit(1);
  request.set_min_mod_revision(100);
  const RangeResponse response = Get(request);
  EXPECT_EQ(response.count(), 3);
  EXPECT_EQ(response.kvs_size(), 0);
  EXPECT_FALSE(response.more());
  request.set_key("b");
  request.clear_range_end();
  EXPECT_EQ(Get(request).count(), 0);
}

TEST_F(RangeTest, KeysOnlyKeepsAllButTheValue) {
  RangeRequest request = All();
  request.set_keys_only(true);
  const RangeResponse response = Get(request);
  EXPECT_EQ(TestStore::Text(response), "a= c= d=");
  EXPECT_EQ(response.kvs(0).version(), 2);
}

TEST_F(RangeTest, FiltersAreInclusiveAndDoNotCount) {
  const struct {
    std::function<void(RangeRequest&)> set;
    std::string expected;
  } cases[] = {
      {[](RangeRequest& r) { r.set_min_mod_revision(5); }, "a=2 d=1"},
      {[](RangeRequest& r) { r.set_max_mod_revision(5); }, "a=2 c=1"},
      {[](RangeRequest& r) { r.set_min_create_revision(3); }, "a=2 d=1"},
      {[](RangeRequest& r) { r.set_max_create_revision(3); }, "a=2 c=1"},
      {[](RangeRequest& r) {
         r.set_min_mod_revision(5);
         r.set_limit(1);
       },
       "a=2"},
  };
  for (const auto& c : cases) {
    RangeRequest request = All();
    c.set(request);
    EXPECT_EQ(TestStore::Text(Get(request)), c.expected) << request.DebugString();
    EXPECT_EQ(Get(request).count(), 3);
  }
}

TEST_F(RangeTest, SortsByAnyTarget) {
  const struct {
    RangeRequest::SortOrder order;
    RangeRequest::SortTarget target;
    int64_t limit;
    std::string expected;
  } cases[] = {
      {RangeRequest::NONE, RangeRequest::KEY, 0, "a=2 c=1 d=1"},
      {RangeRequest::DESCEND, RangeRequest::KEY, 0, "d=1 c=1 a=2"},
      {RangeRequest::DESCEND, RangeRequest::KEY, 1, "d=1"},
      {RangeRequest::ASCEND, RangeRequest::CREATE, 0, "c=1 a=2 d=1"},
      {RangeRequest::DESCEND, RangeRequest::CREATE, 1, "d=1"},
      {RangeRequest::ASCEND, RangeRequest::MOD, 2, "c=1 a=2"},
      {RangeRequest::DESCEND, RangeRequest::VERSION, 1, "a=2"},
      {RangeRequest::DESCEND, RangeRequest::VALUE, 1, "a=2"},
      {RangeRequest::NONE, RangeRequest::CREATE, 0, "c=1 a=2 d=1"},
  };
  for (const auto& c : cases) {
    RangeRequest request = All();
    request.set_sort_order(c.order);
    request.set_sort_target(c.target);
    request.set_limit(c.limit);
    EXPECT_EQ(TestStore::Text(Get(request)), c.expected) << request.DebugString();
  }
}

TEST_F(RangeTest, TheLastKeysOfASpanAreFoundFromItsEnd) {
  RangeRequest request;
  request.set_sort_order(RangeRequest::DESCEND);
  request.set_limit(1);
  const struct {
    std::string key, end, expected;
    int64_t count;
  } cases[] = {{"a", "d", "c=1", 2}, {"a", "c", "a=2", 1}, {"b", std::string(kZero), "d=1", 2},
               {"b", "c", "", 0},    {"a", "", "a=2", 1},  {"d", "a", "", 0}};
  for (const auto& c : cases) {
    request.set_key(c.key);
    request.set_range_end(c.end);
    EXPECT_EQ(TestStore::Text(Get(request)), c.expected) << c.key << c.end;
    EXPECT_EQ(Get(request).count(), c.count) << c.key << c.end;
  }
}

// The quirk: without an order, a limit of L lets the sort see the first L + 1 keys only.
TEST_F(RangeTest, WithoutAnOrderTheSortSeesOnlyTheFirstKeys) {
  RangeRequest request = All();
  request.set_sort_target(RangeRequest::MOD);
  request.set_limit(1);
  EXPECT_EQ(TestStore::Text(Get(request)), "c=1");
  ASSERT_TRUE(store_.Put("c", "9").ok());  // now the newest of the first two
  EXPECT_EQ(TestStore::Text(Get(request)), "a=2");
}

TEST_F(RangeTest, CountsOfThePastFollowGrowthAndDecline) {
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(store_.Put("k" + std::to_string(i), "v").ok());
  const int64_t full = store_->revision();
  EXPECT_EQ(store_.Delete("k1", "k2"), 1111);
  RangeRequest request = All();
  request.set_count_only(true);
  EXPECT_EQ(Get(request).count(), 892);
  request.set_revision(full);
  EXPECT_EQ(Get(request).count(), 2003);
  request.set_revision(full - 100);
  EXPECT_EQ(Get(request).count(), 1903);
  request.set_key("k1");
  request.set_range_end("k2");
  EXPECT_EQ(Get(request).count(), 1111 - 100);
}

}  // namespace
}  // namespace conclave::kv
