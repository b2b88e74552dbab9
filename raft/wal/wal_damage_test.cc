// Damage of every kind at every place of several logs. Whatever the disk makes of them, a reading
// says the truth: all of it, all but an unfinished write, what is left and that the rest is lost,
// or nothing at all. No answer is ever a fifth thing, and each of the four is given often.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <map>

#include "raft/base/random.h"
#include "raft/wal/wal_stored_log.h"

namespace conclave::raft {
namespace {

struct Recipe {
  const char* name;
  void (*fill)(StoredLog&);
};

class WalDamageTest : public ::testing::TestWithParam<Recipe> {
 protected:
  WalDamageTest() { GetParam().fill(log_); }

  std::string ContentOf(uint64_t segment) { return log_.Image()->Contents(log_.path(segment)); }

  // One reading of a copy that `damage` was done to.
  void Try(const std::function<void(MemoryFileSystem&)>& damage) {
    const std::unique_ptr<MemoryFileSystem> image = log_.Image();
    damage(*image);
    const Verdict verdict = log_.Judge(*image);
    ++verdicts_[verdict];
    EXPECT_NE(verdict, Verdict::kWrong) << log_.why();
  }
  void ExpectEach(std::map<Verdict, int> at_least) {
    std::printf("%s: %d exact, %d torn, %d incomplete, %d refused\n", GetParam().name,
                verdicts_[Verdict::kExact], verdicts_[Verdict::kTornTail],
                verdicts_[Verdict::kIncomplete], verdicts_[Verdict::kRefused]);
    for (const auto& [verdict, count] : at_least) {
      EXPECT_GE(verdicts_[verdict], count) << static_cast<int>(verdict);
    }
  }

  StoredLog log_;
  std::map<Verdict, int> verdicts_;
};

TEST_P(WalDamageTest, EveryFlippedByte) {
  Random random(7);
  for (const uint64_t segment : log_.segments()) {
    for (uint64_t offset = 0; offset < ContentOf(segment).size(); ++offset) {
      SCOPED_TRACE(::testing::Message() << "segment " << segment << " offset " << offset);
      const auto mask = static_cast<uint8_t>(random.Between(1, 255));
      Try([&](MemoryFileSystem& image) { image.FlipBits(log_.path(segment), offset, mask); });
      ASSERT_FALSE(HasFailure());
    }
  }
  ExpectEach({{Verdict::kExact, 500}, {Verdict::kTornTail, 30}, {Verdict::kIncomplete, 200}});
}

TEST_P(WalDamageTest, EveryFileCutAtEveryByte) {
  for (const uint64_t segment : log_.segments()) {
    for (uint64_t size = 0; size < ContentOf(segment).size(); ++size) {
      SCOPED_TRACE(::testing::Message() << "segment " << segment << " cut at " << size);
      Try([&](MemoryFileSystem& image) {
        const auto file = image.Open(log_.path(segment), OpenMode::kMustExist);
        ASSERT_TRUE((*file)->Truncate(size).ok());
        ASSERT_TRUE((*file)->Sync().ok());
      });
      ASSERT_FALSE(HasFailure());
    }
  }
  ExpectEach({{Verdict::kExact, 100}, {Verdict::kIncomplete, 200}, {Verdict::kRefused, 200}});
}

// A run that takes a durable record and all after it cannot be told from one that was never there.
TEST_P(WalDamageTest, EveryRunOfBytesZeroed) {
  for (const uint64_t segment : log_.segments()) {
    const std::string content = ContentOf(segment);
    for (const size_t length : {8, 100, 512}) {
      for (uint64_t offset = 0; offset < content.size(); offset += 8) {
        SCOPED_TRACE(::testing::Message()
                     << "segment " << segment << ": " << length << " at " << offset);
        const std::string zeros(std::min<size_t>(length, content.size() - offset), '\0');
        if (!log_.LeavesTrace(segment, offset + zeros.size()) &&
            log_.LeavesTrace(segment, offset + 1)) {
          continue;
        }
        Try([&](MemoryFileSystem& image) { image.Damage(log_.path(segment), offset, zeros); });
        ASSERT_FALSE(HasFailure());
      }
    }
  }
  ExpectEach({{Verdict::kTornTail, 10}, {Verdict::kIncomplete, 100}});
}

TEST_P(WalDamageTest, EveryMissingSegment) {
  const std::vector<uint64_t> segments = log_.segments();
  ASSERT_GE(segments.size(), 4u);
  for (const uint64_t segment : segments) {
    SCOPED_TRACE(segment);
    Try([&](MemoryFileSystem& image) { ASSERT_TRUE(image.Remove(log_.path(segment)).ok()); });
  }
  ExpectEach({{Verdict::kIncomplete, 2}});
}

TEST_P(WalDamageTest, ManyDamagesAtOnce) {
  Random random(11);
  const std::vector<uint64_t> segments = log_.segments();
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE(round);
    Try([&](MemoryFileSystem& image) {
      for (uint64_t damages = random.Between(2, 5); damages > 0; --damages) {
        const uint64_t segment = segments[random.Below(segments.size())];
        const uint64_t offset = random.Below(ContentOf(segment).size());
        if (!log_.LeavesTrace(segment, offset + 1)) continue;
        image.FlipBits(log_.path(segment), offset, static_cast<uint8_t>(random.Between(1, 255)));
      }
    });
    ASSERT_FALSE(HasFailure());
  }
  ExpectEach({{Verdict::kIncomplete, 500}});
}

TEST(WalDamagedLivesTest, AnyLogWithAnyDamage) {
  std::map<Verdict, int> verdicts;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    StoredLog log(random.OneIn(2) ? 512 : 1024);
    FillAtRandom(log, random);
    const std::vector<uint64_t> segments = log.segments();
    for (int round = 0; round < 40; ++round) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " round " << round);
      const std::unique_ptr<MemoryFileSystem> image = log.Image();
      for (uint64_t damages = random.Between(1, 3); damages > 0; --damages) {
        const uint64_t segment = segments[random.Below(segments.size())];
        const uint64_t offset = random.Below(image->Contents(log.path(segment)).size());
        if (!log.LeavesTrace(segment, offset + 1)) continue;
        image->FlipBits(log.path(segment), offset, static_cast<uint8_t>(random.Between(1, 255)));
      }
      const Verdict verdict = log.Judge(*image);
      ++verdicts[verdict];
      ASSERT_NE(verdict, Verdict::kWrong) << log.why();
    }
  }
  EXPECT_GE(verdicts[Verdict::kExact], 1000);
  EXPECT_GE(verdicts[Verdict::kIncomplete], 1000);
}

INSTANTIATE_TEST_SUITE_P(All, WalDamageTest,
                         ::testing::Values(Recipe{"Plain", FillPlain},
                                           Recipe{"Replaced", FillReplaced},
                                           Recipe{"Released", FillReleased},
                                           Recipe{"Reset", FillReset}, Recipe{"Lost", FillLost},
                                           Recipe{"Repaired", FillRepaired}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace conclave::raft
