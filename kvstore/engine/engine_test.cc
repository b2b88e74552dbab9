// What every engine promises, shown on each of them: LevelDB on the memory file system, and memory.

#include "kvstore/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "kvstore/engine/leveldb_engine.h"
#include "kvstore/engine/memory_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

using Content = std::map<std::string, std::string>;

class OnMemory {
 public:
  Engine& engine() { return engine_; }

 private:
  MemoryEngine engine_;
};

class OnLevelDb {
 public:
  OnLevelDb() {
    LevelDbOptions options;
    options.write_buffer_bytes = 64 << 10;  // so that tables and compactions happen in a test
    engine_ = *OpenLevelDbEngine(&fs_, "db", options);
  }
  Engine& engine() { return *engine_; }

 private:
  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<Engine> engine_;
};

template <typename Iterable>
Content ContentOf(const Iterable& source) {
  Content content;
  const std::unique_ptr<Iterator> it = source.NewIterator();
  for (it->Seek(""); it->Valid(); it->Next()) content.emplace(it->key(), it->value());
  return content;
}

void Put(Engine& engine, std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.Put(key, value);
  engine.Write(batch);
}

template <typename Fixture>
class EngineTest : public ::testing::Test {
 protected:
  Engine& engine() { return fixture_.engine(); }

 private:
  Fixture fixture_;
};

using Engines = ::testing::Types<OnMemory, OnLevelDb>;
TYPED_TEST_SUITE(EngineTest, Engines);

TYPED_TEST(EngineTest, IsEmptyAtFirst) {
  EXPECT_EQ(this->engine().Get("a"), std::nullopt);
  EXPECT_EQ(ContentOf(this->engine()), Content());
}

TYPED_TEST(EngineTest, BatchesAreAppliedInTheOrderOfTheirOperations) {
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("b", "1");
  batch.Delete("a");
  batch.Put("b", "2");
  batch.Delete("c");
  batch.Put("c", "");
  this->engine().Write(batch);
  EXPECT_EQ(ContentOf(this->engine()), (Content{{"b", "2"}, {"c", ""}}));
}

TYPED_TEST(EngineTest, KeysAndValuesAreAnyBytesInUnsignedOrder) {
  const std::string zero("\0", 1);
  Put(this->engine(), "\xff", zero);
  Put(this->engine(), "\x7f", "middle");
  Put(this->engine(), zero, "\xff\xff");
  Put(this->engine(), zero + zero, "");
  const std::unique_ptr<Iterator> it = this->engine().NewIterator();
  std::vector<std::string> keys;
  for (it->Seek(""); it->Valid(); it->Next()) keys.emplace_back(it->key());
  EXPECT_THAT(keys, ::testing::ElementsAre(zero, zero + zero, "\x7f", "\xff"));
  EXPECT_EQ(this->engine().Get("\xff"), zero);
}

TYPED_TEST(EngineTest, IteratorsSeekBothWays) {
  for (const char* key : {"b", "d", "f"}) Put(this->engine(), key, key);
  const std::unique_ptr<Iterator> it = this->engine().NewIterator();
  const struct {
    std::string target, next, prev;  // "" for none
  } cases[] = {{"a", "b", ""}, {"b", "b", "b"}, {"c", "d", "b"}, {"f", "f", "f"}, {"g", "", "f"}};
  for (const auto& c : cases) {
    it->Seek(c.target);
    EXPECT_EQ(it->Valid() ? std::string(it->key()) : "", c.next) << c.target;
    it->SeekForPrev(c.target);
    EXPECT_EQ(it->Valid() ? std::string(it->key()) : "", c.prev) << c.target;
  }
  it->Seek("d");
  it->Prev();
  EXPECT_EQ(it->key(), "b");
  it->Next();
  it->Next();
  EXPECT_EQ(it->key(), "f");
  it->Next();
  EXPECT_FALSE(it->Valid());
}

