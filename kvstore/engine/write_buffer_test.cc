// The write buffer beside a map of what it was told, and iterators that merge it with what lies
// below.
#include "kvstore/engine/write_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "kvstore/engine/merged_iterator.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

using Content = std::map<std::string, std::string>;
using Changes = std::map<std::string, std::optional<std::string>>;

Changes ChangesIn(const SortedRun& run) {
  Changes changes;
  for (size_t row = 0; row < run.size(); ++row) {
    EXPECT_TRUE(row == 0 || run.key(row - 1) < run.key(row));
    changes.emplace(run.key(row),
                    run.is_delete(row) ? std::nullopt : std::optional(std::string(run.value(row))));
  }
  return changes;
}

WriteBatch BatchOf(const std::vector<std::pair<std::string, std::optional<std::string>>>& changes) {
  WriteBatch batch;
  for (const auto& [key, value] : changes) {
    if (value) {
      batch.Put(key, *value);
    } else {
      batch.Delete(key);
    }
  }
  return batch;
}

TEST(SortedRunTest, TheLastOperationOfAKeyCounts) {
  const SortedRun run(
      BatchOf({{"b", "1"}, {"a", "1"}, {"b", std::nullopt}, {"c", ""}, {"a", "2"}}));
  EXPECT_EQ(ChangesIn(run), (Changes{{"a", "2"}, {"b", std::nullopt}, {"c", ""}}));
}

