// Damage at rest, as the log meets it: always found, and never on more than a minority.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "jepsen-style-tests/sim/fault_atlas.h"
#include "jepsen-style-tests/sim/sim_disk.h"
#include "raft/base/manual_executor.h"
#include "raft/wal/wal.h"

namespace conclave::sim {
namespace {

TEST(FaultAtlasTest, AMinorityMayBeDamaged) {
  for (size_t members = 0; members <= 9; ++members) {
    std::vector<size_t> times(members, 0);
    for (uint64_t seed = 0; seed < 200; ++seed) {
      Random random(seed);
      const FaultAtlas atlas(members, random);
      size_t damaged = 0;
      for (size_t member = 0; member < members; ++member) {
        damaged += atlas.MayDamage(member);
        times[member] += atlas.MayDamage(member);
      }
      EXPECT_EQ(damaged, members == 0 ? 0 : (members - 1) / 2);
      EXPECT_FALSE(atlas.MayDamage(members));
    }
    if (members < 3) continue;
    for (const size_t count : times) EXPECT_GT(count, 20u) << "it is not always the same";
  }
}

// A log on a disk, with enough in it for several segments.
class LoggedDisk {
 public:
  LoggedDisk(uint64_t seed, const FaultAtlas* atlas, size_t member)
      : disk(seed, {}, atlas, member), random_(seed) {
    options_ = {.directory = "wal",
                .cluster_id = 7,
                .member = raft::NodeId(9),
                .segment_bytes = 4096,
                .reserve_bytes = 4096};
    EXPECT_TRUE(raft::Wal::Create(disk, options_, {{raft::NodeId(9)}, {}, {}}).ok());
    Fill();
    disk.Crash(random_);
  }

  bool IsWhole() {
    ManualExecutor lane;
    const auto opened = raft::Wal::Open(disk, options_, &lane);
    EXPECT_TRUE(opened.ok() || absl::IsDataLoss(opened.status())) << opened.status();
    return opened.ok() && opened->contents.damage.empty();
  }

  SimDisk disk;

 private:
  void Fill() {
    ManualExecutor lane;
    auto opened = raft::Wal::Open(disk, options_, &lane);
    ASSERT_TRUE(opened.ok());
    raft::LogIndex index(0);
    for (uint64_t writes = random_.Between(5, 60); writes > 0; --writes) {
      raft::AppendTask task;
      for (uint64_t entries = random_.Between(1, 4); entries > 0; --entries) {
        index = index.Next();
        const std::string payload(random_.Below(random_.OneIn(4) ? 900 : 60), 'p');
        task.entries.push_back(
            {raft::Term(1), index, raft::EntryKind::kCommand, Bytes::Copy(payload)});
      }
      opened->wal->Append(task, [] {});
      // The last writes may be torn.
      if (writes > 1) lane.Advance(Milliseconds(random_.OneIn(2) ? 0 : 1));
    }
  }

  raft::WalOptions options_;
  Random random_;
};

class DiskDamageTest : public ::testing::Test {
 protected:
  static FaultAtlas AtlasOfThree() {
    Random random(1);
    return FaultAtlas(3, random);
  }
  // The member that `atlas` lets be damaged.
  size_t damaged() const {
    size_t member = 0;
    while (!atlas_.MayDamage(member)) ++member;
    return member;
  }

  const FaultAtlas atlas_ = AtlasOfThree();
};

TEST_F(DiskDamageTest, RotIsAlwaysFound) {
  int rotten = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    LoggedDisk log(seed, &atlas_, damaged());
    Random random(seed);
    if (!log.disk.Rot("wal", random)) continue;
    ++rotten;
    if (random.OneIn(3)) log.disk.Rot("wal", random);
    ASSERT_FALSE(log.IsWhole()) << "seed " << seed;
  }
  EXPECT_GT(rotten, 900);
}

TEST_F(DiskDamageTest, AMisdirectedWriteIsAlwaysFound) {
  int misdirected = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    LoggedDisk log(seed, &atlas_, damaged());
    Random random(seed);
    if (!log.disk.Misdirect("wal", random)) continue;
    ++misdirected;
    ASSERT_FALSE(log.IsWhole()) << "seed " << seed;
  }
  EXPECT_GT(misdirected, 200);
}

TEST_F(DiskDamageTest, OnlyWhereTheAtlasAllows) {
  const size_t spared = damaged() == 0 ? 1 : 0;
  for (const FaultAtlas* atlas : {&atlas_, static_cast<const FaultAtlas*>(nullptr)}) {
    LoggedDisk log(1, atlas, spared);
    const uint64_t before = log.disk.trace();
    Random random(1);
    for (int i = 0; i < 50; ++i) {
      EXPECT_FALSE(log.disk.Rot("wal", random));
      EXPECT_FALSE(log.disk.Misdirect("wal", random));
    }
    EXPECT_EQ(log.disk.trace(), before);
    EXPECT_TRUE(log.IsWhole());
  }
}

TEST_F(DiskDamageTest, NothingToDamageIsNoDamage) {
  SimDisk disk(1, {}, &atlas_, damaged());
  Random random(1);
  EXPECT_FALSE(disk.Rot("wal", random));
  EXPECT_FALSE(disk.Misdirect("wal", random));
}

}  // namespace
}  // namespace conclave::sim
