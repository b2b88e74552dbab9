// What goes in comes out: any record through its bytes, and any log through any number of segments,
// syncs and restarts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "raft/base/random.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {
namespace {

std::string SomeBytes(Random& random, uint64_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Below(256));
  return bytes;
}

// Numbers of any length.
uint64_t SomeNumber(Random& random) { return random.Next() >> random.Below(64); }

HardState SomeHardState(Random& random) {
  return {Term(SomeNumber(random)), NodeId(SomeNumber(random))};
}

Configuration SomeConfiguration(Random& random) {
  Configuration configuration;
  uint64_t id = 0;
  const auto ids = [&](uint64_t least) {
    std::vector<NodeId> nodes;
    for (uint64_t count = random.Between(least, 5); count > 0; --count) {
      nodes.push_back(NodeId(id += random.Between(1, 1'000'000)));
    }
    return nodes;
  };
  configuration.voters = ids(1);
  if (random.OneIn(3)) configuration.outgoing = ids(1);
  configuration.learners = ids(0);
  return configuration;
}

LogStart SomeStart(Random& random, uint64_t index) {
  return {LogIndex(index), Term(SomeNumber(random)), SomeConfiguration(random)};
}

std::vector<Entry> SomeEntries(Random& random, uint64_t first, uint64_t count) {
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t size = random.OneIn(20) ? random.Below(3000) : random.Below(40);
    entries.push_back({Term(SomeNumber(random)), LogIndex(first + i),
                       static_cast<EntryKind>(random.Below(3)),
                       Bytes::Copy(SomeBytes(random, size))});
  }
  return entries;
}

TEST(RecordRoundTripTest, Payloads) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const HardState hard_state = SomeHardState(random);
    const LogStart start = SomeStart(random, SomeNumber(random) / 2);
    const LogIndex lost_through(SomeNumber(random));
    const std::vector<Entry> entries =
        SomeEntries(random, start.index.value() + 1, random.Below(4));
    const LogIndex last_index = start.index + entries.size();
    const std::string before = SomeBytes(random, random.Below(10));

    std::string reset = before;
    EncodeReset(start, lost_through, hard_state, entries, reset);
    const absl::StatusOr<Reset> decoded =
        DecodeReset(Bytes::Copy(reset), before.size(), reset.size() - before.size());
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->start, start);
    EXPECT_EQ(decoded->batch.lost_through, lost_through);
    EXPECT_EQ(decoded->batch.hard_state, hard_state);
    EXPECT_EQ(decoded->batch.entries, entries);
    EXPECT_EQ(decoded->batch.last_index, last_index);

    std::string batch = before;
    EncodeBatch(hard_state, last_index.Next(), entries, batch);
    EXPECT_EQ(batch.size() - before.size(), BatchPayloadBytes(entries));
    const absl::StatusOr<Batch> plain =
        DecodeBatch(Bytes::Copy(batch), before.size(), batch.size() - before.size());
    ASSERT_TRUE(plain.ok()) << plain.status();
    EXPECT_EQ(plain->entries, entries);
    EXPECT_EQ(plain->last_index, last_index);
    EXPECT_EQ(plain->lost_through, LogIndex(0));

    std::string bytes;
    EncodeRelease({hard_state, last_index, lost_through, start}, bytes);
    const absl::StatusOr<Release> release = DecodeRelease(bytes);
    ASSERT_TRUE(release.ok()) << release.status();
    EXPECT_EQ(release->hard_state, hard_state);
    EXPECT_EQ(release->last_index, last_index);
    EXPECT_EQ(release->lost_through, lost_through);
    EXPECT_EQ(release->start, start);
  }
}

TEST(RecordRoundTripTest, SegmentHeaders) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    SegmentHeader header;
    header.id = {random.Next(), NodeId(random.Next()), SomeNumber(random)};
    header.previous_end = SomeNumber(random);
    header.file_bytes = SomeNumber(random);
    header.after_damage = random.OneIn(2);
    header.start = {.hard_state = SomeHardState(random),
                    .last_index = LogIndex(SomeNumber(random)),
                    .last_term = Term(SomeNumber(random)),
                    .lost_through = LogIndex(SomeNumber(random)),
                    .snapshot_index = LogIndex(SomeNumber(random)),
                    .snapshot_term = Term(SomeNumber(random)),
                    .configuration = SomeConfiguration(random)};
    std::string bytes;
    EncodeSegmentHeader(header, bytes);
    const absl::StatusOr<SegmentHeader> decoded = DecodeSegmentHeader(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->id, header.id);
    EXPECT_EQ(decoded->previous_end, header.previous_end);
    EXPECT_EQ(decoded->file_bytes, header.file_bytes);
    EXPECT_EQ(decoded->after_damage, header.after_damage);
    EXPECT_EQ(decoded->start, header.start);
  }
}

// One log through several restarts, none of which takes anything.
class RoundTrip {
 public:
  explicit RoundTrip(uint64_t seed) : random_(seed), world_(size_t{512} << random_.Below(5)) {
    world_.Start();
  }

  void Run() {
    for (uint64_t lives = random_.Between(2, 6); lives > 0; --lives) {
      world_.fs.HoldSyncs(random_.OneIn(2));
      for (uint64_t steps = random_.Below(60); steps > 0; --steps) Step();
      world_.fs.HoldSyncs(false);
      while (world_.fs.ReleaseSync()) world_.lane->RunPosted();
      world_.lane->RunPosted();
      ASSERT_EQ(world_.durable, appended_);
      random_.OneIn(2) ? world_.fs.CrashAndLose() : world_.fs.KillProcess();
      const absl::Status status = world_.Open();
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_EQ(ModelOf(world_.contents), model_);
      ASSERT_EQ(world_.contents.damage, "");
      ASSERT_FALSE(world_.contents.torn_tail);
    }
  }

 private:
  void Step() {
    const uint64_t start = model_.snapshot_index.value();
    const uint64_t last = model_.last_index().value();
    switch (random_.Below(12)) {
      case 0:
        return Append(TaskOf(SomeHardState(random_)));
      case 1:
        return Release(SomeStart(random_, random_.Between(start, last + 2)));
      case 2: {
        AppendTask task = ResetTo(random_.Between(start, last + 9), 0);
        task.reset = SomeStart(random_, task.reset->index.value());
        task.entries = SomeEntries(random_, task.reset->index.value() + 1, random_.Below(3));
        task.complete = random_.OneIn(2);
        return Append(task);
      }
      case 3:
        if (world_.fs.ReleaseSync()) world_.lane->RunPosted();
        return;
      default: {
        const uint64_t first = random_.OneIn(5) ? random_.Between(start + 1, last + 1) : last + 1;
        AppendTask task = TaskOf(SomeEntries(random_, first, random_.Below(5)));
        if (random_.OneIn(3)) task.hard_state = SomeHardState(random_);
        return Append(task);
      }
    }
  }

  void Append(const AppendTask& task) {
    model_.Append(task);
    world_.Append(task);
    ++appended_;
  }

  void Release(const LogStart& start) {
    model_.Release(start);
    world_.wal->Release(start.index, start.term, start.configuration);
  }

  Random random_;
  WalWorld world_;
  Model model_;
  uint64_t appended_ = 0;
};

TEST(WalRoundTripTest, AnyLogReadsBackAsItWasWritten) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    RoundTrip(seed).Run();
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace conclave::raft
