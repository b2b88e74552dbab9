// Segments: when one ends and the next begins, when they are released, and what becomes of their
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kSegmentBytes = 1024;

class WalSegmentsTest : public ::testing::Test {
 protected:
  WalSegmentsTest() : world_(kSegmentBytes) { world_.Start(); }

  void Write(const AppendTask& task) {
    model_.Append(task);
    world_.Write(task);
  }
  // One entry of half a segment.
  void WriteHalf(uint64_t index) {
    Write(TaskOf(Entries(index, index, 1, std::string(kSegmentBytes / 2 - 230, 'x'))));
  }
  void Release(uint64_t index) {
    model_.Release({LogIndex(index), Term(1), ThreeVoters()});
    world_.Release(index, 1);
  }
  void ExpectRecovered() {
    const absl::Status status = world_.Open();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(ModelOf(world_.contents), model_);
  }
  // But for the reserve.
  std::vector<std::string> Files() {
    std::vector<std::string> names = *world_.fs.List(world_.options.directory);
    std::erase(names, "reserve");
    return names;
  }

  WalWorld world_;
  Model model_;
};

TEST_F(WalSegmentsTest, ASegmentThatIsFullIsFollowedByTheNext) {
  for (uint64_t i = 1; i <= 6; ++i) WriteHalf(i);
  EXPECT_THAT(Files(), ElementsAre("0000000000000001.wal", "0000000000000002.wal",
                                   "0000000000000003.wal", "0000000000000004.wal"));
  EXPECT_EQ(world_.wal->Stats().segments, 4u) << "three in use, one ready";
  world_.fs.CrashAndLose();
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, AFileIsFullyWrittenBeforeItIsUsed) {
  WriteHalf(1);
  EXPECT_EQ(world_.fs.Contents(world_.path(2)), std::string(kSegmentBytes, '\0'));
  for (uint64_t i = 2; i <= 4; ++i) WriteHalf(i);
  EXPECT_EQ(world_.fs.Contents(world_.path(2)).size(), kSegmentBytes);
}

TEST_F(WalSegmentsTest, ABatchLargerThanASegmentGetsOneOfItsOwn) {
  WriteHalf(1);
  Write(TaskOf(Entries(2, 3, 1, std::string(3 * kSegmentBytes, 'y'))));
  WriteHalf(4);
  EXPECT_GT(world_.fs.Contents(world_.path(2)).size(), 6 * kSegmentBytes);
  world_.fs.CrashAndLose();
  ExpectRecovered();
  WriteHalf(5);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, ReleasedSegmentsAreKeptForReuseUpToABound) {
  for (uint64_t i = 1; i <= 10; ++i) WriteHalf(i);
  Release(7);
  // 1 to 3 held entries 1 to 6 only. The third free file is one too many.
  EXPECT_THAT(Files(),
              ElementsAre("0000000000000001.free", "0000000000000002.free", "0000000000000004.wal",
                          "0000000000000005.wal", "0000000000000006.wal"));
  world_.fs.CrashAndLose();
  ExpectRecovered();
  EXPECT_EQ(world_.contents.snapshot_index, LogIndex(7));
  EXPECT_EQ(world_.contents.entries.size(), 3u);
}

TEST_F(WalSegmentsTest, OldRecordsOfARecycledFileNeverCount) {
  for (uint64_t i = 1; i <= 8; ++i) WriteHalf(i);
  Release(6);
  for (uint64_t i = 9; i <= 12; ++i) WriteHalf(i);
  // The file of segment 7 was segment 2 or 1: it holds their records until its own replace them.
  ASSERT_THAT(Files(), Contains("0000000000000007.wal"));
  ASSERT_NE(world_.fs.Contents(world_.path(7)), std::string(kSegmentBytes, '\0'));
  ExpectRecovered();
  EXPECT_FALSE(world_.contents.torn_tail);
  for (uint64_t i = 13; i <= 15; ++i) WriteHalf(i);
  ExpectRecovered();
  EXPECT_FALSE(world_.contents.torn_tail);
}

