#include "jepsen-style-tests/sim/sim_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "raft/base/manual_executor.h"

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;

constexpr Duration kShort = std::chrono::microseconds(100);
constexpr Duration kLong = std::chrono::microseconds(500);

class SimDiskTest : public ::testing::Test {
 protected:
  SimDiskTest() { Prepare(disk_); }

  // A directory "d" with the file "d/file" of four sectors of 'a', all durable.
  static void Prepare(SimDisk& disk) {
    ASSERT_TRUE(disk.CreateDirectory("d").ok());
    const std::unique_ptr<File> file = Open(disk, "d/file");
    ASSERT_TRUE(file->WriteAt(0, std::string(2048, 'a')).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(disk.SyncDirectory("d").ok());
  }
  static std::unique_ptr<File> Open(SimDisk& disk, const std::string& path) {
    return *disk.Open(path, OpenMode::kCreateOrKeep);
  }
  std::unique_ptr<File> Open(const std::string& path = "d/file") { return Open(disk_, path); }

  File::SyncDone Record(const std::string& name) {
    return [this, name](const absl::Status& status) {
      done_.push_back(status.ok() ? name : name + ": " + std::string(status.message()));
    };
  }

  ManualExecutor lane_;
  SimDisk disk_{1, {.sync_min = kShort, .sync_max = kLong}};
  std::vector<std::string> done_;
};

// ---- Time. ----

TEST_F(SimDiskTest, AWriteIsVisibleAtOnceAndDurableInItsTime) {
  const std::unique_ptr<File> file = Open();
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  EXPECT_EQ(disk_.Contents("d/file").substr(0, 4), "bbba");
  lane_.Advance(kShort - Duration(1));
  EXPECT_THAT(done_, ElementsAre());
  EXPECT_EQ(disk_.unsynced_bytes(), 3u);
  lane_.Advance(kLong - kShort + Duration(1));
  EXPECT_THAT(done_, ElementsAre("sync"));
  EXPECT_EQ(disk_.unsynced_bytes(), 0u);
}

TEST_F(SimDiskTest, DelaysDifferAndSomeAreSlow) {
  disk_.SetOptions(
      {.sync_min = kShort, .sync_max = kLong, .slow_one_in = 4, .slow_max = 9 * kLong});
  const std::unique_ptr<File> file = Open();
  int slow = 0;
  for (int i = 0; i < 200; ++i) {
    file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
    lane_.Advance(kLong);
    slow += done_.size() != static_cast<size_t>(i + 1);
    lane_.Advance(8 * kLong);
    ASSERT_EQ(done_.size(), static_cast<size_t>(i + 1));
  }
  EXPECT_GT(slow, 25);
  EXPECT_LT(slow, 75);
}

TEST_F(SimDiskTest, WorksRunOneAfterTheOtherAndHoldUpNoSync) {
  ManualExecutor other;  // another lane with a clock of its own
  const auto work = [this](const std::string& name) {
    return [this, name] {
      done_.push_back("work " + name);
      return absl::OkStatus();
    };
  };
  disk_.RunInBackground(work("1"), &lane_, Record("1"));
  disk_.RunInBackground(work("2"), &other, Record("2"));
  disk_.RunInBackground(work("3"), &lane_, Record("3"));
  lane_.RunPosted();
  const std::unique_ptr<File> file = Open();
  disk_.SetOptions({.sync_min = Duration(1), .sync_max = Duration(1)});
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  lane_.Advance(Duration(1));
  EXPECT_THAT(done_, ElementsAre("sync"));
  disk_.SetOptions({.sync_min = kShort, .sync_max = kLong});
  lane_.Advance(kLong);
  EXPECT_THAT(done_, ElementsAre("sync", "work 1", "1")) << "3 waits for 2";
  other.Advance(kLong);
  lane_.Advance(kLong);
  EXPECT_THAT(done_, ElementsAre("sync", "work 1", "1", "work 2", "2", "work 3", "3"));
}

// ---- Faults. ----

TEST_F(SimDiskTest, AHungDiskCompletesNothingUntilItGoesOn) {
  disk_.Hang();
  const std::unique_ptr<File> file = Open();
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  disk_.RunInBackground([] { return absl::OkStatus(); }, &lane_, Record("work"));
  lane_.Advance(Seconds(60));
  EXPECT_THAT(done_, ElementsAre());
  EXPECT_EQ(disk_.unsynced_bytes(), 3u);
  disk_.Unhang();
  lane_.RunPosted();
  EXPECT_THAT(done_, ::testing::UnorderedElementsAre("sync", "work"));
  EXPECT_EQ(disk_.unsynced_bytes(), 0u);
}

TEST_F(SimDiskTest, WhatHungIsForgottenWithItsProcess) {
  disk_.Hang();
  const std::unique_ptr<File> file = Open();
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  disk_.RunInBackground([] { return absl::OkStatus(); }, &lane_, Record("work"));
  lane_.Advance(Seconds(1));
  disk_.Kill();
  disk_.Unhang();
  disk_.RunInBackground([] { return absl::OkStatus(); }, &lane_, Record("of the next"));
  lane_.Advance(Seconds(1));
  EXPECT_THAT(done_, ElementsAre("of the next"));
}

TEST_F(SimDiskTest, AFullDiskTakesWhatNeedsNoRoom) {
  disk_.SetFull(true);
  const std::unique_ptr<File> file = Open();
  EXPECT_TRUE(file->WriteAt(2045, "bbb").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(file->WriteAt(2046, "bbb")));
  EXPECT_TRUE(absl::IsResourceExhausted(disk_.Open("d/new", OpenMode::kCreateOrKeep).status()));
  EXPECT_FALSE(disk_.Exists("d/new"));
  file->WriteAndSync(2048, "c", &lane_, Record("sync"));
  lane_.Advance(kLong);
  EXPECT_THAT(done_, ElementsAre("sync: d/file: no space left on device"));
  disk_.SetFull(false);
  EXPECT_TRUE(file->WriteAt(2048, "c").ok());
}

TEST_F(SimDiskTest, AFullDiskHasTheRoomOfWhatIsRemoved) {
  ASSERT_TRUE(Open("d/reserve")->WriteAt(0, "1234").ok());
  const std::unique_ptr<File> file = Open();
  const uint64_t size = *file->Size();
  disk_.SetFull(true);
  EXPECT_EQ(*disk_.FreeBytes("d"), 0u);
  ASSERT_TRUE(disk_.Remove("d/reserve").ok());
  EXPECT_EQ(*disk_.FreeBytes("d"), 4u);
  EXPECT_TRUE(disk_.Open("d/new", OpenMode::kMustNotExist).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(file->WriteAt(size, "abcde")));
  EXPECT_TRUE(file->WriteAt(size, "abc").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(file->WriteAt(size + 3, "de")));
  EXPECT_TRUE(file->WriteAt(size + 3, "d").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(disk_.Open("d/newer", OpenMode::kMustNotExist).status()));
}

TEST_F(SimDiskTest, AFailedSyncLeavesItsBytesUnsynced) {
  const std::unique_ptr<File> file = Open();
  disk_.FailNextSync();
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  lane_.Advance(kLong);
  EXPECT_THAT(done_, ElementsAre("sync: d/file: input/output error"));
  EXPECT_EQ(disk_.unsynced_bytes(), 3u);
  EXPECT_TRUE(file->Sync().ok()) << "one only";
}

TEST_F(SimDiskTest, FaultsKeepToTheirDirectory) {
  disk_.SetOptions({.read_error_one_in = 1, .faults_under = "d/log/"});
  ASSERT_TRUE(disk_.CreateDirectory("d/log").ok());
  const std::unique_ptr<File> spared = Open("d/spared");
  const std::unique_ptr<File> faulty = Open("d/log/faulty");
  disk_.SetFull(true);
  disk_.FailNextSync();
  EXPECT_TRUE(spared->WriteAt(0, "b").ok());
  EXPECT_TRUE(spared->Sync().ok());
  EXPECT_TRUE(spared->ReadAt(0, 1).ok());
  EXPECT_FALSE(faulty->WriteAt(0, "b").ok());
  EXPECT_FALSE(faulty->Sync().ok());
  EXPECT_FALSE(faulty->ReadAt(0, 1).ok());
}

// ---- The fuse. ----

// A few operations of each kind, in calls that must succeed whether anything comes of them or not.
std::vector<std::function<absl::Status(SimDisk&)>> Operations() {
  const auto on_file = [](SimDisk& disk, const auto& call) {
    auto file = disk.Open("d/file", OpenMode::kMustExist);
    return file.ok() ? call(**file) : file.status();
  };
  return {
      [=](SimDisk& disk) { return on_file(disk, [](File& f) { return f.WriteAt(0, "bbb"); }); },
      [=](SimDisk& disk) { return on_file(disk, [](File& f) { return f.Sync(); }); },
      [=](SimDisk& disk) { return on_file(disk, [](File& f) { return f.Truncate(1000); }); },
      [=](SimDisk& disk) { return on_file(disk, [](File& f) { return f.Sync(); }); },
      [](SimDisk& disk) { return disk.Open("d/new", OpenMode::kMustNotExist).status(); },
      [](SimDisk& disk) { return disk.SyncDirectory("d"); },
      [](SimDisk& disk) { return disk.Rename("d/file", "d/other"); },
      [](SimDisk& disk) { return disk.Rename("d/other", "d/file"); },
      [](SimDisk& disk) { return disk.SyncDirectory("d"); },
      [](SimDisk& disk) { return disk.Remove("d/new"); },
      [](SimDisk& disk) { return disk.SyncDirectory("d"); },
      [](SimDisk& disk) { return disk.CreateDirectory("d/e"); },
      [](SimDisk& disk) { return disk.RemoveTree("d/e"); },
  };
}

std::string Describe(SimDisk& disk) {
  std::string text;
  const std::vector<std::string> names = *disk.List("d");
  for (const std::string& name : names) {
    text += name + "=" + (name == "e" ? "" : disk.Contents("d/" + name)) + "\n";
  }
  return text;
}

TEST_F(SimDiskTest, ABlownFuseSettlesTheDiskAfterTheOperationThatBlewIt) {
  const auto operations = Operations();
  for (size_t cut = 0; cut <= operations.size(); ++cut) {
    for (const bool crash : {false, true}) {
      SimDisk steady(1, {});
      SimDisk fused(1, {});
      Prepare(steady);
      Prepare(fused);
      for (size_t i = 0; i < cut; ++i) ASSERT_TRUE(operations[i](steady).ok());
      fused.CrashAfter(cut);
      for (size_t i = 0; i < operations.size(); ++i) {
        EXPECT_EQ(fused.fuse_blown(), i >= cut);
        ASSERT_TRUE(operations[i](fused).ok()) << "the process notices nothing";
      }
      Random same(cut);
      Random again(cut);
      crash ? steady.Crash(same) : steady.Kill();
      crash ? fused.Crash(again) : fused.Kill();
      ASSERT_EQ(Describe(fused), Describe(steady)) << cut << " crash " << crash;
      EXPECT_FALSE(fused.fuse_blown());
      // A crash after the end of the first process must find the same as well.
      steady.Crash(same);
      fused.Crash(again);
      ASSERT_EQ(Describe(fused), Describe(steady)) << cut << " crash " << crash;
    }
  }
}

TEST_F(SimDiskTest, ADeadProcessReadsBackWhatItWrites) {
  const std::unique_ptr<File> file = Open();
  disk_.CrashAfter(0);
  ASSERT_TRUE(file->WriteAt(0, "bbb").ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(*file->ReadAt(0, 4), "bbba");
  ASSERT_TRUE(Open("d/new")->WriteAt(0, "new").ok());
  EXPECT_EQ(*ReadFile(disk_, "d/new"), "new");
  disk_.Kill();
  EXPECT_THAT(*disk_.List("d"), ElementsAre("file"));
  EXPECT_EQ(disk_.Contents("d/file"), std::string(2048, 'a'));
  EXPECT_EQ(disk_.unsynced_bytes(), 0u);
}

TEST_F(SimDiskTest, NothingCompletesAfterTheFuse) {
  int blown = 0;
  disk_.SetFuseObserver([&] { ++blown; });
  const std::unique_ptr<File> file = Open();
  file->WriteAndSync(0, "bbb", &lane_, Record("sync"));
  disk_.RunInBackground([] { return absl::OkStatus(); }, &lane_, Record("work"));
  disk_.CrashAfter(1);  // the sync
  lane_.Advance(Seconds(1));
  EXPECT_EQ(blown, 1);
  disk_.RunInBackground([] { return absl::OkStatus(); }, &lane_, Record("late"));
  lane_.Advance(Seconds(1));
  EXPECT_EQ(disk_.unsynced_bytes(), 0u) << "it has just been done";
  disk_.Kill();
  lane_.Advance(Seconds(1));
  EXPECT_THAT(done_, ::testing::Not(::testing::Contains("sync")));
  EXPECT_THAT(done_, ::testing::Not(::testing::Contains("late")));
}

TEST_F(SimDiskTest, TheFuseMayBlowInTheMiddleOfAWork) {
  int operations = 0;
  disk_.RunInBackground(
      [&] {
        for (int i = 0; i < 3; ++i) {
          EXPECT_TRUE(Open("d/new" + std::to_string(i)) != nullptr);
          EXPECT_TRUE(disk_.SyncDirectory("d").ok());
          ++operations;
        }
        return absl::OkStatus();
      },
      &lane_, Record("work"));
  disk_.CrashAfter(3);
  lane_.Advance(Seconds(1));
  EXPECT_EQ(operations, 3);
  EXPECT_THAT(done_, ElementsAre());
  disk_.Kill();
  EXPECT_THAT(*disk_.List("d"), ElementsAre("file", "new0", "new1"));
}

// ---- The trace. ----

TEST_F(SimDiskTest, TheTraceTellsOperationsTheirOrderAndTheirBytesApart) {
  const auto trace_of = [](const std::function<void(SimDisk&)>& run) {
    SimDisk disk(1, {});
    Prepare(disk);
    run(disk);
    return disk.trace();
  };
  const auto write = [](SimDisk& disk, uint64_t offset, std::string_view bytes) {
    EXPECT_TRUE(Open(disk, "d/file")->WriteAt(offset, bytes).ok());
  };
  const std::vector<std::function<void(SimDisk&)>> runs = {
      [](SimDisk&) {},
      [&](SimDisk& disk) { write(disk, 0, "x"); },
      [&](SimDisk& disk) { write(disk, 0, "y"); },
      [&](SimDisk& disk) { write(disk, 1, "x"); },
      [&](SimDisk& disk) { write(disk, 0, "x"), write(disk, 1, "x"); },
      [&](SimDisk& disk) { write(disk, 1, "x"), write(disk, 0, "x"); },
      [](SimDisk& disk) { EXPECT_TRUE(disk.Rename("d/file", "d/a").ok()); },
      [](SimDisk& disk) { EXPECT_TRUE(disk.Rename("d/file", "d/b").ok()); },
      [](SimDisk& disk) { EXPECT_TRUE(disk.Remove("d/file").ok()); },
      [](SimDisk& disk) { disk.Kill(); },
      [](SimDisk& disk) { disk.CrashAfter(0); },
  };
  std::set<uint64_t> traces;
  for (const auto& run : runs) {
    EXPECT_EQ(trace_of(run), trace_of(run));
    traces.insert(trace_of(run));
  }
  EXPECT_EQ(traces.size(), runs.size());
}

}  // namespace
}  // namespace conclave::sim
