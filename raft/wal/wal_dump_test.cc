// What conclave-wal prints of logs that are whole, damaged, absent or being written, and its exit
// status.
#include "raft/wal/wal_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <latch>
#include <nlohmann/json.hpp>

#include "raft/base/posix_executor.h"
#include "raft/base/posix_file_system.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A record of nearly every type.
void Fill(WalWorld& world) {
  world.Start();
  AppendTask first = TaskOf(Entries(1, 2, 1, "put"));
  first.hard_state = HardState{Term(1), NodeId(0xa1)};
  first.entries[1].kind = EntryKind::kNoop;
  first.entries[1].payload = Bytes();
  world.Write(first);
  world.Release(1, 1);
  world.Write(ResetTo(9, 2, Entries(10, 10, 2, std::string("\"\0x", 3))));
  world.Write(TaskOf(Entries(11, 11, 2, std::string(200, 'x'))));
  AppendTask last = TaskOf(HardState{Term(3), kNoNode});
  last.complete = true;
  world.Write(last);
}

WalDump DumpOf(WalWorld& world) {
  absl::StatusOr<WalDump> dump = DumpWal(world.fs, world.options.directory);
  EXPECT_TRUE(dump.ok()) << dump.status();
  return *std::move(dump);
}

TEST(WalDumpTest, ATableOfEveryRecord) {
  WalWorld world(1024);
  Fill(world);
  const WalDump dump = DumpOf(world);
  EXPECT_FALSE(dump.damaged());
  EXPECT_EQ(DumpAsText(dump, /*entries=*/true), R"dump(log: log of member a1 of cluster c1

segment 0000000000000001: 912 of 1024 bytes in use
    offset  type           term              vote        entries      bytes  durable before  sum
         0  header            0                 0              -        176               0  ok   log starts after 0 of term 0, voters 1,2,3; ends at 0
       176  batch             1                a1            1-2         96             176  ok
            entry 1 of term 1, command, 5 bytes: "put-1"
            entry 2 of term 1, no-op, 0 bytes: ""
       272  release           1                a1              -        120             272  ok   log starts after 1 of term 1, voters 1,2,3
       392  reset             1                a1             10        144             392  ok   log starts after 9 of term 2, voters 1,2,3
            entry 10 of term 2, command, 6 bytes: "\"\x00x-10"
       536  batch             1                a1             11        272             536  ok
            entry 11 of term 2, command, 203 bytes: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"...
       808  batch             3                 0              -         56             808  ok
       864  complete          3                 0              -         48             808  ok

segment 0000000000000002: 0 of 1024 bytes in use, made ready

log: 2 entries after 9, up to 11; term 3, vote 0
)dump");
}

TEST(WalDumpTest, DamageIsNamedWhereItIs) {
  WalWorld world(1024);
  Fill(world);
  world.fs.KillProcess();
  world.fs.FlipBits(world.path(1), 200, 1);
  const WalDump dump = DumpOf(world);
  EXPECT_TRUE(dump.damaged());
  const std::string text = DumpAsText(dump, /*entries=*/false);
  EXPECT_THAT(text, HasSubstr("damaged at offset 176"));
  EXPECT_THAT(text, Not(HasSubstr("refused"))) << "a reset came after it";
}

TEST(WalDumpTest, WhatIsLostIsSaid) {
  WalWorld world(512);
  world.Start();
  for (uint64_t i = 1; i <= 6; ++i) world.Write(TaskOf(Entries(i, i, 1, std::string(100, 'x'))));
  world.fs.KillProcess();
  ASSERT_TRUE(world.fs.Remove(world.path(2)).ok());
  const WalDump dump = DumpOf(world);
  EXPECT_TRUE(dump.damaged());
  const std::string text = DumpAsText(dump, /*entries=*/false);
  EXPECT_THAT(text, HasSubstr("missing: segment 0000000000000002\n"));
  EXPECT_THAT(text, HasSubstr("lost: what follows, through 6\n"));
}

TEST(WalDumpTest, ALogThatIsRefusedIsShownAllTheSame) {
  WalWorld world(512);
  world.Start();
  for (uint64_t i = 1; i <= 2; ++i) world.Write(TaskOf(Entries(i, i, 1)));
  world.fs.KillProcess();
  ASSERT_TRUE((*world.fs.Open(world.path(1), OpenMode::kMustExist))->Truncate(300).ok());
  const WalDump dump = DumpOf(world);
  EXPECT_TRUE(dump.damaged());
  EXPECT_THAT(DumpAsText(dump, /*entries=*/false), HasSubstr("refused: " + world.path(1)));
}

