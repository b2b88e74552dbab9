#include "raft/base/posix_removal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "raft/base/posix_clock.h"
#include "raft/base/posix_file_system.h"

namespace conclave {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kBytes = 5 * GradualRemoval::kPartBytes;

// Whether it comes true before so long is over.
bool Within(Duration limit, const std::function<bool()>& condition) {
  const PosixClock clock;
  const Instant end = clock.Now() + limit;
  while (clock.Now() < end) {
    if (condition()) return true;
  }
  return condition();
}

class RemovalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs_.RemoveTree(root_).ok());
    ASSERT_TRUE(fs_.CreateDirectory(root_).ok());
    ASSERT_TRUE(Open("table")->WriteAt(0, std::string(kBytes, 'x')).ok());
  }
  void TearDown() override { ASSERT_TRUE(fs_.RemoveTree(root_).ok()); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  std::unique_ptr<File> Open(const std::string& name) {
    return *fs_.Open(Path(name), OpenMode::kCreateOrKeep);
  }
  // A descriptor of a file without a name.
  int OpenNameless(uint64_t bytes) {
    const std::string path = Path("nameless");
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    EXPECT_EQ(::unlink(path.c_str()), 0);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(bytes)), 0);
    return fd;
  }

  const std::string root_ = ::testing::TempDir() + "/conclave_removal";
  PosixFileSystem fs_;
};

TEST_F(RemovalTest, SpaceIsGivenBackPartByPart) {
  const std::unique_ptr<File> table = Open("table");
  ASSERT_TRUE(fs_.RemoveGradually(Path("table")).ok());
  EXPECT_THAT(*fs_.List(root_), ElementsAre());
  uint64_t seen = kBytes;
  EXPECT_TRUE(Within(Seconds(60), [&] {
    const uint64_t size = *table->Size();
    EXPECT_EQ(size % GradualRemoval::kPartBytes, 0u);
    EXPECT_LE(size, seen);
    seen = size;
    return size == GradualRemoval::kPartBytes;  // the last part goes with the descriptor
  }));
}

// As somebody may keep a copy of a store, whose tables never change.
TEST_F(RemovalTest, WhatHasAnotherNameIsNotCut) {
  ASSERT_EQ(::link(Path("table").c_str(), Path("kept").c_str()), 0);
  ASSERT_EQ(::symlink("kept", Path("way").c_str()), 0);
  ASSERT_TRUE(fs_.RemoveGradually(Path("table")).ok());
  ASSERT_TRUE(fs_.RemoveGradually(Path("way")).ok());
  EXPECT_THAT(*fs_.List(root_), ElementsAre("kept"));
  const std::unique_ptr<File> kept = Open("kept");
  EXPECT_FALSE(Within(Milliseconds(20), [&] { return *kept->Size() != kBytes; }));
}

TEST_F(RemovalTest, NotTooManyFilesWait) {
  constexpr uint64_t kNeverDone = uint64_t{64} << 30;  // all of it a hole
  GradualRemoval removal;
  for (size_t i = 0; i < 2 * GradualRemoval::kFilesMax; ++i) {
    EXPECT_EQ(removal.Take(OpenNameless(kNeverDone), kNeverDone), i < GradualRemoval::kFilesMax);
  }
  EXPECT_EQ(removal.waiting(), GradualRemoval::kFilesMax) << "and it ends with them";
}

TEST_F(RemovalTest, OneFileAfterTheOther) {
  GradualRemoval removal;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(removal.Take(OpenNameless(kBytes), kBytes));
  EXPECT_TRUE(Within(Seconds(60), [&] { return removal.waiting() == 0; }));
}

}  // namespace
}  // namespace conclave
