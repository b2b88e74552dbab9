// The promise of the log, tried at random: whatever was acknowledged is there after any crash, at
// any operation, however the disk keeps or loses what was not synced; and what is there is some
// prefix of what was asked for.
#include <gtest/gtest.h>

#include <algorithm>

#include "raft/base/random.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed) : random_(seed), world_(random_.OneIn(4) ? 8192 : 1024) {
    states_.emplace_back();
    world_.Start();
  }

  void Run(int lives) {
    for (int life = 0; life < lives && !::testing::Test::HasFatalFailure(); ++life) {
      Live();
      Die();
      Recover();
    }
  }

 private:
  void Live() {
    PlanCrash();
    world_.fs.HoldSyncs(random_.OneIn(2));
    world_.fs.HoldBackground(random_.OneIn(4));
    for (uint64_t steps = random_.Below(60); steps > 0 && !crashed_; --steps) Step();
  }

  // Sometimes the power fails in the middle of things, at some operation of the file system.
  void PlanCrash() {
    crashed_ = false;
    if (random_.OneIn(3)) return;
    world_.fs.SetFault([this, left = random_.Below(120)](auto, const std::string&) mutable {
      if (!crashed_ && left-- > 0) return absl::OkStatus();
      if (!std::exchange(crashed_, true)) {
        LosePower();
        world_.fs.HoldSyncs(true);  // what the dead process still asks for waits for ever
        world_.fs.HoldBackground(true);
      }
      return absl::UnavailableError("the power has failed");
    });
  }

  void Step() {
    switch (random_.Below(8)) {
      case 0:
        return AppendHardState();
      case 1:
        return Release();
      case 2:
        world_.fs.ReleaseBackground();
        return world_.lane->RunPosted();
      case 3:
        world_.fs.ReleaseSync();
        return world_.lane->RunPosted();
      default:
        return AppendEntries();
    }
  }

  void Append(const AppendTask& task) {
    states_.push_back(states_.back());
    states_.back().Append(task);
    world_.wal->Append(task, [this, number = states_.size() - 1] { Acknowledge(number); });
  }

  void AppendHardState() {
    term_ += random_.Below(2);
    Append(TaskOf(HardState{Term(term_), NodeId(random_.Below(3))}));
  }

  void AppendEntries() {
    const Model& now = states_.back();
    uint64_t first = now.last_index().value() + 1;
    // A new leader may replace what is not committed: never what is released.
    if (random_.OneIn(6)) {
      ++term_;
      first = random_.Between(now.snapshot_index.value() + 1, first);
    }
    const std::string payload(random_.Below(random_.OneIn(10) ? 1500 : 100), 'p');
    AppendTask task = TaskOf(Entries(first, first + random_.Below(4), term_, payload));
    if (random_.OneIn(3)) task.hard_state = HardState{Term(term_), kNoNode};
    Append(task);
  }

  void Release() {
    // Only what is acknowledged is ever applied, and so released.
    const Model& known = states_[acknowledged_];
    const uint64_t low = states_.back().snapshot_index.value();
    const uint64_t high = std::min(known.last_index(), states_.back().last_index()).value();
    if (high <= low) return;
    const LogStart start{LogIndex(random_.Between(low, high)), Term(term_), ThreeVoters()};
    states_.push_back(states_.back());
    states_.back().Release(start);
    world_.wal->Release(start.index, start.term, start.configuration);
  }

  void Acknowledge(size_t number) {
    EXPECT_GT(number, acknowledged_) << "in order";
    acknowledged_ = number;
  }

  void LosePower() {
    switch (random_.Below(4)) {
      case 0:
        return world_.fs.CrashAndLose();
      case 1:
        return world_.fs.KillProcess();
      case 2:
        return world_.fs.CrashAndKeepBytes(random_.Below(world_.fs.unsynced_bytes() + 1));
      default:
        return world_.fs.CrashAndKeepSome(random_);
    }
  }

  void Die() {
    if (!crashed_) LosePower();
    world_.wal.reset();
    world_.fs.KillProcess();
    world_.fs.SetFault(nullptr);
    world_.fs.HoldSyncs(false);
    world_.fs.HoldBackground(false);
  }

  // Opens the log, now and then with another crash on the way.
  void Recover() {
    absl::Status status;
    do {
      PlanCrash();
      status = world_.Open();
      const bool interrupted = crashed_;
      Die();
      ASSERT_TRUE(status.ok() || interrupted) << status;
    } while (!status.ok());
    ASSERT_TRUE(world_.Open().ok());
    const Model recovered = ModelOf(world_.contents);
    const auto is_recovered = [&](const Model& state) { return state == recovered; };
    const auto from = states_.begin() + static_cast<ptrdiff_t>(acknowledged_);
    const auto found = std::find_if(from, states_.end(), is_recovered);
    ASSERT_NE(found, states_.end())
        << acknowledged_ << " of " << states_.size() - 1 << " acknowledged, "
        << recovered.entries.size() << " entries found after " << recovered.snapshot_index;
    states_ = {recovered};
    acknowledged_ = 0;
  }

  Random random_;
  WalWorld world_;
  std::vector<Model> states_;  // after each task, from what the last recovery found
  size_t acknowledged_ = 0;    // the last of them known to be durable
  uint64_t term_ = 1;
  bool crashed_ = false;
};

TEST(WalCrashTest, AcknowledgedImpliesRecovered) {
  for (uint64_t seed = 1; seed <= 800; ++seed) {
    SCOPED_TRACE(seed);
    CrashRun(seed).Run(12);
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace conclave::raft
