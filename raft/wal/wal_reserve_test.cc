// A full disk: the reserve is given up, the log goes on with little, its owner is told, and all is
// as before once there is room again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "raft/wal/reserve.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kSegmentBytes = 1024;
constexpr size_t kReserveBytes = 2 * kSegmentBytes;  // as WalWorld has it

class WalReserveTest : public ::testing::Test {
 protected:
  WalReserveTest() : world_(kSegmentBytes) {
    world_.Start();
    Observe();
  }

  void Observe() {
    world_.wal->SetSpaceObserver([this](bool low) { told_.push_back(low); });
    world_.lane->RunPosted();
  }
  std::string reserve() const { return world_.options.directory + "/reserve"; }

  // From now on there is room only for so many files of the reserve's place.
  void FillDisk(int files) {
    files_left_ = files;
    world_.fs.SetFreeBytes(0);
    world_.fs.SetFault([this](MemoryFileSystem::Operation operation, const std::string& path) {
      if (operation == MemoryFileSystem::Operation::kCreate &&
          (world_.fs.Exists(reserve()) || files_left_-- <= 0)) {
        return absl::ResourceExhaustedError(path + ": no space left on device");
      }
      return absl::OkStatus();
    });
  }
  void MakeRoom() {
    world_.fs.SetFault(nullptr);
    world_.fs.SetFreeBytes(2 * kReserveBytes);
  }

  // One entry of half a segment.
  void WriteHalf() {
    const uint64_t next = model_.last_index().value() + 1;
    const AppendTask task =
        TaskOf(Entries(next, next, 1, std::string(kSegmentBytes / 2 - 230, 'x')));
    model_.Append(task);
    world_.Write(task);
  }
  void ExpectRecovered() {
    const absl::Status status = world_.Open();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(ModelOf(world_.contents), model_);
  }

  WalWorld world_;
  Model model_;
  std::vector<bool> told_;
  int files_left_ = 0;
};

TEST_F(WalReserveTest, ItIsThereFromTheStart) {
  EXPECT_EQ(world_.fs.Contents(reserve()), std::string(kReserveBytes, '\0'));
  EXPECT_TRUE(world_.fs.IsSynced(reserve()));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(WalReserveTest, AFullDiskTakesItAndTheLogGoesOn) {
  FillDisk(/*files=*/2);
  WriteHalf();
  WriteHalf();
  EXPECT_THAT(told_, IsEmpty()) << "the next segment was ready before";
  WriteHalf();
  EXPECT_THAT(told_, ElementsAre(true));
  EXPECT_FALSE(world_.fs.Exists(reserve()));
  EXPECT_EQ(world_.fs.Contents(world_.path(3)).size(), kSegmentBytes) << "most of it is a hole";
  for (int i = 0; i < 3; ++i) WriteHalf();
  EXPECT_EQ(world_.durable, 6u);
  EXPECT_THAT(told_, ElementsAre(true)) << "once";
  world_.fs.CrashAndLose();
  ExpectRecovered();
}

TEST_F(WalReserveTest, OnceThereIsRoomItIsMadeAnew) {
  FillDisk(/*files=*/1);
  for (int i = 0; i < 3; ++i) WriteHalf();
  ASSERT_THAT(told_, ElementsAre(true));
  world_.lane->Advance(Seconds(60));
  EXPECT_THAT(told_, ElementsAre(true));
  MakeRoom();
  world_.lane->Advance(Seconds(10));
  EXPECT_THAT(told_, ElementsAre(true, false));
  EXPECT_EQ(world_.fs.Contents(reserve()).size(), kReserveBytes);
  world_.fs.CrashAndLose();
  ExpectRecovered();
  EXPECT_EQ(world_.fs.Contents(reserve()).size(), kReserveBytes);
}

TEST_F(WalReserveTest, ReleasedSegmentsServeWithoutRoom) {
  FillDisk(/*files=*/1);
  for (int i = 0; i < 5; ++i) WriteHalf();
  model_.Release({LogIndex(4), Term(1), ThreeVoters()});
  world_.Release(4, 1);
  for (int i = 0; i < 4; ++i) WriteHalf();
  EXPECT_EQ(world_.durable, 9u);
  ExpectRecovered();
}

TEST_F(WalReserveTest, WhenThatIsUsedUpTheProcessEnds) {
  FillDisk(/*files=*/0);
  for (int i = 0; i < 4; ++i) WriteHalf();
  ASSERT_THAT(told_, ElementsAre(true));
  EXPECT_EXIT(WriteHalf(), ::testing::ExitedWithCode(1), "could not be continued: .*no space");
}

TEST_F(WalReserveTest, ADiskThatFailsIsNotTakenForAFullOne) {
  FillDisk(/*files=*/1);
  for (int i = 0; i < 3; ++i) WriteHalf();
  ASSERT_THAT(told_, ElementsAre(true));
  MakeRoom();
  world_.fs.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kSync
               ? absl::InternalError("input/output error")
               : absl::OkStatus();
  });
  EXPECT_EXIT(world_.lane->Advance(Seconds(10)), ::testing::ExitedWithCode(1),
              "could not be given its reserve: input/output error");
}

TEST_F(WalReserveTest, AProcessThatStartsWithoutItIsTold) {
  FillDisk(/*files=*/5);
  for (int i = 0; i < 3; ++i) WriteHalf();
  ASSERT_FALSE(world_.fs.Exists(reserve()));
  told_.clear();
  ExpectRecovered();
  world_.lane->RunPosted();
  Observe();
  EXPECT_THAT(told_, ElementsAre(true)) << "though it asked late";
}

TEST_F(WalReserveTest, HalfOfOneIsNone) {
  ASSERT_TRUE((*world_.fs.Open(reserve(), OpenMode::kMustExist))->Truncate(100).ok());
  ExpectRecovered();
  world_.lane->RunPosted();
  EXPECT_EQ(world_.fs.Contents(reserve()).size(), kReserveBytes);
}

TEST_F(WalReserveTest, NoReserveIsAskedForNoneIsMade) {
  WalWorld world(kSegmentBytes);
  world.options.reserve_bytes = 0;
  world.Start();
  world.lane->RunPosted();
  EXPECT_FALSE(world.fs.Exists(world.options.directory + "/reserve"));
}

TEST_F(WalReserveTest, ALogIsNotCreatedOnADiskThatIsNearlyFull) {
  WalWorld world(kSegmentBytes);
  world.fs.SetFreeBytes(2 * kReserveBytes - 1);
  const absl::Status status = Wal::Create(world.fs, world.options, ThreeVoters());
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("too few to reserve 2048"));
  EXPECT_FALSE(Wal::Exists(world.fs, world.options));
}

TEST(ReserveTest, WhatCouldNotBeMadeTakesNoRoom) {
  MemoryFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectory("d").ok());
  fs.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kWrite ? absl::ResourceExhaustedError("full")
                                                            : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsResourceExhausted(KeepReserve(fs, "d", 100)));
  EXPECT_FALSE(fs.Exists("d/reserve"));
  EXPECT_TRUE(absl::IsNotFound(GiveUpReserve(fs, "d")));
}

}  // namespace
}  // namespace conclave::raft
