#include "raft/wal/wal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/base/text.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WalTest, ANewLogIsEmptyWithItsConfiguration) {
  WalWorld world;
  EXPECT_FALSE(Wal::Exists(world.fs, world.options));
  world.Start();
  EXPECT_TRUE(Wal::Exists(world.fs, world.options));
  EXPECT_EQ(ModelOf(world.contents), Model());
  EXPECT_FALSE(world.contents.torn_tail);
}

TEST(WalTest, ANewLogIsDurableOnceItIsCreated) {
  WalWorld world;
  ASSERT_TRUE(Wal::Create(world.fs, world.options, ThreeVoters()).ok());
  world.fs.CrashAndLose();
  EXPECT_TRUE(world.Open().ok());
}

TEST(WalTest, CreateRefusesADirectoryWithALog) {
  WalWorld world;
  world.Start();
  EXPECT_TRUE(absl::IsAlreadyExists(Wal::Create(world.fs, world.options, ThreeVoters())));
}

TEST(WalTest, WhatWasAppendedIsReadBack) {
  WalWorld world;
  world.Start();
  Model model;
  std::vector<Entry> entries = Entries(1, 3, 1);
  entries[1].kind = EntryKind::kNoop;
  entries[1].payload = Bytes();
  entries[2].kind = EntryKind::kConfiguration;
  AppendTask both = TaskOf(entries);
  both.hard_state = HardState{Term(1), NodeId(2)};
  for (const AppendTask& task :
       {both, TaskOf(Entries(4, 9, 1)), TaskOf(HardState{Term(7), kNoNode})}) {
    world.Write(task);
    model.Append(task);
  }
  EXPECT_EQ(world.durable, 3u);
  world.fs.CrashAndLose();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(ModelOf(world.contents), model);
}

TEST(WalTest, EntriesReplaceEverythingFromTheirFirstIndexOn) {
  WalWorld world;
  world.Start();
  Model model;
  for (const AppendTask& task : {TaskOf(Entries(1, 9, 1)), TaskOf(Entries(4, 5, 2, "other"))}) {
    world.Write(task);
    model.Append(task);
  }
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(ModelOf(world.contents), model);
  EXPECT_EQ(world.contents.entries.size(), 5u);
}

TEST(WalTest, AResetStartsTheLogAnew) {
  WalWorld world;
  world.Start();
  Model model;
  AppendTask with_vote = ResetTo(4, 3, Entries(5, 6, 3));
  with_vote.hard_state = HardState{Term(3), NodeId(2)};
  with_vote.reset->configuration.learners = {NodeId(7)};
  for (const AppendTask& task :
       {TaskOf(Entries(1, 9, 1)), with_vote, TaskOf(Entries(6, 8, 4)), ResetTo(8, 4)}) {
    world.Write(task);
    model.Append(task);
    world.fs.CrashAndLose();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(ModelOf(world.contents), model);
  }
  EXPECT_TRUE(world.contents.entries.empty());
  EXPECT_EQ(world.contents.hard_state, (HardState{Term(3), NodeId(2)}));
}

TEST(WalTest, AResetNeverGoesBackBehindARelease) {
  WalWorld world;
  world.Start();
  world.Write(TaskOf(Entries(1, 9, 1)));
  world.Release(5, 1);
  EXPECT_DEATH(world.Append(ResetTo(4, 2)), "CHECK.start.index");
}

TEST(WalTest, EntriesOfASegmentShareOneAllocation) {
  WalWorld world;
  world.Start();
  world.Write(TaskOf(Entries(1, 2, 1)));
  ASSERT_TRUE(world.Open().ok());
  const std::string_view first = world.contents.entries[0].payload.view();
  const std::string_view second = world.contents.entries[1].payload.view();
  EXPECT_EQ(second.data() - first.data(), static_cast<ptrdiff_t>(first.size() + 16));
}

TEST(WalTest, OneSyncServesEverythingAppendedMeanwhile) {
  WalWorld world(1 << 20);
  world.Start();
  world.fs.HoldSyncs(true);
  for (uint64_t i = 1; i <= 100; ++i) world.Append(TaskOf(Entries(i, i, 1)));
  EXPECT_EQ(world.fs.held_syncs(), 1u);
  world.fs.ReleaseSync();
  world.lane->RunPosted();
  EXPECT_EQ(world.durable, 1u);
  world.fs.ReleaseSync();
  world.lane->RunPosted();
  EXPECT_EQ(world.durable, 100u);
  EXPECT_EQ(world.wal->Stats().syncs, 2u);
  EXPECT_EQ(world.wal->Stats().entries, 100u);
}

TEST(WalTest, AWriteIsCappedAndTheRestFollows) {
  WalWorld world(64 << 20);
  world.Start();
  world.fs.HoldSyncs(true);
  const std::string megabyte(1 << 20, 'x');
  for (uint64_t i = 1; i <= 10; ++i) world.Append(TaskOf(Entries(i, i, 1, megabyte)));
  std::vector<uint64_t> durable_after;
  while (world.fs.ReleaseSync()) {
    world.lane->RunPosted();
    durable_after.push_back(world.durable);
  }
  EXPECT_THAT(durable_after, ElementsAre(1, 5, 9, 10));
}

