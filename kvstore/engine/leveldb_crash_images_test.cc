// Every image of the disk that a crash could leave of LevelDB, or nearly: before each operation
// that changes the disk, in flushes, compactions and openings, the state of that moment is taken,
// what is unsynced is lost, kept or torn in several ways, and the engine is opened on it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/engine/leveldb_engine.h"
#include "kvstore/engine/memory_engine.h"
#include "raft/base/crash_images.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

constexpr char kAppliedKey[] = "applied";
constexpr int kTornImages = 3;  // of each moment, beside the two extremes

LevelDbOptions SmallAndDrained() {
  LevelDbOptions options;
  options.write_buffer_bytes = 64 << 10;  // so that tables and compactions happen in a test
  options.drained = true;                 // so that it is the same every time
  options.history_from = "r";
  return options;
}

// How many batches the engine says that it holds.
uint64_t AppliedOf(const EngineView& view) {
  return std::stoull(view.Get(kAppliedKey).value_or("0"));
}

// The history entry of a batch; those of batches that are older than the kept ones are deleted.
constexpr uint64_t kKeptHistory = 100;
std::string HistoryKeyOf(uint64_t batch) { return fmt::format("r{:08}", batch); }

// `found` is `expected`, but for history of batches after the `applied` ones: it holds the first of
// those, or none, as they were written.
::testing::AssertionResult HoldTheSame(const EngineView& found, const EngineView& expected,
                                       uint64_t applied, const EngineView& newest) {
  const std::unique_ptr<Iterator> a = found.NewIterator();
  const std::unique_ptr<Iterator> b = expected.NewIterator();
  a->Seek("");
  b->Seek("");
  for (; a->Valid() && b->Valid(); a->Next(), b->Next()) {
    if (a->key() != b->key() || a->value() != b->value()) {
      return ::testing::AssertionFailure() << "they differ at " << a->key() << ", " << b->key();
    }
  }
  if (b->Valid()) return ::testing::AssertionFailure() << "there is no " << b->key();
  for (uint64_t next = applied + 1; a->Valid(); a->Next(), ++next) {
    if (a->key() != HistoryKeyOf(next) || newest.Get(a->key()) != a->value()) {
      return ::testing::AssertionFailure() << "there is also " << a->key();
    }
  }
  return ::testing::AssertionSuccess();
}

class ImageRun {
 public:
  explicit ImageRun(uint64_t seed) : random_(seed), image_random_(Random(seed).Stream("images")) {
    states_.push_back(model_.NewView());
  }

  void Run(int lives) {
    // Called on LevelDB's thread as well, while the test waits for it.
    disk_.SetFault([this](MemoryFileSystem::Operation operation, const std::string&) {
      if (MemoryFileSystem::Mutates(operation)) TryCrashes();
      return absl::OkStatus();
    });
    for (int life = 0; life < lives && !::testing::Test::HasFailure(); ++life) {
      auto opened = OpenLevelDbEngine(&locked_, "db", SmallAndDrained());
      ASSERT_TRUE(opened.ok()) << opened.status();
      engine_ = *std::move(opened);
      Live();
      End();
    }
  }

  int images() const { return images_; }

 private:
  void Live() {
    CatchUp();
    for (uint64_t batches = random_.Between(50, 300); batches > 0; --batches) {
      Write(NextBatch());
      if (!random_.OneIn(60)) continue;
      engine_->Flush();
      flushed_ = states_.size() - 1;
    }
  }

  void End() {
    engine_.reset();
    random_.OneIn(2) ? disk_.CrashAndKeepSome(random_) : disk_.KillProcess();
  }

  // What the last end has taken is applied again, as from the log.
  void CatchUp() {
    const std::unique_ptr<EngineView> view = engine_->NewView();
    const uint64_t held = AppliedOf(*view);
    ASSERT_GE(held, flushed_);
    WriteBatch unapplied;
    const std::unique_ptr<Iterator> it = view->NewIterator();
    for (it->Seek(HistoryKeyOf(held + 1)); it->Valid(); it->Next()) unapplied.Delete(it->key());
    engine_->Write(unapplied);
    for (uint64_t next = held; next < batches_.size(); ++next) engine_->Write(batches_[next]);
  }

  // Number, history, and puts and deletes over so few keys that compactions have much to drop.
  WriteBatch NextBatch() {
    WriteBatch batch;
    const uint64_t number = states_.size();
    batch.Put(kAppliedKey, std::to_string(number));
    batch.Put(HistoryKeyOf(number), std::string(random_.Below(500), 'h'));
    if (number > kKeptHistory) batch.Delete(HistoryKeyOf(number - kKeptHistory));
    for (uint64_t operations = random_.Between(1, 4); operations > 0; --operations) {
      const std::string key = "key" + std::to_string(random_.Below(40));
      if (random_.OneIn(4)) {
        batch.Delete(key);
      } else {
        batch.Put(key,
                  std::string(random_.Below(2000), static_cast<char>('a' + random_.Below(26))));
      }
    }
    return batch;
  }

  void Write(const WriteBatch& batch) {
    batches_.push_back(batch);
    model_.Write(batch);
    states_.push_back(model_.NewView());
    engine_->Write(batch);
  }

  void TryCrashes() {
    if (::testing::Test::HasFailure()) return;
    ForEachCrashImage(disk_, kTornImages, image_random_,
                      [this](MemoryFileSystem& image) { CheckImage(image); });
  }

  void CheckImage(MemoryFileSystem& image) {
    ++images_;
    LockedFileSystem locked(&image);
    auto opened = OpenLevelDbEngine(&locked, "db", SmallAndDrained());
    ASSERT_TRUE(opened.ok()) << "image " << images_ << ": " << opened.status();
    const std::unique_ptr<EngineView> view = (*opened)->NewView();
    const uint64_t applied = AppliedOf(*view);
    ASSERT_GE(applied, flushed_) << "image " << images_;
    ASSERT_LT(applied, states_.size()) << "image " << images_;
    ASSERT_TRUE(HoldTheSame(*view, *states_[applied], applied, *states_.back()))
        << "image " << images_;
  }

  Random random_;
  Random image_random_;
  MemoryFileSystem disk_;
  LockedFileSystem locked_{&disk_};
  std::unique_ptr<Engine> engine_;
  MemoryEngine model_;
  std::vector<WriteBatch> batches_;
  std::vector<std::unique_ptr<EngineView>> states_;  // after so many batches
  uint64_t flushed_ = 0;                             // so many batches are durable for certain
  int images_ = 0;
};

TEST(LevelDbCrashImagesTest, EveryImageOpensWithAPrefixOfTheBatchesAndAllThatWasFlushed) {
  int images = 0;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    ImageRun run(seed);
    run.Run(6);
    ASSERT_FALSE(HasFailure());
    images += run.images();
  }
  RecordProperty("images", images);
  EXPECT_GE(images, 5'000);
  std::printf("%d images of LevelDB were opened\n", images);
}

}  // namespace
}  // namespace conclave::kv
