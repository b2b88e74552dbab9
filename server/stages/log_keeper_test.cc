#include "server/stages/log_keeper.h"

#include <gtest/gtest.h>

#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::LogIndex;

class LogKeeperTest : public ::testing::Test {
 protected:
  void Apply(uint64_t index) {
    keeper_.OnApplied(LogIndex(index), 100);
    lane_.RunPosted();
  }

  ManualExecutor lane_;
  std::shared_ptr<kv::Engine> engine_ = std::make_shared<kv::MemoryEngine>();
  std::vector<LogIndex> compacted_;
  LogKeeper keeper_{
      {.entries_max = 10, .bytes_max = 5000}, &lane_, &lane_, &engine_, [this](LogIndex index) {
        compacted_.push_back(index);
      }};
};

TEST_F(LogKeeperTest, LetsTheLogGoUpToWhatIsFlushed) {
  Apply(1);
  Apply(10);
  EXPECT_TRUE(compacted_.empty());
  Apply(11);
  EXPECT_EQ(compacted_, std::vector<LogIndex>{LogIndex(11)});
}

TEST_F(LogKeeperTest, KeepsWhatIsHeldAndLetsItGoAfterwards) {
  Apply(1);
  keeper_.Hold(LogIndex(5));
  EXPECT_TRUE(compacted_.empty());
  Apply(11);
  EXPECT_EQ(compacted_.back(), LogIndex(5));
  keeper_.Hold(LogIndex(7));
  EXPECT_EQ(compacted_.back(), LogIndex(7));
  keeper_.Hold(LogIndex(20));
  EXPECT_EQ(compacted_.back(), LogIndex(11));
  Apply(21);
  EXPECT_EQ(compacted_.back(), LogIndex(20));
  keeper_.Hold(std::nullopt);
  EXPECT_EQ(compacted_.back(), LogIndex(21));
}

TEST_F(LogKeeperTest, FlushesWhatWasRemoved) {
  keeper_.OnRemoved();
  lane_.RunPosted();
  EXPECT_TRUE(compacted_.empty()) << "nothing was applied in this run";
  Apply(1);
  keeper_.OnRemoved();
  EXPECT_TRUE(keeper_.flushing());
  // Deletes that came too late for the flush under way have one of their own.
  keeper_.OnApplied(LogIndex(2), 100);
  keeper_.OnRemoved();
  lane_.RunPosted();
  EXPECT_EQ(compacted_, (std::vector<LogIndex>{LogIndex(1), LogIndex(2)}));
  EXPECT_FALSE(keeper_.flushing());
}

TEST_F(LogKeeperTest, NoFlushHoldsAnEngineThatWasReplaced) {
  Apply(1);
  keeper_.OnApplied(LogIndex(11), 100);  // flushes the old one in the background
  const std::weak_ptr<kv::Engine> old = engine_;
  engine_ = std::make_shared<kv::MemoryEngine>();
  keeper_.OnInstalled(LogIndex(50));
  EXPECT_EQ(compacted_.back(), LogIndex(50));
  lane_.RunPosted();
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(compacted_.back(), LogIndex(50));
  Apply(59);
  EXPECT_EQ(compacted_.back(), LogIndex(50));
  Apply(60);
  EXPECT_EQ(compacted_.back(), LogIndex(60));
}

}  // namespace
}  // namespace conclave::server