// Keys of few kinds that are prefixes of each other, that differ late or only in zeros at their
// end, and that come in order or not.
TEST(SortedRunTest, ABatchOfAnyKeysIsInOrder) {
  Random random(7);
  const std::vector<std::string> kinds = {"",    "a", "aaaaaaaaaaaa", "h", std::string(9, '\0'),
                                          "\xff"};
  for (int round = 0; round < Scaled(2'000); ++round) {
    Changes expected;
    WriteBatch batch;
    for (uint64_t i = random.Below(120); i > 0; --i) {
      std::string key = kinds[random.Below(kinds.size())];
      for (uint64_t bytes = random.Below(12); bytes > 0; --bytes) {
        key.push_back(static_cast<char>(random.OneIn(2) ? 0 : random.Below(256)));
      }
      if (random.OneIn(8)) {
        batch.Delete(key);
        expected[key].reset();
      } else {
        batch.Put(key, std::to_string(i));
        expected[key] = std::to_string(i);
      }
    }
    ASSERT_EQ(ChangesIn(SortedRun(batch)), expected) << round;
  }
}

TEST(SortedRunTest, TheNewerOfTwoRunsCountsAndDeletesStay) {
  const SortedRun older(BatchOf({{"a", "old"}, {"b", "old"}, {"d", "old"}}));
  const SortedRun newer(BatchOf({{"b", "new"}, {"c", "new"}, {"d", std::nullopt}}));
  EXPECT_EQ(ChangesIn(SortedRun(newer, older)),
            (Changes{{"a", "old"}, {"b", "new"}, {"c", "new"}, {"d", std::nullopt}}));
}

TEST(SortedRunTest, LongStretchesOfEitherRunStayInOrder) {
  Random random(4);
  for (int round = 0; round < Scaled(200); ++round) {
    Changes expected;
    std::vector<std::unique_ptr<SortedRun>> runs;
    for (const std::string value : {"older", "newer"}) {
      WriteBatch batch;
      for (int stretch = 0; stretch < 6; ++stretch) {
        const uint64_t first = random.Between(1'000, 1'200);
        for (uint64_t i = random.Below(40); i > 0; --i) {
          const std::string key = std::to_string(first + i);
          batch.Put(key, value);
          expected[key] = value;
        }
      }
      runs.push_back(std::make_unique<SortedRun>(batch));
    }
    ASSERT_EQ(ChangesIn(SortedRun(*runs[1], *runs[0])), expected) << round;
  }
}

TEST(SortedRunTest, LowerBoundIsTheFirstKeyThatIsNotBelow) {
  const SortedRun run(BatchOf({{"b", "1"}, {"d", "1"}}));
  const struct {
    std::string key;
    size_t row;
  } cases[] = {{"", 0}, {"a", 0}, {"b", 0}, {"c", 1}, {"d", 1}, {"e", 2}};
  for (const auto& c : cases) EXPECT_EQ(run.LowerBound(c.key), c.row) << c.key;
}

// A buffer over a map, and what both together should be.
class WriteBufferTest : public ::testing::Test {
 protected:
  WriteBufferTest() {
    WriteBatch batch;
    for (int i = 0; i < 200; i += 2) batch.Put(KeyOf(i), "below");
    below_.Write(batch);
    for (const WriteBatch::Operation& operation : batch.operations()) {
      model_.emplace(operation.key, operation.value);
    }
  }

  static std::string KeyOf(uint64_t number) { return "key" + std::to_string(1000 + number); }

  void AddRandomBatch() {
    WriteBatch batch;
    for (uint64_t n = random_.Between(1, 12); n > 0; --n) {
      const std::string key = KeyOf(random_.Below(200));
      if (random_.OneIn(3)) {
        batch.Delete(key);
        model_.erase(key);
      } else {
        const std::string value = std::to_string(random_.Next());
        batch.Put(key, value);
        model_[key] = value;
      }
    }
    buffer_.Add(batch);
  }

  // What was sealed goes below.
  void Flush() {
    WriteBatch batch;
    const std::shared_ptr<const SortedRun> sealed = buffer_.Sealed();
    for (const auto& [key, value] : ChangesIn(*sealed)) {
      value ? batch.Put(key, *value) : batch.Delete(key);
    }
    below_.Write(batch);
    buffer_.DropSealed();
  }

  void CheckGet(const std::string& key) {
    std::string value;
    const auto expected = model_.find(key);
    switch (buffer_.Get(key, &value)) {
      case WriteBuffer::Found::kNothing:
        ASSERT_EQ(below_.Get(key),
                  expected == model_.end() ? std::nullopt : std::optional(expected->second));
        return;
      case WriteBuffer::Found::kDelete:
        ASSERT_EQ(expected, model_.end());
        return;
      case WriteBuffer::Found::kValue:
        ASSERT_NE(expected, model_.end());
        ASSERT_EQ(value, expected->second);
    }
  }

  // A walk to and fro over a view as it is now.
  void CheckIterator() {
    const std::unique_ptr<Iterator> it = MergeOver(buffer_.View(), below_.NewIterator());
    auto at = model_.end();
    for (int step = 0; step < 60; ++step) {
      const std::string target = KeyOf(random_.Below(200)) + (random_.OneIn(2) ? "" : "x");
      if (at == model_.end() || random_.OneIn(10)) {
        at = model_.lower_bound(target);
        it->Seek(target);
      } else if (random_.OneIn(8)) {
        at = model_.upper_bound(target);
        at = at == model_.begin() ? model_.end() : std::prev(at);
        it->SeekForPrev(target);
      } else if (random_.OneIn(3)) {
        at = at == model_.begin() ? model_.end() : std::prev(at);
        it->Prev();
      } else {
        ++at;
        it->Next();
      }
      ASSERT_EQ(it->Valid(), at != model_.end());
      if (!it->Valid()) continue;
      ASSERT_EQ(it->key(), at->first);
      ASSERT_EQ(it->value(), at->second);
    }
  }

  Random random_{11};
  MemoryEngine below_;
  Content model_;
  WriteBuffer buffer_;
};

TEST_F(WriteBufferTest, WithWhatLiesBelowItIsTheMapThatWasWritten) {
  bool sealed = false;
  for (int round = 0; round < Scaled(2'000); ++round) {
    AddRandomBatch();
    if (sealed && random_.OneIn(10)) {
      Flush();
      sealed = false;
    } else if (!sealed && random_.OneIn(20)) {
      sealed = buffer_.Seal();
    }
    ASSERT_NO_FATAL_FAILURE(CheckGet(KeyOf(random_.Below(200)))) << round;
    ASSERT_NO_FATAL_FAILURE(CheckIterator()) << round;
  }
}

TEST_F(WriteBufferTest, AViewIsNotChangedByWhatComesLater) {
  for (int i = 0; i < 50; ++i) AddRandomBatch();
  const WriteBuffer::Runs view = buffer_.View();
  Changes before;
  for (const auto& run : view) before.merge(ChangesIn(*run));
  for (int i = 0; i < 50; ++i) AddRandomBatch();
  ASSERT_TRUE(buffer_.Seal());
  Flush();
  Changes after;
  for (const auto& run : view) after.merge(ChangesIn(*run));
  EXPECT_EQ(before, after);
  EXPECT_THAT(buffer_.View(), ::testing::IsEmpty());
}

TEST_F(WriteBufferTest, RunsAreFewAndNoneIsMergedBeyondABound) {
  uint64_t number = 0;
  for (int i = 0; i < 2'000; ++i) {
    WriteBatch batch;
    for (int row = 0; row < 40; ++row) batch.Put(std::to_string(number++), "");
    buffer_.Add(batch);
  }
  const WriteBuffer::Runs view = buffer_.View();
  EXPECT_LE(view.size(), 20u);
  for (const auto& run : view) EXPECT_LE(run->size(), 16u << 10);
}

TEST_F(WriteBufferTest, CountsTheBytesOfBothParts) {
  WriteBatch batch;
  batch.Put("a", std::string(100, 'v'));
  buffer_.Add(batch);
  EXPECT_EQ(buffer_.open_bytes(), batch.size_bytes());
  ASSERT_TRUE(buffer_.Seal());
  EXPECT_FALSE(buffer_.open_bytes() > 0);
  buffer_.Add(batch);
  EXPECT_EQ(buffer_.size_bytes(), 2 * batch.size_bytes());
  Flush();
  EXPECT_EQ(buffer_.size_bytes(), batch.size_bytes());
}

}  // namespace
}  // namespace conclave::kv