TEST(WalDumpTest, OneJsonObject) {
  WalWorld world(1024);
  Fill(world);
  const auto json = nlohmann::json::parse(DumpAsJson(DumpOf(world), /*entries=*/true));
  EXPECT_EQ(json["member"], "a1");
  EXPECT_EQ(json["damaged"], false);
  EXPECT_EQ(json["log"]["first_index"], 10);
  EXPECT_EQ(json["log"]["term"], 3);
  const auto& records = json["segments"][0]["records"];
  EXPECT_EQ(records[0]["type"], "header");
  EXPECT_EQ(records[1]["entries"][0]["payload_hex"], "7075742d31");
  EXPECT_EQ(records[1]["entries"][1]["kind"], "no-op");
  EXPECT_EQ(records[2]["log_start"]["index"], 1);
  EXPECT_EQ(records[3]["log_start"]["configuration"]["voters"].size(), 3u);
  EXPECT_EQ(records[1]["sum_ok"], true);
  const auto brief = nlohmann::json::parse(DumpAsJson(DumpOf(world), /*entries=*/false));
  EXPECT_FALSE(brief["segments"][0]["records"][1].contains("entries"));
}

TEST(WalDumpTest, AnUnfinishedWriteIsNoDamage) {
  WalWorld world(512);
  world.Start();
  world.Write(TaskOf(Entries(1, 1, 1)));
  world.fs.HoldSyncs(true);
  world.Append(TaskOf(Entries(2, 2, 1)));
  world.fs.CrashAndKeepBytes(kRecordHeaderBytes);
  const std::string content = world.fs.Contents(world.path(1));
  const WalDump dump = DumpOf(world);
  EXPECT_FALSE(dump.damaged());
  EXPECT_THAT(DumpAsText(dump, /*entries=*/false), HasSubstr("pieces of an unfinished write"));
  EXPECT_EQ(world.fs.Contents(world.path(1)), content) << "nothing was done about it";
}

// The program on a real directory.
class WalProgramTest : public ::testing::Test {
 protected:
  WalProgramTest() {
    options_.directory = ::testing::TempDir() + "/conclave_wal_dump";
    options_.cluster_id = 0xc1;
    options_.member = NodeId(0xa1);
    options_.segment_bytes = 64 << 10;
    options_.reserve_bytes = 0;
    EXPECT_TRUE(fs_.RemoveTree(options_.directory).ok());
  }
  ~WalProgramTest() override { EXPECT_TRUE(fs_.RemoveTree(options_.directory).ok()); }

  // Its exit status; what it printed, to either stream, is in output_.
  int Run(const std::string& arguments) {
    output_.clear();
    std::FILE* pipe = popen((CONCLAVE_WAL_PROGRAM " " + arguments + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer;
    for (size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      output_.append(buffer.data(), got);
    }
    return WEXITSTATUS(pclose(pipe));
  }

  PosixFileSystem fs_;
  WalOptions options_;
  std::string output_;
};

TEST_F(WalProgramTest, TellsByItsStatusHowTheLogIs) {
  ASSERT_TRUE(Wal::Create(fs_, options_, ThreeVoters()).ok());
  EXPECT_EQ(Run(options_.directory), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("log of member a1 of cluster c1"));
  EXPECT_EQ(Run("--json --entries " + options_.directory), 0);
  EXPECT_TRUE(nlohmann::json::accept(output_));
  const std::string first = SegmentPath(options_.directory, 1);
  const std::string second = SegmentPath(options_.directory, 2);
  ASSERT_TRUE(fs_.Rename(first, second).ok());
  EXPECT_EQ(Run(options_.directory), 1) << output_;
  EXPECT_THAT(output_, HasSubstr("no header of this segment"));
}

TEST_F(WalProgramTest, SaysWhatItCannotRead) {
  EXPECT_EQ(Run(options_.directory), 2);
  EXPECT_THAT(output_, StartsWith("conclave-wal: " + options_.directory));
  EXPECT_THAT(output_, HasSubstr("No such file"));
  ASSERT_TRUE(fs_.CreateDirectory(options_.directory).ok());
  EXPECT_EQ(Run(options_.directory), 2);
  EXPECT_EQ(output_, "conclave-wal: " + options_.directory + ": holds no log\n");
  for (const char* bad : {"", "--unknown x", "a b"}) EXPECT_EQ(Run(bad), 2) << bad;
  EXPECT_EQ(Run("--help"), 0);
}

TEST_F(WalProgramTest, TheLogOfARunningMember) {
  ASSERT_TRUE(Wal::Create(fs_, options_, ThreeVoters()).ok());
  PosixExecutor lane("raft");
  auto fs = std::make_unique<PosixFileSystem>();
  std::unique_ptr<Wal> wal;
  std::atomic<bool> stop = false;
  std::latch stopped(1);
  std::function<void(uint64_t)> write = [&](uint64_t index) {
    if (stop) {
      wal.reset();
      return stopped.count_down();
    }
    if (index % 100 == 0) wal->Release(LogIndex(index - 50), Term(1), ThreeVoters());
    const AppendTask task = TaskOf(Entries(index, index, 1, std::string(1000, 'x')));
    wal->Append(task, [&write, index] { write(index + 1); });
  };
  lane.Post([&] {
    wal = std::move(Wal::Open(*fs, options_, &lane)->wal);
    write(1);
  });
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Run(options_.directory), 0) << output_;
  stop = true;
  stopped.wait();
  fs.reset();
}

}  // namespace
}  // namespace conclave::raft
