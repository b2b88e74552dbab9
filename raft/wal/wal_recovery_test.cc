// What recovery makes of a disk that lost, tore or changed bytes: an unfinished last write is cut
// off, and only if it is one for certain (wal_damage_test.cc has the rest).
#include "raft/wal/segment_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "raft/base/random.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

using ::testing::HasSubstr;

// A log whose last write is [begin, end) of segment `sequence`, all of it durable, and what it
// holds with and without it.
struct KnownLog {
  explicit KnownLog(size_t segment_bytes) : world(segment_bytes) { world.Start(); }

  void Write(const AppendTask& task) {
    before = after;
    after.Append(task);
    world.Write(task);
    Locate();
  }
  // Two tasks in one write of their own.
  void WriteTogether(const AppendTask& first, const AppendTask& second) {
    world.fs.HoldSyncs(true);
    world.Append(TaskOf(after.hard_state));
    world.Append(first);
    world.Append(second);
    before = after;
    after.Append(first);
    middle = after;
    after.Append(second);
    world.fs.HoldSyncs(false);
    world.fs.ReleaseSync();
    world.lane->RunPosted();
    Locate();
  }
  void Locate() {
    for (uint64_t at = sequence; world.fs.Exists(world.path(at)); ++at) {
      const SegmentId id{world.options.cluster_id, world.options.member, at};
      const SegmentScan scan = ScanSegment(world.fs.Contents(world.path(at)), SumOf(id));
      if (scan.records.empty()) break;
      sequence = at;
      begin = scan.records.back().header.write_start;
      end = scan.end;
      header_end = scan.records.size() < 2 ? scan.end : scan.records[1].offset;
      last_record = scan.records.back().offset;
    }
  }
  bool InLastWrite(uint64_t file, uint64_t offset) const {
    return file == sequence && offset >= begin && offset < end;
  }

  WalWorld world;
  Model before, middle, after;
  uint64_t sequence = 1;
  uint64_t begin = 0, end = 0, header_end = 0, last_record = 0;
  uint64_t middle_whole = 0,
           after_whole = 0;  // bytes of the last write that make its records whole
};

// Some full segments and a little in a last one.
void FillSegments(KnownLog& log) {
  log.Write(TaskOf(HardState{Term(1), NodeId(2)}));
  for (uint64_t i = 1; i <= 9; ++i) log.Write(TaskOf(Entries(i, i, 1, std::string(60, 'x'))));
  log.Write(TaskOf(Entries(6, 7, 2)));
}

// Keeps the first `kept` bytes of a write of two records that was under way when the power failed.
absl::Status TearLastWrite(KnownLog& log, uint64_t kept) {
  log.Write(TaskOf(Entries(1, 2, 1)));
  log.world.fs.HoldSyncs(true);
  log.world.Append(TaskOf(Entries(3, 3, 1)));
  const AppendTask first = TaskOf(Entries(4, 5, 1));
  const AppendTask second = TaskOf(Entries(5, 6, 2));
  log.world.Append(first);
  log.world.Append(second);
  log.world.fs.ReleaseSync();
  log.world.lane->RunPosted();
  log.before = log.after;
  log.before.Append(TaskOf(Entries(3, 3, 1)));
  log.middle = log.before;
  log.middle.Append(first);
  log.after = log.middle;
  log.after.Append(second);
  // A record is whole without its padding: that is zero, as what it is written over.
  log.last_record = RecordBytes(BatchPayloadBytes(first.entries));
  log.middle_whole = kRecordHeaderBytes + BatchPayloadBytes(first.entries);
  log.after_whole = log.last_record + kRecordHeaderBytes + BatchPayloadBytes(second.entries);
  EXPECT_EQ(log.world.fs.unsynced_bytes(),
            log.last_record + RecordBytes(BatchPayloadBytes(second.entries)));
  log.world.fs.CrashAndKeepBytes(kept);
  log.world.fs.HoldSyncs(false);
  return log.world.Open();
}

TEST(WalTornTailTest, CutAtEveryByteItLeavesAPrefixWithAllThatWasSynced) {
  uint64_t whole = 1;
  for (uint64_t kept = 0; kept <= whole; ++kept) {
    KnownLog log(4096);
    const absl::Status status = TearLastWrite(log, kept);
    whole = log.after_whole;
    SCOPED_TRACE(kept);
    ASSERT_TRUE(status.ok()) << status;
    const Model& expected = kept >= log.after_whole    ? log.after
                            : kept >= log.middle_whole ? log.middle
                                                       : log.before;
    ASSERT_EQ(ModelOf(log.world.contents), expected);

    // What was recovered is durable, and the log goes on from there.
    Model model = expected;
    log.world.fs.CrashAndLose();
    ASSERT_TRUE(log.world.Open().ok());
    ASSERT_EQ(ModelOf(log.world.contents), model);
    EXPECT_FALSE(log.world.contents.torn_tail) << "it is gone for good";
    const uint64_t next = model.last_index().value() + 1;
    model.Append(TaskOf(Entries(next, next, 3)));
    log.world.Write(TaskOf(Entries(next, next, 3)));
    ASSERT_TRUE(log.world.Open().ok());
    ASSERT_EQ(ModelOf(log.world.contents), model);
  }
  EXPECT_GT(whole, 100u);
}

