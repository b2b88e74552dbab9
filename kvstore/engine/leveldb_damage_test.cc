// A table that is damaged where opening does not look: whoever reads it ends the process, and the
// next one knows (leveldb_home.h).
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kvstore/engine/leveldb_home.h"
#include "raft/base/check.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"

namespace conclave::kv {
namespace {

constexpr char kHome[] = "data/db";

struct Ended {
  std::string what;
};

class LevelDbDamageTest : public ::testing::Test {
 protected:
  LevelDbDamageTest() {
    SetSimulatedEnd([](bool, std::string_view what) {
      throw Ended{std::string(what)};  // tidy: allow(exceptions) as check.h asks for
    });
    Start();
    live_ = *home_->Open();
    WriteBatch batch;
    for (int i = 0; i < 500; ++i) batch.Put("key" + std::to_string(i), std::string(100, 'v'));
    live_->Write(batch);
    live_->Flush();
    DamageTables();
  }
  ~LevelDbDamageTest() override { SetSimulatedEnd(nullptr); }

  void Start() {
    live_.reset();
    LevelDbOptions options;
    options.drained = true;
    home_ = NewLevelDbHome(&fs_, kHome, options);
  }

  void DamageTables() {
    Start();
    const std::string directory = std::string(kHome) + "/db-1";
    const std::vector<std::string> names = *disk_.List(directory);
    for (const std::string& name : names) {
      if (!name.ends_with(".ldb")) continue;
      auto table = disk_.Open(directory + "/" + name, OpenMode::kMustExist);
      ASSERT_TRUE((*table)->WriteAt(1000, "damage").ok());
    }
  }

  // What ended the process; empty if nothing did.
  template <typename Read>
  static std::string EndOf(const Read& read) {
    try {
      read();
    } catch (const Ended& ended) {  // tidy: allow(exceptions) likewise
      return ended.what;
    }
    return {};
  }
  void ExpectKnownToTheNextRun() {
    Start();
    EXPECT_TRUE(absl::IsDataLoss(home_->Open().status()));
    EXPECT_TRUE(home_->damaged());
  }

  // By another engine, also in the runs after that.
  void ExpectSoundOnceReplaced() {
    std::unique_ptr<Engine> incoming = *home_->StartIncoming();
    incoming->Flush();
    incoming.reset();
    ASSERT_TRUE(home_->Adopt().ok());
    ASSERT_TRUE(home_->RemoveOld().ok());
    Start();
    EXPECT_TRUE(home_->Open().ok());
    EXPECT_FALSE(home_->damaged());
  }

  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<EngineHome> home_;
  std::unique_ptr<Engine> live_;
};

TEST_F(LevelDbDamageTest, ReadingItEndsTheProcessAndIsRemembered) {
  live_ = *home_->Open();
  EXPECT_FALSE(home_->damaged());
  const std::string end = EndOf([&] { live_->Get("key0"); });
  EXPECT_TRUE(end.starts_with("storage engine: read: Corruption")) << end;
  ExpectKnownToTheNextRun();
}

using LevelDbDamageDeathTest = LevelDbDamageTest;

// LevelDB passes over a block that it cannot read, as if its keys were not there.
TEST_F(LevelDbDamageDeathTest, SoDoesScanningItToItsEndOrNot) {
  // All in the process that dies, for this one must have no threads then.
  const auto scan = [&](std::string_view end) {
    SetSimulatedEnd(nullptr);
    live_ = *home_->Open();
    const std::unique_ptr<Iterator> it = live_->NewIterator();
    for (it->Seek(""); it->Valid() && it->key() < end; it->Next()) continue;
  };
  EXPECT_EXIT(scan("z"), ::testing::ExitedWithCode(1), "scan: Corruption");
  EXPECT_EXIT(scan("key9"), ::testing::ExitedWithCode(1), "scan: Corruption");
}

TEST_F(LevelDbDamageTest, TheMarkIsOfThatEngineOnly) {
  live_ = *home_->Open();
  EndOf([&] { live_->Get("key0"); });
  ExpectKnownToTheNextRun();
  ExpectSoundOnceReplaced();
}

TEST_F(LevelDbDamageTest, AMarkThatCannotBeReadMayMeanAnyEngine) {
  auto mark = disk_.Open(std::string(kHome) + "/db-damaged", OpenMode::kCreateOrKeep);
  ASSERT_TRUE(mark.ok() && (*mark)->WriteAt(0, "x").ok());
  ExpectKnownToTheNextRun();
  ExpectSoundOnceReplaced();
}

}  // namespace
}  // namespace conclave::kv
