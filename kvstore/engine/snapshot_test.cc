// A snapshot in chunks: whatever their size and however often a transfer breaks off, the writer
// ends with exactly the rows of the view, and no damage goes unnoticed. On both engines.
#include "kvstore/engine/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/engine/leveldb_engine.h"
#include "kvstore/engine/memory_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

using Rows = std::map<std::string, std::string>;

Rows RowsOf(const Engine& engine) {
  Rows rows;
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(""); it->Valid(); it->Next()) rows.emplace(it->key(), it->value());
  return rows;
}

enum class Kind { kMemory, kLevelDb };

class SnapshotTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Engine> NewEngine() {
    if (GetParam() == Kind::kMemory) return std::make_unique<MemoryEngine>();
    LevelDbOptions options;
    options.write_buffer_bytes = 64 << 10;
    return *OpenLevelDbEngine(&fs_, "db" + std::to_string(++directories_), options);
  }

  std::string RandomBytes(size_t size_max) {
    std::string bytes(random_.Below(size_max + 1), '\0');
    for (char& c : bytes) c = static_cast<char>(random_.Below(4) * 85);  // also 0x00 and 0xff
    return bytes;
  }

  std::unique_ptr<Engine> FilledEngine(size_t rows) {
    std::unique_ptr<Engine> engine = NewEngine();
    WriteBatch batch;
    for (size_t i = 0; i < rows; ++i) batch.Put("k" + RandomBytes(12), RandomBytes(200));
    engine->Write(batch);
    return engine;
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  int directories_ = 0;
  Random random_{7};
};

INSTANTIATE_TEST_SUITE_P(Engines, SnapshotTest, ::testing::Values(Kind::kMemory, Kind::kLevelDb),
                         [](const auto& kind) {
                           return kind.param == Kind::kMemory ? "Memory" : "LevelDb";
                         });

TEST_P(SnapshotTest, AnEmptyEngineIsOneChunk) {
  const std::unique_ptr<Engine> from = NewEngine();
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotReader reader(from->NewView());
  SnapshotWriter writer(to.get());
  ASSERT_TRUE(writer.Write(reader.Next("", 100)).ok());
  EXPECT_TRUE(writer.finished());
  EXPECT_EQ(RowsOf(*to), Rows());
}

TEST_P(SnapshotTest, ChunksAreBoundedByTheirBytesAndOneRow) {
  const std::unique_ptr<Engine> from = NewEngine();
  WriteBatch batch;
  for (int i = 0; i < 50; ++i) batch.Put("k" + std::to_string(i), std::string(100, 'v'));
  batch.Put("large", std::string(5000, 'v'));
  from->Write(batch);
  SnapshotReader reader(from->NewView());
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotWriter writer(to.get());
  size_t chunks = 0;
  while (!writer.finished()) {
    const std::string chunk = reader.Next(writer.last_key(), 1000);
    ASSERT_TRUE(writer.Write(chunk).ok());
    EXPECT_LT(chunk.size(), writer.last_key() == "large" ? 6200u : 1200u);
    ++chunks;
  }
  EXPECT_EQ(RowsOf(*to), RowsOf(*from));
  EXPECT_GE(chunks, 6u);
  EXPECT_LE(chunks, 10u);
}

TEST_P(SnapshotTest, TheViewDoesNotChangeUnderTheReader) {
  const std::unique_ptr<Engine> from = FilledEngine(300);
  const Rows rows = RowsOf(*from);
  SnapshotReader reader(from->NewView());
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotWriter writer(to.get());
  while (!writer.finished()) {
    ASSERT_TRUE(writer.Write(reader.Next(writer.last_key(), 500)).ok());
    WriteBatch batch;
    batch.Put("k" + RandomBytes(12), "later");
    from->Write(batch);
  }
  EXPECT_EQ(RowsOf(*to), rows);
}

