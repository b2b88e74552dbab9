#include "raft/base/memory_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "raft/base/manual_executor.h"

namespace conclave {
namespace {

using ::testing::ElementsAre;

class MemoryFileSystemTest : public ::testing::Test {
 protected:
  MemoryFileSystemTest() {
    EXPECT_TRUE(fs_.CreateDirectory("d").ok());
    file_ = Open("d/file");
    EXPECT_TRUE(file_->WriteAt(0, std::string(2048, 'a')).ok());
    EXPECT_TRUE(file_->Sync().ok());
    EXPECT_TRUE(fs_.SyncDirectory("d").ok());
  }
  std::unique_ptr<File> Open(const std::string& path) {
    return *fs_.Open(path, OpenMode::kCreateOrKeep);
  }

  ManualExecutor lane_;
  MemoryFileSystem fs_;
  std::unique_ptr<File> file_;
};

TEST_F(MemoryFileSystemTest, ALostCrashTakesWhatWasNotSynced) {
  ASSERT_TRUE(file_->WriteAt(0, "bbb").ok());
  EXPECT_EQ(fs_.unsynced_bytes(), 3u);
  fs_.CrashAndLose();
  EXPECT_EQ(fs_.Contents("d/file"), std::string(2048, 'a'));
  EXPECT_TRUE(absl::IsUnavailable(file_->WriteAt(0, "late"))) << "its process is gone";
}

TEST_F(MemoryFileSystemTest, NamesAreDurableOnceTheirDirectoryIs) {
  ASSERT_TRUE(Open("d/created")->Sync().ok());
  ASSERT_TRUE(fs_.Rename("d/file", "d/renamed").ok());
  fs_.CrashAndLose();
  EXPECT_THAT(*fs_.List("d"), ElementsAre("file"));
  ASSERT_TRUE(fs_.Rename("d/file", "d/renamed").ok());
  ASSERT_TRUE(fs_.SyncDirectory("d").ok());
  ASSERT_TRUE(fs_.Remove("d/renamed").ok());
  fs_.CrashAndLose();
  EXPECT_THAT(*fs_.List("d"), ElementsAre("renamed"));
}

TEST_F(MemoryFileSystemTest, AKilledProcessLeavesAllItWroteStillUnsynced) {
  ASSERT_TRUE(file_->WriteAt(0, "bbb").ok());
  Open("d/created");
  fs_.KillProcess();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "bbba");
  EXPECT_THAT(*fs_.List("d"), ElementsAre("created", "file"));
  fs_.CrashAndLose();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "aaaa");
  EXPECT_THAT(*fs_.List("d"), ElementsAre("file"));
}

TEST_F(MemoryFileSystemTest, APrefixOfTheUnsyncedBytesIsKept) {
  ASSERT_TRUE(file_->WriteAt(2, "bbb").ok());
  ASSERT_TRUE(file_->WriteAt(0, "ccc").ok());
  fs_.CrashAndKeepBytes(4);
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 6), "cabbba");
}

TEST_F(MemoryFileSystemTest, SectorsSurviveOneByOne) {
  std::set<std::string> outcomes;
  Random random(1);
  for (int i = 0; i < 400; ++i) {
    file_ = Open("d/file");
    ASSERT_TRUE(file_->WriteAt(0, std::string(2048, 'a')).ok());
    ASSERT_TRUE(file_->Sync().ok());
    ASSERT_TRUE(file_->WriteAt(500, std::string(1000, 'b')).ok());
    fs_.CrashAndKeepSome(random);
    const std::string content = fs_.Contents("d/file");
    std::string outcome;
    for (size_t at : {500, 512, 1024, 1500}) outcome += content[at];
    EXPECT_EQ(content.substr(0, 500), std::string(500, 'a'));
    EXPECT_EQ(content.substr(512, 512), std::string(512, content[512])) << "no sector is torn";
    outcomes.insert(outcome);
  }
  EXPECT_EQ(outcomes.size(), 8u) << "each of three sectors is old or new";
}

TEST_F(MemoryFileSystemTest, NamesSurviveOneByOneButNeverOutOfOrder) {
  std::set<std::vector<std::string>> outcomes;
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    Open("d/x");
    ASSERT_TRUE(fs_.Rename("d/x", "d/y").ok());
    Open("d/z");
    fs_.CrashAndKeepSome(random);
    outcomes.insert(*fs_.List("d"));
    for (const char* path : {"d/x", "d/y", "d/z"}) {
      const bool kept = fs_.Exists(path);
      EXPECT_EQ(fs_.Remove(path).ok(), kept);
    }
    ASSERT_TRUE(fs_.SyncDirectory("d").ok());
  }
  EXPECT_THAT(outcomes, ::testing::UnorderedElementsAre(
                            ElementsAre("file"), ElementsAre("file", "x"), ElementsAre("file", "y"),
                            ElementsAre("file", "z"), ElementsAre("file", "x", "z"),
                            ElementsAre("file", "y", "z")));
}

