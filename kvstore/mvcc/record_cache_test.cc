#include "kvstore/mvcc/record_cache.h"

#include <gtest/gtest.h>

#include <map>

#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

constexpr std::string_view kUnknown = "?";
constexpr std::string_view kNone = "-";

// What the cache says of the key; records themselves are neither of the above.
std::string Ask(RecordCache& cache, std::string_view key) {
  std::optional<std::string_view> record;
  return std::string(cache.Find(key, record) ? record.value_or(kNone) : kUnknown);
}

TEST(RecordCacheTest, RemembersRecordsAndThatThereIsNone) {
  RecordCache cache(1 << 20);
  EXPECT_EQ(Ask(cache, "a"), kUnknown);
  cache.Put("a", "one");
  cache.Put("b", std::nullopt);
  EXPECT_EQ(Ask(cache, "a"), "one");
  EXPECT_EQ(Ask(cache, "b"), kNone);
  cache.Put("a", "two");
  EXPECT_EQ(Ask(cache, "a"), "two");
  cache.Put("a", std::nullopt);
  EXPECT_EQ(Ask(cache, "a"), kNone);
}

TEST(RecordCacheTest, OfNoBytesRemembersNothing) {
  RecordCache cache(0);
  cache.Put("a", "one");
  cache.Put("b", std::nullopt);
  EXPECT_EQ(Ask(cache, "a"), kUnknown);
  EXPECT_EQ(Ask(cache, "b"), kUnknown);
}

TEST(RecordCacheTest, ALargeRecordIsForgottenAndNotKeptAsItWas) {
  RecordCache cache(8'000);
  cache.Put("a", "small");
  cache.Put("a", std::string(1'000, 'x'));
  EXPECT_EQ(Ask(cache, "a"), kUnknown);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(RecordCacheTest, WhatIsAskedForStays) {
  RecordCache cache(20'000);
  cache.Put("hot", "record");
  for (int i = 0; i < 10'000; ++i) {
    cache.Put("cold " + std::to_string(i), "record");
    ASSERT_EQ(Ask(cache, "hot"), "record") << i;
  }
  EXPECT_EQ(Ask(cache, "cold 0"), kUnknown);
}

// Whatever it remembers is what was put last, within its bytes; and it does remember.
TEST(RecordCacheTest, AgreesWithAMap) {
  constexpr size_t kBytesMax = 6'000;
  RecordCache cache(kBytesMax);
  std::map<std::string, std::optional<std::string>> model;
  Random random(1);
  int found = 0;
  for (int i = 0; i < Scaled(50'000); ++i) {
    const std::string key = "key " + std::to_string(random.Below(100));
    if (random.OneIn(2)) {
      std::optional<std::string> record;
      if (!random.OneIn(4))
        record = std::string(random.Below(300), static_cast<char>('a' + i % 26));
      model[key] = record;
      cache.Put(key, record);
      ASSERT_LE(cache.bytes(), kBytesMax);
    } else if (const std::string record = Ask(cache, key); record != kUnknown) {
      ASSERT_EQ(record, model.at(key).value_or(std::string(kNone)));
      ++found;
    }
  }
  EXPECT_GT(found, 2'500);
}

}  // namespace
}  // namespace conclave::kv
