// The log on a real disk, with real threads: what the other tests prove in memory holds there too.
#include <gtest/gtest.h>

#include <latch>

#include "raft/base/posix_executor.h"
#include "raft/base/posix_file_system.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

class WalPosixTest : public ::testing::Test {
 protected:
  WalPosixTest() {
    options_.directory = ::testing::TempDir() + "/conclave_wal_posix";
    options_.cluster_id = 1;
    options_.member = NodeId(1);
    options_.segment_bytes = 64 << 10;
    options_.reserve_bytes = 64 << 10;
    EXPECT_TRUE(fs_->RemoveTree(options_.directory).ok());
    EXPECT_TRUE(Wal::Create(*fs_, options_, ThreeVoters()).ok());
  }
  ~WalPosixTest() override {
    Close();
    EXPECT_TRUE(fs_->RemoveTree(options_.directory).ok());
  }

  void OnLane(absl::AnyInvocable<void()> call) {
    std::latch finished(1);
    lane_.Post([&] {
      call();
      finished.count_down();
    });
    finished.wait();
  }
  // The end of a process: work in the background is over before the next one begins.
  void Close() {
    OnLane([this] { wal_.reset(); });
    fs_ = std::make_unique<PosixFileSystem>();
  }
  void Open() {
    Close();
    OnLane([this] {
      absl::StatusOr<Wal::Opened> opened = Wal::Open(*fs_, options_, &lane_);
      ASSERT_TRUE(opened.ok()) << opened.status();
      wal_ = std::move(opened->wal);
      EXPECT_EQ(ModelOf(opened->contents), model_);
      EXPECT_FALSE(opened->contents.torn_tail);
    });
  }
  // Appends so many entries in tasks of one, without waiting in between, and waits for the last.
  void Append(uint64_t count) {
    std::latch durable(1);
    OnLane([&] {
      for (uint64_t left = count; left > 0; --left) {
        const uint64_t index = model_.last_index().value() + 1;
        const AppendTask task = TaskOf(Entries(index, index, 1, std::string(256, 'x')));
        model_.Append(task);
        wal_->Append(task, [&durable, left] {
          if (left == 1) durable.count_down();
        });
      }
    });
    durable.wait();
  }

  PosixExecutor lane_{"raft"};
  std::unique_ptr<PosixFileSystem> fs_ = std::make_unique<PosixFileSystem>();
  WalOptions options_;
  std::unique_ptr<Wal> wal_;
  Model model_;
};

TEST_F(WalPosixTest, ManySegmentsAreWrittenReleasedRecycledAndReadBack) {
  Open();
  for (int round = 0; round < 4; ++round) {
    Append(1000);
    OnLane([&] {
      const LogStart start{model_.last_index() - 100, Term(1), ThreeVoters()};
      model_.Release(start);
      wal_->Release(start.index, start.term, start.configuration);
    });
    Append(1);
    OnLane([this] {
      const WalStats stats = wal_->Stats();
      EXPECT_LT(stats.syncs, stats.entries / 4) << "one sync serves many";
      EXPECT_GT(stats.last_sync, Duration::zero());
    });
    Open();
  }
  OnLane([this] { EXPECT_LE(wal_->Stats().segments, 5u); });
}

}  // namespace
}  // namespace conclave::raft