TEST_F(MemoryFileSystemTest, HeldSyncsAreDurableOnlyWhenReleased) {
  fs_.HoldSyncs(true);
  int done = 0;
  file_->WriteAndSync(0, "bbb", &lane_, [&](absl::Status status) { done += status.ok(); });
  lane_.RunPosted();
  EXPECT_EQ(done, 0);
  EXPECT_EQ(fs_.held_syncs(), 1u);
  EXPECT_EQ(fs_.unsynced_bytes(), 3u);
  EXPECT_TRUE(fs_.ReleaseSync());
  EXPECT_FALSE(fs_.ReleaseSync());
  lane_.RunPosted();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(fs_.unsynced_bytes(), 0u);
}

TEST_F(MemoryFileSystemTest, ACrashEndsCallsUnderWay) {
  bool called = false;
  file_->WriteAndSync(0, "bbb", &lane_, [&](absl::Status) { called = true; });
  fs_.RunInBackground(
      [&] {
        called = true;
        return absl::OkStatus();
      },
      &lane_, [&](absl::Status) { called = true; });
  fs_.CrashAndLose();
  lane_.RunPosted();
  EXPECT_FALSE(called);
}

TEST_F(MemoryFileSystemTest, FaultsAreTheResultsOfTheirOperations) {
  fs_.SetFault([](MemoryFileSystem::Operation operation, const std::string& path) {
    return operation == MemoryFileSystem::Operation::kSync && path == "d/file"
               ? absl::InternalError("EIO")
               : absl::OkStatus();
  });
  absl::Status result;
  file_->WriteAndSync(0, "bbb", &lane_, [&](absl::Status status) { result = status; });
  lane_.RunPosted();
  EXPECT_EQ(result.message(), "EIO");
  EXPECT_EQ(fs_.unsynced_bytes(), 3u);
}

TEST_F(MemoryFileSystemTest, FlippedBitsAreDamageForGood) {
  fs_.FlipBits("d/file", 1, 1);
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 3), "a`a");
  fs_.CrashAndLose();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 3), "a`a");
}

// ---- A process that is cut off from its disk: it goes on for a while, and leaves no trace. ----

TEST_F(MemoryFileSystemTest, AFrozenProcessReadsWhatItWritesAndLeavesNoneOfIt) {
  ASSERT_TRUE(file_->WriteAt(0, "bbb").ok());
  fs_.Freeze();
  ASSERT_TRUE(file_->WriteAt(0, "cc").ok());
  ASSERT_TRUE(file_->Sync().ok());
  ASSERT_TRUE(Open("d/created")->Sync().ok());
  ASSERT_TRUE(fs_.Rename("d/file", "d/renamed").ok());
  ASSERT_TRUE(fs_.SyncDirectory("d").ok());
  EXPECT_EQ(fs_.Contents("d/renamed").substr(0, 4), "ccba");
  EXPECT_THAT(*fs_.List("d"), ElementsAre("created", "renamed"));
  fs_.KillProcess();
  EXPECT_THAT(*fs_.List("d"), ElementsAre("file"));
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "bbba") << "as it was when time stopped";
}

TEST_F(MemoryFileSystemTest, ASyncOfAFrozenProcessMakesNothingDurable) {
  ASSERT_TRUE(file_->WriteAt(0, "bbb").ok());
  fs_.Freeze();
  ASSERT_TRUE(file_->Sync().ok());
  fs_.CrashAndLose();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "aaaa");
}

TEST_F(MemoryFileSystemTest, FreezingTwiceIsFreezingOnceAndTheNextProcessIsFree) {
  fs_.Freeze();
  ASSERT_TRUE(file_->WriteAt(0, "bbb").ok());
  fs_.Freeze();
  fs_.KillProcess();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "aaaa");
  ASSERT_TRUE(Open("d/file")->WriteAt(0, "ccc").ok());
  fs_.KillProcess();
  EXPECT_EQ(fs_.Contents("d/file").substr(0, 4), "ccca");
}

}  // namespace
}  // namespace conclave
