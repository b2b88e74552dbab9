// LevelDB on a simulated disk, drained: what reaches the disk is a function of the calls, whenever
// and however the process ends.

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "jepsen-style-tests/sim/sim_disk.h"
#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/locked_file_system.h"

namespace conclave::sim {
namespace {

// A member's life with LevelDB: writes, reads, flushes, and ends of the process of every kind.
class LevelDbLife {
 public:
  explicit LevelDbLife(uint64_t seed) : random_(seed), disk_(seed, {}) {
    options_.write_buffer_bytes = 64 << 10;
    options_.drained = true;
    Open();
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      if (disk_.fuse_blown()) End();
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

  uint64_t trace() const { return disk_.trace(); }
  int fuses() const { return fuses_; }
  int ends() const { return ends_; }
  int kept() const { return kept_; }

 private:
  void Open() {
    auto opened = kv::OpenLevelDbEngine(&locked_, "db", options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
    number_ = std::stoi(engine_->Get("number").value_or("0"));
    kept_ += number_ > 0;
    // A crash keeps a prefix of the batches, and each is whole.
    if (number_ > 0) {
      ASSERT_TRUE(engine_->Get(KeyOf(number_)).has_value());
    }
    if (!random_.OneIn(3)) disk_.CrashAfter(random_.Below(200));
  }

  static std::string KeyOf(int number) { return "key" + std::to_string(number * 7919 % 500); }

  void Step() {
    switch (random_.Below(40)) {
      case 0:
        return engine_->Flush();
      case 1:
        if (random_.OneIn(10)) engine_->Reclaim("key1", "key4");
        return;
      case 2:
        if (random_.OneIn(30)) End();
        return;
      case 3:
        return Scan();
      case 4:
        (void)engine_->Get(KeyOf(static_cast<int>(random_.Below(1000))));
        return;
      default:
        return Write();
    }
  }

  void Write() {
    ++number_;
    kv::WriteBatch batch;
    batch.Put("number", std::to_string(number_));
    batch.Put(KeyOf(number_), std::string(random_.Below(3000), 'v'));
    engine_->Write(batch);
  }

  void Scan() {
    const std::unique_ptr<kv::EngineView> view = engine_->NewView();
    Write();
    const std::unique_ptr<kv::Iterator> it = view->NewIterator();
    for (it->SeekForPrev("key3"); it->Valid() && !random_.OneIn(50);) it->Next();
  }

  void End() {
    ++ends_;
    fuses_ += disk_.fuse_blown();
    engine_.reset();
    random_.OneIn(3) ? disk_.Kill() : disk_.Crash(random_);
    Open();
  }

  Random random_;
  SimDisk disk_;
  LockedFileSystem locked_{&disk_};
  kv::LevelDbOptions options_;
  std::unique_ptr<kv::Engine> engine_;
  int number_ = 0;  // of the latest batch
  int ends_ = 0;
  int fuses_ = 0;
  int kept_ = 0;
};

TEST(LevelDbOnSimDiskTest, TheSameSeedIsTheSameDisk) {
  int fuses = 0;
  int ends = 0;
  int kept = 0;
  std::set<uint64_t> traces;
  constexpr uint64_t kLives = 15;
  for (uint64_t seed = 1; seed <= kLives; ++seed) {
    LevelDbLife one(seed);
    LevelDbLife two(seed);
    one.Run(4000);
    two.Run(4000);
    ASSERT_FALSE(HasFailure()) << seed;
    ASSERT_EQ(one.trace(), two.trace()) << seed;
    traces.insert(one.trace());
    fuses += one.fuses();
    ends += one.ends();
    kept += one.kept();
  }
  EXPECT_EQ(traces.size(), kLives);
  EXPECT_GT(fuses, 50) << "of " << ends << " ends";
  EXPECT_GT(ends - fuses, 20);
  EXPECT_GT(kept, 50);
}

}  // namespace
}  // namespace conclave::sim