TYPED_TEST(EngineTest, ViewsAndIteratorsAreFrozen) {
  Put(this->engine(), "a", "1");
  Put(this->engine(), "b", "1");
  const std::unique_ptr<EngineView> view = this->engine().NewView();
  const std::unique_ptr<Iterator> it = this->engine().NewIterator();
  WriteBatch batch;
  batch.Put("a", "2");
  batch.Delete("b");
  batch.Put("c", "2");
  this->engine().Write(batch);
  this->engine().Flush();
  EXPECT_EQ(ContentOf(*view), (Content{{"a", "1"}, {"b", "1"}}));
  EXPECT_EQ(view->Get("a"), "1");
  EXPECT_EQ(view->Get("c"), std::nullopt);
  it->Seek("a");
  EXPECT_EQ(it->value(), "1");
  it->Next();
  EXPECT_EQ(it->key(), "b");
  EXPECT_EQ(ContentOf(this->engine()), (Content{{"a", "2"}, {"c", "2"}}));
}

TYPED_TEST(EngineTest, SizeFollowsTheContent) {
  const uint64_t before = this->engine().SizeBytes();
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::string value;
    while (value.size() < 1000) value.push_back(static_cast<char>(random.Next()));
    Put(this->engine(), "key" + std::to_string(i), value);
  }
  const uint64_t full = this->engine().SizeBytes();
  EXPECT_GE(full, before + 200'000);
  WriteBatch batch;
  for (int i = 0; i < 200; ++i) batch.Delete("key" + std::to_string(i));
  this->engine().Write(batch);
  this->engine().Flush();
  this->engine().Reclaim("a", "z");
  EXPECT_LE(this->engine().SizeBytes(), before + 50'000);
}

TYPED_TEST(EngineTest, BehavesAsAMapUnderRandomUse) {
  Random random(7);
  Content model;
  std::vector<std::pair<std::unique_ptr<EngineView>, Content>> views;
  for (int round = 0; round < Scaled(600); ++round) {
    WriteBatch batch;
    for (uint64_t n = random.Below(20); n > 0; --n) {
      const std::string key = "key" + std::to_string(random.Below(300));
      if (random.OneIn(3)) {
        batch.Delete(key);
        model.erase(key);
      } else {
        const std::string value(random.Below(200), static_cast<char>('a' + random.Below(26)));
        batch.Put(key, value);
        model[key] = value;
      }
    }
    this->engine().Write(batch);
    if (random.OneIn(20)) views.emplace_back(this->engine().NewView(), model);
    if (random.OneIn(30) && !views.empty()) views.erase(views.begin());
    const std::string probe = "key" + std::to_string(random.Below(300));
    const auto it = model.find(probe);
    ASSERT_EQ(this->engine().Get(probe),
              it == model.end() ? std::nullopt : std::optional(it->second));
  }
  EXPECT_EQ(ContentOf(this->engine()), model);
  EXPECT_FALSE(views.empty());
  for (const auto& [view, content] : views) EXPECT_EQ(ContentOf(*view), content);
}

TYPED_TEST(EngineTest, AViewMayBeReadWhileTheEngineIsWritten) {
  for (int i = 0; i < 500; ++i) Put(this->engine(), "key" + std::to_string(i), "old");
  const std::unique_ptr<EngineView> view = this->engine().NewView();
  size_t old = 0;
  std::thread reader([&] {  // tidy: allow(determinism) the promise is about threads
    for (const auto& [key, value] : ContentOf(*view)) old += value == "old";
  });
  for (int i = 0; i < 500; ++i) Put(this->engine(), "key" + std::to_string(i), "new");
  reader.join();
  EXPECT_EQ(old, 500u);
}

TEST(WriteBatchTest, ListsWhatWasPutAndIsReusable) {
  WriteBatch batch;
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.operations().begin(), batch.operations().end());
  batch.Put("a", "x");
  batch.Delete("b");
  ASSERT_EQ(batch.count(), 2u);
  auto it = batch.operations().begin();
  EXPECT_EQ(it->key, "a");
  EXPECT_EQ(it->value, "x");
  EXPECT_FALSE(it->is_delete);
  ++it;
  EXPECT_EQ(it->key, "b");
  EXPECT_TRUE(it->is_delete);
  batch.Clear();
  EXPECT_TRUE(batch.empty());
  batch.Put("c", "");
  EXPECT_EQ(batch.operations().begin()->key, "c");
}

}  // namespace
}  // namespace conclave::kv