// Chunks get lost on the way, arrive twice, and the size changes all the time.
TEST_P(SnapshotTest, GoesOnAfterWhateverArrived) {
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<Engine> from = FilledEngine(random_.Below(500));
    SnapshotReader reader(from->NewView());
    const std::unique_ptr<Engine> to = NewEngine();
    SnapshotWriter writer(to.get());
    std::string ahead;
    while (!writer.finished()) {
      const std::string chunk = reader.Next(writer.last_key(), random_.Between(1, 4000));
      if (random_.OneIn(4)) continue;
      ASSERT_TRUE(writer.Write(chunk).ok());
      if (!random_.OneIn(4)) continue;
      const SnapshotTotals totals = writer.totals();
      EXPECT_EQ(writer.Write(chunk).code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_EQ(writer.totals(), totals);
    }
    EXPECT_EQ(RowsOf(*to), RowsOf(*from));
    EXPECT_EQ(writer.totals().rows, RowsOf(*from).size());
  }
}

// A receiver may crash and start from nothing while the sender keeps its view.
TEST_P(SnapshotTest, OneReaderServesSeveralWriters) {
  const std::unique_ptr<Engine> from = FilledEngine(400);
  SnapshotReader reader(from->NewView());
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<std::unique_ptr<SnapshotWriter>> writers;
  for (int i = 0; i < 3; ++i) {
    engines.push_back(NewEngine());
    writers.push_back(std::make_unique<SnapshotWriter>(engines.back().get()));
  }
  for (int left = 3; left > 0;) {
    SnapshotWriter& writer = *writers[random_.Below(writers.size())];
    if (writer.finished()) continue;
    ASSERT_TRUE(writer.Write(reader.Next(writer.last_key(), random_.Between(1, 4000))).ok());
    left -= writer.finished();
  }
  for (const auto& engine : engines) EXPECT_EQ(RowsOf(*engine), RowsOf(*from));
}

TEST_P(SnapshotTest, RowsNeverHandedOutAreNotSkipped) {
  const std::unique_ptr<Engine> from = FilledEngine(100);
  SnapshotReader reader(from->NewView());
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotWriter writer(to.get());
  ASSERT_TRUE(writer.Write(reader.Next("", 300)).ok());
  ASSERT_FALSE(writer.finished());
  // Whoever asks for what is far ahead gets what comes next.
  while (!writer.finished()) ASSERT_TRUE(writer.Write(reader.Next("\xff\xff", 300)).ok());
  EXPECT_EQ(RowsOf(*to), RowsOf(*from));
}

TEST_P(SnapshotTest, EveryFlippedBitAndEveryCutIsDataLoss) {
  const std::unique_ptr<Engine> from = FilledEngine(12);
  SnapshotReader reader(from->NewView());
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotWriter writer(to.get());
  while (!writer.finished()) {
    const std::string chunk = reader.Next(writer.last_key(), 500);
    const Rows before = RowsOf(*to);
    for (size_t at = 0; at < chunk.size(); ++at) {
      std::string damaged = chunk;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random_.Below(8)));
      ASSERT_EQ(writer.Write(damaged).code(), absl::StatusCode::kDataLoss) << at;
      ASSERT_EQ(writer.Write(chunk.substr(0, at)).code(), absl::StatusCode::kDataLoss) << at;
    }
    ASSERT_EQ(writer.Write(chunk + "x").code(), absl::StatusCode::kDataLoss);
    ASSERT_EQ(RowsOf(*to), before);
    ASSERT_TRUE(writer.Write(chunk).ok());
  }
  EXPECT_EQ(RowsOf(*to), RowsOf(*from));
}

// Chunks that are each whole, but of two views: only the totals tell.
TEST_P(SnapshotTest, ChunksOfAnotherViewAreNotTakenForThisOnes) {
  const std::unique_ptr<Engine> from = NewEngine();
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("b", "1");
  from->Write(batch);
  SnapshotReader first(from->NewView());
  const std::unique_ptr<Engine> to = NewEngine();
  SnapshotWriter writer(to.get());
  ASSERT_TRUE(writer.Write(first.Next("", 1)).ok());
  ASSERT_EQ(writer.last_key(), "a");

  batch.Clear();
  batch.Put("a", "2");
  batch.Put("b", "2");
  from->Write(batch);
  SnapshotReader second(from->NewView());
  (void)second.Next("", 1);
  EXPECT_EQ(writer.Write(second.Next("a", 1)).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(writer.finished());
}

}  // namespace
}  // namespace conclave::kv
