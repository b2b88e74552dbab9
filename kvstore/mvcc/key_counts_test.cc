#include "kvstore/mvcc/key_counts.h"

#include <gtest/gtest.h>

#include <set>

#include "kvstore/engine/memory_engine.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

// The counts beside a set of keys, which answers every question the slow way.
class KeyCountsTest : public ::testing::Test {
 protected:
  void Add(const std::string& key) {
    if (keys_.insert(key).second) counts_.Add(key);
  }
  void Remove(std::string key) {  // a copy: it may be the set's own
    if (keys_.erase(key) == 1) counts_.Remove(key);
  }
  // Ends a drain.
  void Write() {
    WriteBatch batch;
    counts_.WriteChanged(batch);
    engine_.Write(batch);
    batch.Clear();
    if (!counts_.needs_balance()) return;
    counts_.Balance(
        [this](const KeySpan& span, absl::FunctionRef<void(std::string_view)> visit) {
          for (const std::string& key : keys_) {
            if (span.Contains(key)) visit(key);
          }
        },
        batch);
    engine_.Write(batch);
  }
  void Restart() {
    counts_ = KeyCounts();
    ASSERT_TRUE(counts_.Load(engine_).ok());
  }
  int64_t Scan(const KeySpan& span) {
    int64_t count = 0;
    for (const std::string& key : keys_) count += span.Contains(key);
    scanned_ += count;
    return count;
  }
  int64_t Count(const KeySpan& span) {
    scanned_ = 0;
    return counts_.Count(span, [this](const KeySpan& part) { return Scan(part); });
  }
  size_t Buckets() {
    size_t buckets = 0;
    const std::unique_ptr<Iterator> it = engine_.NewIterator();
    for (it->Seek("c"); it->Valid(); it->Next()) ++buckets;
    return buckets;
  }
  static std::string Key(uint64_t number) {
    std::string key = std::to_string(number);
    return std::string(6 - std::min<size_t>(6, key.size()), '0') + key;
  }

  KeyCounts counts_;
  std::set<std::string> keys_;
  MemoryEngine engine_;
  int64_t scanned_ = 0;  // by the last Count
};

TEST_F(KeyCountsTest, CountsAreRightWhateverComesAndGoes) {
  Random random(5);
  for (int round = 0; round < Scaled(300); ++round) {
    const bool grows = round % 100 < 60;
    for (uint64_t n = random.Below(200); n > 0; --n) {
      const std::string key = Key(random.Below(20'000));
      if (random.OneIn(grows ? 4 : 40)) {
        Remove(key);
      } else if (grows) {
        Add(key);
      }
    }
    if (!grows) {  // a whole range at once
      const std::string from = Key(random.Below(20'000));
      while (keys_.lower_bound(from) != keys_.end() && !random.OneIn(400)) {
        Remove(*keys_.lower_bound(from));
      }
    }
    // Between drains counts include what is not written.
    const std::string begin = Key(random.Below(20'000));
    const std::string end = Key(random.Below(20'000));
    ASSERT_EQ(Count({begin, end}), Scan({begin, end}));
    Write();
    ASSERT_EQ(Count({begin, end}), Scan({begin, end}));
    ASSERT_EQ(Count(KeySpan::From(begin)), Scan(KeySpan::From(begin)));
    ASSERT_EQ(counts_.total(), static_cast<int64_t>(keys_.size()));
    if (random.OneIn(20)) Restart();
  }
}

TEST_F(KeyCountsTest, ACountReadsAtMostTheBucketsAtTheEdges) {
  for (int i = 0; i < 20'000; ++i) {
    Add(Key(i));
    if (i % 1000 == 0) Write();
  }
  Write();
  EXPECT_EQ(Count({"000100", "019900"}), 19'800);
  EXPECT_LE(scanned_, 2 * KeyCounts::kSplitAbove);
  EXPECT_EQ(Count(KeySpan::From("")), 20'000);
  EXPECT_EQ(scanned_, 0);
}

TEST_F(KeyCountsTest, BucketsFollowTheNumberOfKeys) {
  for (int i = 0; i < 20'000; ++i) Add(Key(i));
  Write();  // also from one huge bucket at once
  EXPECT_GE(Buckets(), 20'000u / KeyCounts::kSplitAbove);
  EXPECT_LE(Buckets(), 20'000u / KeyCounts::kMergeBelow);
  for (int i = 0; i < 20'000; ++i) {
    if (i % 100 != 0) Remove(Key(i));
  }
  Write();
  EXPECT_LE(Buckets(), 20u);
}

TEST_F(KeyCountsTest, DamageIsDataLoss) {
  WriteBatch batch;
  batch.Put("c", "\xff");
  engine_.Write(batch);
  EXPECT_EQ(counts_.Load(engine_).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace conclave::kv