TEST(WalTest, CallbacksRunInOrderAndEmptyTasksWaitForWhatIsBeforeThem) {
  WalWorld world;
  world.Start();
  world.fs.HoldSyncs(true);
  std::vector<int> order;
  const auto note = [&order](int number) { return [&order, number] { order.push_back(number); }; };
  AppendTask nothing;
  nothing.must_sync = false;
  world.wal->Append(nothing, note(0));
  EXPECT_THAT(order, ElementsAre()) << "never inside Append";
  world.lane->RunPosted();
  EXPECT_THAT(order, ElementsAre(0));
  world.wal->Append(TaskOf(Entries(1, 1, 1)), note(1));
  world.wal->Append(nothing, note(2));
  world.wal->Append(TaskOf(Entries(2, 2, 1)), note(3));
  world.wal->Append(nothing, note(4));
  world.lane->RunPosted();
  EXPECT_THAT(order, ElementsAre(0));
  world.fs.ReleaseSync();
  world.lane->RunPosted();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
  world.fs.ReleaseSync();
  world.lane->RunPosted();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(world.wal->Stats().syncs, 2u);
}

TEST(WalTest, ACallbackMayAppendAndMayEndTheLog) {
  WalWorld world;
  world.Start();
  int later = 0;
  world.wal->Append(TaskOf(Entries(1, 1, 1)), [&] {
    world.wal->Append(TaskOf(Entries(2, 2, 1)), [&] {
      world.wal->Append(TaskOf(Entries(3, 3, 1)), [&] { ++later; });
      world.wal->Append(AppendTask(), [&] { ++later; });
      world.wal.reset();
    });
  });
  world.lane->RunPosted();
  EXPECT_EQ(later, 0);
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.contents.entries.back().index, LogIndex(3));
}

TEST(WalTest, EachSyncIsObserved) {
  WalWorld world;
  world.Start();
  std::vector<std::pair<Duration, uint64_t>> seen;
  world.wal->SetSyncObserver([&](Duration took, uint64_t count) { seen.push_back({took, count}); });
  world.fs.HoldSyncs(true);
  world.Append(TaskOf(Entries(1, 1, 1)));
  world.Append(TaskOf(Entries(2, 4, 1)));
  world.lane->Advance(Milliseconds(3));
  world.fs.ReleaseSync();
  world.lane->Advance(Milliseconds(5));
  world.fs.ReleaseSync();
  world.lane->RunPosted();
  EXPECT_THAT(seen, ElementsAre(std::pair(Duration(Milliseconds(3)), 1u),
                                std::pair(Duration(Milliseconds(5)), 3u)));
  EXPECT_EQ(world.wal->Stats().last_sync, Milliseconds(5));
}

TEST(WalTest, AFailedSyncEndsTheProcess) {
  WalWorld world;
  world.Start();
  world.fs.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kSync ? absl::InternalError("bad sector")
                                                           : absl::OkStatus();
  });
  EXPECT_EXIT(world.Write(TaskOf(Entries(1, 1, 1))), ::testing::ExitedWithCode(1), "bad sector");
}

TEST(WalTest, AFailedWriteEndsTheProcess) {
  WalWorld world;
  world.Start();
  world.fs.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kWrite ? absl::ResourceExhaustedError("full")
                                                            : absl::OkStatus();
  });
  EXPECT_EXIT(world.Write(TaskOf(Entries(1, 1, 1))), ::testing::ExitedWithCode(1), "full");
}

TEST(WalTest, TheLogOfAnotherMemberOrClusterIsRefusedByName) {
  WalWorld world;
  world.Start();
  world.Write(TaskOf(Entries(1, 1, 1)));
  const WalOptions own = world.options;
  world.options.member = NodeId(0xb2);
  absl::Status status = world.Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(MessageOf(status)),
              HasSubstr("member a1 of cluster c1, not of member b2 of cluster c1"));
  world.options = own;
  world.options.cluster_id = 0xd1;
  status = world.Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("of member a1 of cluster d1"));
}

TEST(WalTest, ACrashInCreateLeavesNoLogOrAWholeOne) {
  for (int operations = 0;; ++operations) {
    WalWorld world;
    int left = operations;
    bool crashed = false;
    world.fs.SetFault([&](MemoryFileSystem::Operation, const std::string&) {
      if (left-- > 0) return absl::OkStatus();
      if (!std::exchange(crashed, true)) world.fs.CrashAndKeepBytes(UINT64_MAX);
      return absl::UnavailableError("crashed");
    });
    const bool created = Wal::Create(world.fs, world.options, ThreeVoters()).ok();
    world.fs.SetFault(nullptr);
    if (!Wal::Exists(world.fs, world.options)) {
      ASSERT_FALSE(created);
      ASSERT_TRUE(Wal::Create(world.fs, world.options, ThreeVoters()).ok()) << operations;
    }
    ASSERT_TRUE(world.Open().ok()) << operations;
    EXPECT_EQ(ModelOf(world.contents), Model());
    if (created) break;
  }
}

}  // namespace
}  // namespace conclave::raft
