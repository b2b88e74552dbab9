// Every image of the disk that a crash could leave, or nearly: before each operation that changes
// the disk, the state of that moment is taken, what is unsynced is lost, kept or torn in several
// ways, and the log is opened on it.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "raft/base/crash_images.h"
#include "raft/base/random.h"
#include "raft/wal/wal_workload.h"

namespace conclave::raft {
namespace {

constexpr int kTornImages = 4;  // of each moment, beside the two extremes

class ImageRun {
 public:
  explicit ImageRun(uint64_t seed)
      : random_(seed),
        image_random_(Random(seed).Stream("images")),
        world_(random_.OneIn(2) ? 4096 : 1024),
        workload_(&world_, &random_) {}

  void Run(int lives) {
    world_.fs.SetFault([this](MemoryFileSystem::Operation operation, const std::string&) {
      if (MemoryFileSystem::Mutates(operation)) TryCrashes();
      return absl::OkStatus();
    });
    world_.Start();
    created_ = true;
    for (int life = 0; life < lives && !::testing::Test::HasFailure(); ++life) {
      Live();
      Reopen();
    }
  }

  int images() const { return images_; }

 private:
  void Live() {
    world_.fs.HoldSyncs(random_.OneIn(2));
    world_.fs.HoldBackground(random_.OneIn(4));
    for (uint64_t steps = random_.Below(60); steps > 0; --steps) workload_.Step();
    world_.fs.HoldSyncs(false);
    world_.fs.HoldBackground(false);
  }

  // Another process, after a crash or not.
  void Reopen() {
    random_.OneIn(2) ? world_.fs.CrashAndKeepSome(random_) : world_.fs.KillProcess();
    ASSERT_TRUE(world_.Open().ok());
    const Model recovered = ModelOf(world_.contents);
    ASSERT_TRUE(workload_.Explains(recovered));
    workload_.GoOnFrom(recovered);
  }

  void TryCrashes() {
    if (::testing::Test::HasFailure()) return;
    ForEachCrashImage(world_.fs, kTornImages, image_random_,
                      [this](MemoryFileSystem& image) { CheckImage(image); });
  }

  void CheckImage(MemoryFileSystem& image) {
    ++images_;
    if (!created_ && !Wal::Exists(image, world_.options)) return;
    ManualExecutor lane;
    absl::StatusOr<Wal::Opened> opened = Wal::Open(image, world_.options, &lane);
    ASSERT_TRUE(opened.ok()) << "image " << images_ << ": " << opened.status();
    Model model = ModelOf(opened->contents);
    ASSERT_TRUE(workload_.Explains(model)) << "image " << images_;
    if (image_random_.OneIn(8)) GoOn(image, lane, *opened->wal, model);
  }

  // What was cut off must stay away: the log goes on from the image, and a crash takes nothing of
  // that.
  void GoOn(MemoryFileSystem& image, ManualExecutor& lane, Wal& wal, Model& model) {
    for (uint64_t writes = image_random_.Between(1, 4); writes > 0; --writes) {
      const uint64_t next = model.last_index().value() + 1;
      AppendTask task = TaskOf(Entries(next, next, kTermAfterCrash, "after the crash"));
      model.Append(task);
      bool durable = false;
      wal.Append(task, [&] { durable = true; });
      lane.RunPosted();
      ASSERT_TRUE(durable) << "image " << images_;
    }
    image.CrashAndKeepSome(image_random_);
    const absl::StatusOr<Wal::Opened> again = Wal::Open(image, world_.options, &lane);
    ASSERT_TRUE(again.ok()) << "image " << images_ << ": " << again.status();
    ASSERT_EQ(ModelOf(again->contents), model) << "image " << images_;
  }

  static constexpr uint64_t kTermAfterCrash = 1'000'000;

  Random random_;
  Random image_random_;
  WalWorld world_;
  WalWorkload workload_;
  bool created_ = false;
  int images_ = 0;
};

TEST(WalCrashImagesTest, EveryImageOpensWithAllThatWasAcknowledged) {
  int images = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    ImageRun run(seed);
    run.Run(20);
    ASSERT_FALSE(HasFailure());
    images += run.images();
  }
  RecordProperty("images", images);
  EXPECT_GE(images, 15'000);
  std::printf("%d images of the log were opened\n", images);
}

}  // namespace
}  // namespace conclave::raft
