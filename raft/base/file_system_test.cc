// What the FileSystem seam promises, of both its forms: whatever is proved in memory must hold on a
// disk.
#include "raft/base/file_system.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <latch>
#include <memory>

#include "raft/base/memory_file_system.h"
#include "raft/base/posix_executor.h"
#include "raft/base/posix_file_system.h"
#include "raft/base/text.h"

namespace conclave {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Fs>
class FileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "/conclave_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_TRUE(fs_.RemoveTree(root_).ok());
    ASSERT_TRUE(fs_.CreateDirectory(root_).ok());
  }
  void TearDown() override { ASSERT_TRUE(fs_.RemoveTree(root_).ok()); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  std::unique_ptr<File> Open(const std::string& name, OpenMode mode = OpenMode::kCreateOrKeep) {
    absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(Path(name), mode);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }

  PosixExecutor lane_{"lane"};  // outlives the file system: the last completions come to it
  Fs fs_;
  std::string root_;
};

using Forms = ::testing::Types<PosixFileSystem, MemoryFileSystem>;
TYPED_TEST_SUITE(FileSystemTest, Forms);

TYPED_TEST(FileSystemTest, ModesOfOpen) {
  auto& fs = this->fs_;
  const std::string path = this->Path("file");
  EXPECT_TRUE(absl::IsNotFound(fs.Open(path, OpenMode::kMustExist).status()));
  EXPECT_TRUE(absl::IsNotFound(fs.Open(path, OpenMode::kReadOnly).status()));
  EXPECT_TRUE(fs.Open(path, OpenMode::kMustNotExist).ok());
  EXPECT_EQ(*(*fs.Open(path, OpenMode::kReadOnly))->Size(), 0u);
  EXPECT_TRUE(absl::IsAlreadyExists(fs.Open(path, OpenMode::kMustNotExist).status()));
  EXPECT_TRUE(fs.Open(path, OpenMode::kMustExist).ok());
  EXPECT_TRUE(fs.Open(path, OpenMode::kCreateOrKeep).ok());
  const absl::Status absent = fs.Open(this->Path("no/file"), OpenMode::kCreateOrKeep).status();
  EXPECT_TRUE(absl::IsNotFound(absent));
  EXPECT_THAT(std::string(MessageOf(absent)), HasSubstr("no/file: "));
}

