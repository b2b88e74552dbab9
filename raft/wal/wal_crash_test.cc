// The promise of the log, tried at random: whatever was acknowledged is there after any crash, at
// any operation, however the disk keeps or loses what was not synced; and what is there is some
// prefix of what was asked for.
#include <gtest/gtest.h>

#include <utility>

#include "raft/base/random.h"
#include "raft/wal/wal_workload.h"

namespace conclave::raft {
namespace {

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed)
      : random_(seed), world_(random_.OneIn(4) ? 8192 : 1024), workload_(&world_, &random_) {
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
    for (uint64_t steps = random_.Below(60); steps > 0 && !crashed_; --steps) workload_.Step();
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
    ASSERT_TRUE(workload_.Explains(recovered));
    workload_.GoOnFrom(recovered);
  }

  Random random_;
  WalWorld world_;
  WalWorkload workload_;
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