TEST_F(WalSegmentsTest, ASegmentStaysUntilTheReleaseIsDurable) {
  for (uint64_t i = 1; i <= 4; ++i) WriteHalf(i);
  world_.fs.HoldSyncs(true);
  world_.Release(4, 1);
  EXPECT_THAT(Files(), Contains("0000000000000001.wal"));
  world_.fs.CrashAndLose();
  world_.fs.HoldSyncs(false);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, ASegmentStaysUntilTheNextOneIsDurable) {
  const std::string large(kSegmentBytes / 2 + 100, 'x');
  Write(TaskOf(Entries(1, 1, 1, large)));
  world_.fs.HoldSyncs(true);
  Release(1);
  world_.Append(TaskOf(Entries(2, 2, 1, large)));
  world_.fs.ReleaseSync();
  world_.lane->RunPosted();
  ASSERT_EQ(world_.fs.held_syncs(), 1u) << "the release is durable, the next segment under way";
  world_.fs.CrashAndLose();
  world_.fs.HoldSyncs(false);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, AReleaseBeyondTheLogEmptiesIt) {
  for (uint64_t i = 1; i <= 4; ++i) WriteHalf(i);
  Release(9);
  EXPECT_EQ(world_.wal->Stats().segments, 3u) << "one in use, one ready, one free";
  Write(TaskOf(Entries(10, 10, 1)));
  ExpectRecovered();
  EXPECT_EQ(world_.contents.entries.size(), 1u);
  Release(3);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, AResetLetsGoOfAllSegmentsBeforeIt) {
  for (uint64_t i = 1; i <= 8; ++i) WriteHalf(i);
  world_.fs.HoldSyncs(true);
  Write(ResetTo(5, 3, Entries(6, 7, 3)));  // in the middle of the log, in another term
  EXPECT_THAT(Files(), Contains("0000000000000001.wal")) << "until it is durable";
  world_.fs.HoldSyncs(false);
  world_.fs.ReleaseSync();
  world_.lane->RunPosted();
  // It is in the segment after the one that entry 8 has filled.
  EXPECT_THAT(Files(), ElementsAre("0000000000000001.free", "0000000000000002.free",
                                   "0000000000000005.wal", "0000000000000006.wal"));
  world_.fs.CrashAndLose();
  ExpectRecovered();
  EXPECT_EQ(world_.contents.snapshot_term, Term(3));
  for (uint64_t i = 8; i <= 12; ++i) WriteHalf(i);
  Release(9);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, AResetThatIsNotDurableIsNone) {
  for (uint64_t i = 1; i <= 8; ++i) WriteHalf(i);
  world_.fs.HoldSyncs(true);
  world_.Append(ResetTo(20, 3));
  world_.fs.CrashAndLose();
  world_.fs.HoldSyncs(false);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, StateOutlivesTheSegmentItWasWrittenIn) {
  Write(TaskOf(HardState{Term(5), NodeId(3)}));
  for (uint64_t i = 1; i <= 6; ++i) WriteHalf(i);
  Release(6);
  for (uint64_t i = 7; i <= 9; ++i) WriteHalf(i);
  ExpectRecovered();
  EXPECT_EQ(world_.contents.hard_state, (HardState{Term(5), NodeId(3)}));
}

TEST_F(WalSegmentsTest, WritesWaitForASegmentThatIsNotReady) {
  world_.fs.HoldBackground(true);
  for (uint64_t i = 1; i <= 7; ++i) WriteHalf(i);  // segment 2 is ready, 3 and 4 are not
  EXPECT_EQ(world_.durable, 4u);
  while (world_.fs.ReleaseBackground()) world_.lane->RunPosted();
  EXPECT_EQ(world_.durable, 7u);
  ExpectRecovered();
}