TYPED_TEST(FileSystemTest, BytesStandWhereTheyWereWritten) {
  std::unique_ptr<File> file = this->Open("file");
  ASSERT_TRUE(file->WriteAt(3, "def").ok());
  ASSERT_TRUE(file->WriteAt(0, "ab").ok());
  EXPECT_EQ(*file->Size(), 6u);
  EXPECT_EQ(*file->ReadAt(0, 100), std::string("ab\0def", 6));
  EXPECT_EQ(*file->ReadAt(4, 1), "e");
  EXPECT_EQ(*file->ReadAt(6, 1), "");
  EXPECT_EQ(*file->ReadAt(100, 1), "");
  ASSERT_TRUE(file->Truncate(4).ok());
  ASSERT_TRUE(file->Truncate(6).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(*file->ReadAt(0, 100), std::string("ab\0d\0\0", 6));
  EXPECT_EQ(*ReadFile(this->fs_, this->Path("file")), std::string("ab\0d\0\0", 6));
}

TYPED_TEST(FileSystemTest, WhatWasJustWrittenNeedNotBeWaitedFor) {
  const std::unique_ptr<File> file = this->Open("file");
  ASSERT_TRUE(file->WriteAt(0, "0123456789").ok());
  char out[10];
  EXPECT_EQ(*file->ReadIfCached(0, 10, out), 10u);
  EXPECT_EQ(std::string_view(out, 10), "0123456789");
  EXPECT_EQ(*file->ReadIfCached(8, 10, out), 2u) << "up to the end";
  EXPECT_EQ(*file->ReadIfCached(20, 10, out), 0u);
}

TYPED_TEST(FileSystemTest, FreeBytesAreOfTheDiskOfADirectory) {
  EXPECT_GT(*this->fs_.FreeBytes(this->root_), 0u);
  EXPECT_TRUE(absl::IsNotFound(this->fs_.FreeBytes(this->Path("absent")).status()));
}

thread_local bool on_lane = false;  // set by a task of the lane, so on its thread alone

TYPED_TEST(FileSystemTest, WriteAndSyncAnswersOnTheLane) {
  std::unique_ptr<File> file = this->Open("file");
  std::latch finished(1);
  absl::Status result = absl::UnknownError("not yet");
  bool answered_on_lane = false;
  this->lane_.Post([&] {
    on_lane = true;
    file->WriteAndSync(2, "durable", &this->lane_, [&](absl::Status status) {
      result = status;
      answered_on_lane = on_lane;
      finished.count_down();
    });
  });
  finished.wait();
  EXPECT_TRUE(result.ok()) << result;
  EXPECT_TRUE(answered_on_lane);
  EXPECT_EQ(*file->ReadAt(2, 100), "durable");
}

TYPED_TEST(FileSystemTest, AFileMayBeLetGoWhileItsSyncIsUnderWay) {
  std::latch finished(1);
  this->lane_.Post([&] {
    this->Open("file")->WriteAndSync(0, "kept", &this->lane_, [&](absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      finished.count_down();
    });
  });
  finished.wait();
  EXPECT_EQ(*ReadFile(this->fs_, this->Path("file")), "kept");
}

TYPED_TEST(FileSystemTest, BackgroundWorkRunsInOrderAndItsResultComesToTheLane) {
  std::latch finished(1);
  std::vector<int> order;
  absl::Status result;
  this->lane_.Post([&] {
    this->fs_.RunInBackground(
        [&] {
          order.push_back(1);
          return absl::OkStatus();
        },
        &this->lane_, [](absl::Status) {});
    this->fs_.RunInBackground(
        [&] {
          order.push_back(2);
          return absl::AbortedError("so it ended");
        },
        &this->lane_,
        [&](absl::Status status) {
          result = status;
          finished.count_down();
        });
  });
  finished.wait();
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_EQ(result.message(), "so it ended");
}

TYPED_TEST(FileSystemTest, NamesAreListedSortedRenamedAndRemoved) {
  auto& fs = this->fs_;
  for (const char* name : {"b", "a", "c"}) this->Open(name);
  ASSERT_TRUE(fs.CreateDirectory(this->Path("d/e")).ok());
  ASSERT_TRUE(fs.CreateDirectory(this->Path("d/e")).ok());
  EXPECT_THAT(*fs.List(this->root_), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(*fs.List(this->Path("d")), ElementsAre("e"));
  ASSERT_TRUE(this->Open("a")->WriteAt(0, "was a").ok());
  ASSERT_TRUE(fs.Rename(this->Path("a"), this->Path("c")).ok());
  ASSERT_TRUE(fs.Remove(this->Path("b")).ok());
  ASSERT_TRUE(fs.SyncDirectory(this->root_).ok());
  EXPECT_THAT(*fs.List(this->root_), ElementsAre("c", "d"));
  EXPECT_EQ(*ReadFile(fs, this->Path("c")), "was a");
  EXPECT_TRUE(fs.Exists(this->Path("c")));
  EXPECT_TRUE(fs.Exists(this->Path("d")));
  EXPECT_FALSE(fs.Exists(this->Path("a")));
  EXPECT_TRUE(absl::IsNotFound(fs.Remove(this->Path("a"))));
  EXPECT_TRUE(absl::IsNotFound(fs.Rename(this->Path("a"), this->Path("b"))));
  EXPECT_TRUE(absl::IsNotFound(fs.List(this->Path("none")).status()));
  EXPECT_TRUE(absl::IsNotFound(fs.SyncDirectory(this->Path("none"))));
  ASSERT_TRUE(fs.RemoveTree(this->Path("d")).ok());
  EXPECT_FALSE(fs.Exists(this->Path("d/e")));
}

TYPED_TEST(FileSystemTest, WhatIsRemovedGraduallyIsGoneAtOnce) {
  for (const size_t bytes : {0u, 1u, 5u << 20}) {
    ASSERT_TRUE(this->Open("file")->WriteAt(0, std::string(bytes, 'x')).ok());
    ASSERT_TRUE(this->fs_.RemoveGradually(this->Path("file")).ok());
    EXPECT_FALSE(this->fs_.Exists(this->Path("file")));
    EXPECT_EQ(*this->Open("file")->Size(), 0u) << "another file of the same name";
  }
  ASSERT_TRUE(this->fs_.Remove(this->Path("file")).ok());
  EXPECT_TRUE(absl::IsNotFound(this->fs_.RemoveGradually(this->Path("file"))));
}

TYPED_TEST(FileSystemTest, ADirectoryHasOneHolder) {
  auto& fs = this->fs_;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> held = fs.Lock(this->root_);
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(fs.Lock(this->root_).status()));
  held->reset();
  EXPECT_TRUE(fs.Lock(this->root_).ok());
  EXPECT_TRUE(absl::IsNotFound(fs.Lock(this->Path("none")).status()));
}

TYPED_TEST(FileSystemTest, ReplaceFileLeavesOnlyTheNewBytes) {
  auto& fs = this->fs_;
  ASSERT_TRUE(this->Open("file.tmp")->WriteAt(0, "left by a crash, and longer").ok());
  ASSERT_TRUE(ReplaceFile(fs, this->Path("file"), "first").ok());
  ASSERT_TRUE(ReplaceFile(fs, this->Path("file"), "2nd").ok());
  EXPECT_EQ(*ReadFile(fs, this->Path("file")), "2nd");
  EXPECT_THAT(*fs.List(this->root_), ElementsAre("file"));
  EXPECT_TRUE(absl::IsNotFound(ReadFile(fs, this->Path("none")).status()));
}

TEST(PosixFileSystemTest, DirectoriesAndFilesAreTheOwnersAlone) {
  PosixFileSystem fs;
  const std::string root = ::testing::TempDir() + "/conclave_modes";
  ASSERT_TRUE(fs.RemoveTree(root).ok());
  ASSERT_TRUE(fs.CreateDirectory(root + "/inner").ok());
  ASSERT_TRUE(fs.Open(root + "/inner/file", OpenMode::kMustNotExist).ok());
  struct stat stat;
  ASSERT_EQ(::stat((root + "/inner").c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat((root + "/inner/file").c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0600u);
  EXPECT_FALSE(fs.CreateDirectory(root + "/inner/file").ok());
  ASSERT_TRUE(fs.RemoveTree(root).ok());
}

// /dev/null cannot be synced and says so, which shows whether the system was asked at all.
TEST(PosixFileSystemTest, WhatTheKernelHasLetGoWouldBeWaitedFor) {
  PosixFileSystem fs;
  const std::string path = ::testing::TempDir() + "/conclave_cold";
  const std::unique_ptr<File> file = *fs.Open(path, OpenMode::kCreateOrKeep);
  const std::string bytes(8 << 20, 'x');  // more than the kernel reads ahead for a look
  ASSERT_TRUE(file->WriteAt(0, bytes).ok() && file->Sync().ok());
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  std::string out(bytes.size(), '\0');
  // Not every file system lets go of what is asked, or can tell.
  const iovec all{.iov_base = out.data(), .iov_len = out.size()};
  if (preadv2(fd, &all, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN) {
    EXPECT_TRUE(absl::IsUnavailable(file->ReadIfCached(0, out.size(), out.data()).status()));
  }
  EXPECT_EQ(*file->ReadInto(0, out.size(), out.data()), out.size());
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(*file->ReadIfCached(0, out.size(), out.data()), out.size()) << "it has come back";
  close(fd);
  EXPECT_TRUE(fs.Remove(path).ok());
}

TEST(MemoryFileSystemColdTest, WhileColdNothingIsInMemory) {
  MemoryFileSystem fs;
  const std::unique_ptr<File> file = *fs.Open("file", OpenMode::kCreateOrKeep);
  ASSERT_TRUE(file->WriteAt(0, "x").ok());
  char out;
  fs.SetCold(true);
  EXPECT_TRUE(absl::IsUnavailable(file->ReadIfCached(0, 1, &out).status()));
  EXPECT_EQ(*file->ReadInto(0, 1, &out), 1u);
  fs.SetCold(false);
  EXPECT_EQ(*file->ReadIfCached(0, 1, &out), 1u);
}

TEST(PosixFileSystemTest, WithoutSyncNothingIsSynced) {
  PosixExecutor lane("lane");
  const auto sync_both_ways = [&](bool sync) {
    PosixFileSystem fs({.sync = sync});
    auto file = *fs.Open("/dev/null", OpenMode::kMustExist);
    absl::Status later;
    std::latch done(1);
    file->WriteAndSync(0, "x", &lane, [&](absl::Status status) {
      later = std::move(status);
      done.count_down();
    });
    done.wait();
    EXPECT_EQ(file->Sync().ok(), later.ok());
    return later.ok();
  };
  EXPECT_FALSE(sync_both_ways(true));
  EXPECT_TRUE(sync_both_ways(false));
}

TEST(FileSystemPathTest, DirectoryOf) {
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("/a"), "/");
  EXPECT_EQ(DirectoryOf("a"), ".");
}

}  // namespace
}  // namespace conclave
