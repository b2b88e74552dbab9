#include "kvstore/engine/leveldb_manifest.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

// The manifest of a database, as LevelDB wrote it, and where its records ended after each flush.
class LevelDbManifestTest : public ::testing::Test {
 protected:
  LevelDbManifestTest() {
    LevelDbOptions options;
    options.drained = true;
    engine_ = *OpenLevelDbEngine(&fs_, "db", options);
    path_ = ManifestPath();
    Random random(1);
    // Keys so long that a record of the manifest, which names the first and last of a table, covers
    // several sectors, and so many that the manifest covers several blocks.
    for (int i = 0; i < 60; ++i) {
      ends_.push_back(disk_.Contents(path_).size());
      WriteBatch batch;
      batch.Put(std::string(random.Between(1, 2000), 'k') + std::to_string(i), "value");
      engine_->Write(batch);
      engine_->Flush();
    }
    manifest_ = disk_.Contents(path_);
    ends_.push_back(manifest_.size());
  }

  std::string ManifestPath() {
    const std::vector<std::string> names = *disk_.List("db");
    for (const std::string& name : names) {
      if (name.starts_with("MANIFEST-")) return "db/" + name;
    }
    return "none";
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<Engine> engine_;
  std::string path_;
  std::string manifest_;
  std::vector<uint64_t> ends_;
};

TEST_F(LevelDbManifestTest, AWholeManifestCountsWhole) {
  EXPECT_GT(manifest_.size(), 65'536u) << "several blocks";
  for (const uint64_t end : ends_) {
    EXPECT_EQ(EndOfManifest(std::string_view(manifest_).substr(0, end)), end);
  }
  EXPECT_EQ(EndOfManifest(""), 0u);
}

// The last record is whatever one of the flushes wrote, with some of its sectors zero or old.
TEST_F(LevelDbManifestTest, ATornLastRecordDoesNotCount) {
  Random random(2);
  int torn = 0;
  for (int i = 0; i < 2000; ++i) {
    const size_t record = random.Between(1, ends_.size() - 1);
    const uint64_t begin = ends_[record - 1];
    std::string image = manifest_.substr(0, ends_[record]);
    for (uint64_t at = begin; at < image.size(); at = (at / 512 + 1) * 512) {
      const uint64_t end = std::min<uint64_t>((at / 512 + 1) * 512, image.size());
      if (random.OneIn(2)) image.replace(at, end - at, end - at, '\0');
    }
    if (image == manifest_.substr(0, image.size())) continue;
    ++torn;
    // A flush may write a record for the compaction that it causes as well.
    EXPECT_LT(EndOfManifest(image), image.size());
    EXPECT_GE(EndOfManifest(image), begin);
  }
  EXPECT_GT(torn, 500);
}

TEST_F(LevelDbManifestTest, DamageBeforeTheLastRecordIsLeftToLevelDb) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string image = manifest_;
    image[random.Below(ends_[ends_.size() - 4])] ^= static_cast<char>(1 << random.Below(8));
    // Between blocks nobody looks.
    const uint64_t end = EndOfManifest(image);
    EXPECT_EQ(end, image.size());
  }
}

TEST_F(LevelDbManifestTest, DamageInTheMiddleIsDataLoss) {
  engine_.reset();
  disk_.KillProcess();
  disk_.FlipBits(path_, manifest_.size() / 2, 0x10);
  EXPECT_EQ(OpenLevelDbEngine(&fs_, "db", {}).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace conclave::kv