TEST_F(WalSegmentsTest, AFullDiskEndsTheProcessOnlyWhenRoomIsNeeded) {
  WriteHalf(1);
  WriteHalf(2);
  bool full = true;
  world_.fs.SetFault([&](MemoryFileSystem::Operation operation, const std::string& path) {
    const bool affected = operation == MemoryFileSystem::Operation::kWrite &&
                          (path == world_.path(3) + ".tmp" || path == world_.path(4) + ".tmp");
    return full && affected ? absl::ResourceExhaustedError("no room") : absl::OkStatus();
  });
  WriteHalf(3);  // segment 3 cannot be made ready
  WriteHalf(4);
  EXPECT_EQ(world_.durable, 4u);
  EXPECT_FALSE(world_.fs.Exists(world_.path(3) + ".tmp")) << "it would only take room";
  full = false;
  WriteHalf(5);  // tried again
  EXPECT_EQ(world_.durable, 5u);
  WriteHalf(6);
  WriteHalf(7);
  EXPECT_EQ(world_.durable, 7u);
  WriteHalf(8);
  world_.fs.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kOpen ? absl::ResourceExhaustedError("no room")
                                                           : absl::OkStatus();
  });
  WriteHalf(9);
  EXPECT_EXIT(
      {
        WriteHalf(10);
        WriteHalf(11);
      },
      ::testing::ExitedWithCode(1), "could not be continued: no room");
}

TEST_F(WalSegmentsTest, ADiskThatFailsAWriteIsNotAskedAgain) {
  WriteHalf(1);
  WriteHalf(2);
  world_.fs.SetFault([&](MemoryFileSystem::Operation operation, const std::string& path) {
    const bool affected =
        operation == MemoryFileSystem::Operation::kSync && path == world_.path(3) + ".tmp";
    return affected ? absl::InternalError("input/output error") : absl::OkStatus();
  });
  // Though the segment is not needed yet.
  EXPECT_EXIT(WriteHalf(3), ::testing::ExitedWithCode(1),
              "could not be continued: input/output error");
}

TEST_F(WalSegmentsTest, AMissingSegmentIsNamed) {
  for (uint64_t i = 1; i <= 6; ++i) WriteHalf(i);
  world_.wal.reset();
  ASSERT_TRUE(world_.fs.Remove(world_.path(2)).ok());
  ASSERT_TRUE(world_.Open().ok());
  EXPECT_EQ(world_.contents.damage, world_.path(2) + ": missing");
  EXPECT_EQ(world_.contents.entries, Entries(1, 2, 1, std::string(kSegmentBytes / 2 - 230, 'x')));
  EXPECT_EQ(world_.contents.lost_through, LogIndex(6));
}

TEST_F(WalSegmentsTest, TheFirstSegmentsMayBeMissing) {
  for (uint64_t i = 1; i <= 4; ++i) WriteHalf(i);
  world_.wal.reset();
  ASSERT_TRUE(world_.fs.Remove(world_.path(1)).ok());
  ASSERT_TRUE(world_.Open().ok());
  EXPECT_EQ(world_.contents.damage, world_.options.directory + ": the oldest segments are missing");
  EXPECT_TRUE(world_.contents.entries.empty());
  EXPECT_EQ(world_.contents.configuration, ThreeVoters());
  EXPECT_EQ(world_.contents.lost_through, LogIndex(4));
}

TEST_F(WalSegmentsTest, AMissingSegmentThatWasWrittenLastIsDataLoss) {
  for (uint64_t i = 1; i <= 4; ++i) WriteHalf(i);
  world_.wal.reset();
  ASSERT_TRUE(world_.fs.Exists(world_.path(3)));
  ASSERT_TRUE(world_.fs.Remove(world_.path(2)).ok());
  const absl::Status status = world_.Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr(world_.path(2) + ": missing"));
}

TEST_F(WalSegmentsTest, WhatIsOfNoUseIsRemovedAtTheStart) {
  for (const char* name : {"00000000000000f1.free", "00000000000000f2.free",
                           "00000000000000f3.free", "00000000000000f4.wal.tmp", "unrelated"}) {
    ASSERT_TRUE(
        world_.fs.Open(world_.options.directory + "/" + name, OpenMode::kMustNotExist).ok());
  }
  ExpectRecovered();
  world_.lane->RunPosted();
  EXPECT_THAT(Files(), ElementsAre("0000000000000001.wal", "0000000000000002.wal",
                                   "00000000000000f1.free", "unrelated"));
  WriteHalf(1);
  WriteHalf(2);
  WriteHalf(3);
  ExpectRecovered();
}

}  // namespace
}  // namespace conclave::raft
