// What the log reads back after damage is what damage may have left, on logs of every history; and
// whatever takes more, or makes up something, is told from it.
#include "jepsen-style-tests/sim/damaged_log.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/base/manual_executor.h"
#include "raft/base/random.h"
#include "raft/wal/wal_stored_log.h"

namespace conclave::sim {
namespace {

using raft::Disk;
using raft::StoredLog;

raft::WalOptions OptionsOf() { return raft::WalWorld(512).options; }

std::optional<Disk> Read(MemoryFileSystem& disk) {
  ManualExecutor lane;
  const auto opened = raft::Wal::Open(disk, OptionsOf(), &lane);
  EXPECT_TRUE(opened.ok() || absl::IsDataLoss(opened.status())) << opened.status();
  if (!opened.ok()) return std::nullopt;
  return DiskOf(opened->contents);
}

// A damaged copy of a log.
struct Damaged {
  std::unique_ptr<MemoryFileSystem> disk;
  std::optional<DamagedLog> damage;
  Disk whole;
};

// Of the byte, or nothing if the log cannot tell, or cannot be read as it is.
std::optional<Damaged> Flip(StoredLog& log, uint64_t segment, uint64_t offset) {
  if (!log.LeavesTrace(segment, offset + 1)) return std::nullopt;
  const std::optional<Disk> whole = Read(*log.Image());
  if (!whole) return std::nullopt;
  Damaged result{.disk = log.Image(), .damage = {}, .whole = *whole};
  result.disk->FlipBits(log.path(segment), offset, 0x11);
  result.damage = FindDamage(log.Image(), *result.disk, OptionsOf());
  return result;
}

struct Counts {
  int whole = 0;
  int less = 0;
  int refused = 0;
};

void Judge(Damaged damaged, Counts& counts) {
  const std::optional<Disk> found = Read(*damaged.disk);
  const std::optional<DamagedLog>& damage = damaged.damage;
  if (!found) {
    ++counts.refused;
    ASSERT_TRUE(damage.has_value());
    EXPECT_TRUE(!damage->start_told || damage->damaged_before);
    return;
  }
  if (!damage) {
    EXPECT_EQ(found->entries, damaged.whole.entries) << "nothing was touched";
    return;
  }
  ASSERT_TRUE(damage->MayLeave(*found, damaged.whole));
  const bool whole = found->last_index() == damaged.whole.last_index();
  ++(whole ? counts.whole : counts.less);
  if (whole || found->entries.empty() || damage->damaged_before) return;
  Disk other = *found;
  other.entries.pop_back();
  EXPECT_FALSE(damage->MayLeave(other, damaged.whole)) << "more is missing than was touched";
  other = *found;
  other.entries.back().payload = Bytes::Copy("made up");
  if (found->last_index() <= damaged.whole.start.index) return;
  EXPECT_FALSE(damage->MayLeave(other, damaged.whole)) << "another entry";
}

TEST(DamagedLogTest, EveryByteOfALogThatWasReplacedReleasedOrReset) {
  Counts counts;
  for (const auto fill :
       {raft::FillPlain, raft::FillReplaced, raft::FillReleased, raft::FillReset}) {
    StoredLog log;
    fill(log);
    for (const uint64_t segment : log.segments()) {
      const size_t size = log.Image()->Contents(log.path(segment)).size();
      for (uint64_t offset = 0; offset < size; offset += 3) {
        SCOPED_TRACE(testing::Message() << "segment " << segment << " offset " << offset);
        std::optional<Damaged> damaged = Flip(log, segment, offset);
        if (damaged) Judge(*std::move(damaged), counts);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(counts.whole, 50);
  EXPECT_GT(counts.less, 200);
}

TEST(DamagedLogTest, AnyLogWithAnyDamage) {
  Counts counts;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    StoredLog log;
    raft::FillAtRandom(log, random);
    const std::vector<uint64_t> segments = log.segments();
    const uint64_t segment = segments[random.Below(segments.size())];
    const uint64_t offset = random.Below(log.Image()->Contents(log.path(segment)).size());
    std::optional<Damaged> damaged = Flip(log, segment, offset);
    if (damaged) Judge(*std::move(damaged), counts);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(counts.whole, 20);
  EXPECT_GT(counts.less, 50);
}

}  // namespace
}  // namespace conclave::sim