TEST(WalTornTailTest, ATornTailIsReported) {
  KnownLog log(4096);
  ASSERT_TRUE(TearLastWrite(log, kRecordHeaderBytes).ok());
  EXPECT_TRUE(log.world.contents.torn_tail);
}

TEST(WalTornTailTest, ALaterRecordOfTheSameWriteIsNoWitness) {
  KnownLog log(4096);
  log.Write(TaskOf(Entries(1, 2, 1)));
  log.WriteTogether(TaskOf(Entries(3, 3, 1)), TaskOf(Entries(4, 4, 1)));
  ASSERT_LT(log.begin, log.last_record);
  log.world.fs.KillProcess();
  log.world.fs.FlipBits(log.world.path(1), log.begin + 4, 1);
  ASSERT_TRUE(log.world.Open().ok());
  EXPECT_EQ(ModelOf(log.world.contents), log.before);
  EXPECT_TRUE(log.world.contents.torn_tail);

  // The second record was whole. New ones in the place of the first must not bring it back.
  Model model = log.before;
  model.Append(TaskOf(Entries(3, 3, 9)));
  log.world.Write(TaskOf(Entries(3, 3, 9)));
  ASSERT_TRUE(log.world.Open().ok());
  EXPECT_EQ(ModelOf(log.world.contents), model);
}

TEST(WalTornTailTest, ARecordOfALaterWriteIsAWitnessEvenIfItIsTornItself) {
  KnownLog log(4096);
  log.Write(TaskOf(Entries(1, 2, 1)));
  const uint64_t damaged = log.begin;
  log.Write(TaskOf(Entries(3, 3, 1)));
  log.world.fs.KillProcess();
  log.world.fs.FlipBits(log.world.path(1), damaged, 1);
  log.world.fs.FlipBits(log.world.path(1), log.end - 1, 1);
  const absl::Status status = log.world.Open();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_EQ(MessageOf(status),
            log.world.path(1) + ": damaged at offset " + std::to_string(damaged) +
                ": the record at " + std::to_string(log.begin) +
                " was written after it was durable: what was written last is lost");
}

TEST(WalRecoveryTest, WhatAKilledProcessHadOnlyWrittenIsMadeDurable) {
  KnownLog log(4096);
  log.world.fs.HoldSyncs(true);
  log.world.Append(TaskOf(Entries(1, 2, 1)));
  log.world.fs.KillProcess();
  log.world.fs.HoldSyncs(false);
  ASSERT_TRUE(log.world.Open().ok());
  ASSERT_EQ(log.world.contents.entries.size(), 2u) << "seen, so it may be acted upon";
  log.world.fs.CrashAndLose();
  ASSERT_TRUE(log.world.Open().ok());
  EXPECT_EQ(log.world.contents.entries.size(), 2u);
}

TEST(WalRecoveryTest, AFileThatEndsInTheLastWriteIsNoTornTail) {
  KnownLog log(768);
  FillSegments(log);
  log.world.fs.KillProcess();
  absl::StatusOr<std::unique_ptr<File>> file =
      log.world.fs.Open(log.world.path(log.sequence), OpenMode::kMustExist);
  ASSERT_TRUE((*file)->Truncate(log.begin + 1).ok());
  const absl::Status status = log.world.Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << "a file is made whole before it is used: " << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("bytes and was made of 768"));
}

TEST(WalRecoveryTest, ATornWriteInTheNextSegmentVouchesForTheOneBefore) {
  for (const bool torn : {false, true}) {
    KnownLog log(512);
    log.Write(TaskOf(Entries(1, 1, 1, std::string(200, 'x'))));
    ASSERT_EQ(log.sequence, 1u);
    log.world.fs.HoldSyncs(true);
    log.world.Append(TaskOf(Entries(2, 2, 1, std::string(200, 'x'))));
    log.world.fs.CrashAndKeepBytes(torn ? UINT64_MAX : 0);
    log.world.fs.HoldSyncs(false);
    // Of the next segment's first write only a record in its middle is left.
    if (torn) log.world.fs.FlipBits(log.world.path(2), 0, 1);
    log.world.fs.FlipBits(log.world.path(1), log.last_record + kRecordHeaderBytes, 1);
    const absl::Status status = log.world.Open();
    EXPECT_EQ(absl::IsDataLoss(status), torn) << status;
  }
}

TEST(WalRecoveryTest, AnUnknownFormatIsNamed) {
  WalWorld world;
  ASSERT_TRUE(Wal::Create(world.fs, world.options, ThreeVoters()).ok());
  SegmentHeader header;
  header.version = kWalFormatVersion + 1;
  header.id = {world.options.cluster_id, world.options.member, 1};
  std::string bytes;
  RecordWriter writer(bytes);
  EncodeSegmentHeader(header, bytes);
  writer.Finish(RecordType::kSegmentHeader, SumOf(header.id), 0, 0);
  ASSERT_TRUE((*world.fs.Open(world.path(1), OpenMode::kMustExist))->WriteAt(0, bytes).ok());
  const absl::Status status = world.Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("written in format version 3, known is 2"));
}

TEST(WalRecoveryTest, NoLogIsNotFound) {
  WalWorld world;
  EXPECT_TRUE(absl::IsNotFound(world.Open()));
  ASSERT_TRUE(world.fs.CreateDirectory(world.options.directory).ok());
  EXPECT_TRUE(absl::IsNotFound(world.Open()));
}

}  // namespace
}  // namespace conclave::raft
