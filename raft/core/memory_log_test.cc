#include "raft/core/memory_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "raft/base/random.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Entry At(uint64_t index, uint64_t term, size_t bytes = 0) {
  return {.term = Term(term),
          .index = LogIndex(index),
          .kind = EntryKind::kCommand,
          .payload = Bytes::Copy(std::string(bytes, 'x'))};
}

// Starts after 10/2: 11/2, 12/2, 13/4, 14/4, 15/7.
MemoryLog FiveEntries() {
  return MemoryLog(LogIndex(10), Term(2), {At(11, 2), At(12, 2), At(13, 4), At(14, 4), At(15, 7)});
}

TEST(MemoryLogTest, AnEmptyLogEndsWhereItStarts) {
  const MemoryLog log(LogIndex(10), Term(2), {});
  EXPECT_EQ(log.first_index(), LogIndex(11));
  EXPECT_EQ(log.last_index(), LogIndex(10));
  EXPECT_EQ(log.last_term(), Term(2));
}

TEST(MemoryLogTest, TermsAreKnownFromTheStartToTheEnd) {
  const MemoryLog log = FiveEntries();
  EXPECT_EQ(log.TermAt(LogIndex(9)), std::nullopt);
  EXPECT_EQ(log.TermAt(LogIndex(10)), Term(2));
  EXPECT_EQ(log.TermAt(LogIndex(13)), Term(4));
  EXPECT_EQ(log.TermAt(LogIndex(15)), Term(7));
  EXPECT_EQ(log.TermAt(LogIndex(16)), std::nullopt);
}

TEST(MemoryLogTest, TruncationRemovesTheTail) {
  MemoryLog log = FiveEntries();
  log.TruncateFrom(LogIndex(13));
  EXPECT_EQ(log.last_index(), LogIndex(12));
  EXPECT_EQ(log.last_term(), Term(2));
  log.Append(At(13, 5));
  EXPECT_EQ(log.TermAt(LogIndex(13)), Term(5));
}

TEST(MemoryLogTest, CompactionMovesTheStartAndKeepsItsTerm) {
  MemoryLog log = FiveEntries();
  log.CompactTo(LogIndex(13));
  EXPECT_EQ(log.start(), LogIndex(13));
  EXPECT_EQ(log.TermAt(LogIndex(13)), Term(4));
  EXPECT_EQ(log.TermAt(LogIndex(12)), std::nullopt);
  EXPECT_EQ(log.At(LogIndex(14)).term, Term(4));
  log.CompactTo(LogIndex(15));
  EXPECT_EQ(log.last_index(), LogIndex(15));
  EXPECT_EQ(log.last_term(), Term(7));
}

TEST(MemoryLogTest, ASliceStopsBeforeItPassesItsBounds) {
  const MemoryLog log(LogIndex(0), Term(0), {At(1, 1, 68), At(2, 1, 68), At(3, 1, 68)});
  const LogIndex first(1), last(3);
  EXPECT_THAT(log.Slice(first, last, 300), SizeIs(3));  // each counts as 100
  EXPECT_THAT(log.Slice(first, last, 299), SizeIs(2));
  EXPECT_THAT(log.Slice(first, last, 300, 1), SizeIs(1));
  EXPECT_THAT(log.Slice(first, last, 1), SizeIs(1));  // one always fits
  EXPECT_THAT(log.Slice(LogIndex(2), LogIndex(2)), ElementsAre(At(2, 1, 68)));
  EXPECT_THAT(log.Slice(LogIndex(4), last), IsEmpty());
  EXPECT_EQ(log.BytesBetween(first, last), 200u);
}

TEST(MemoryLogTest, ASliceSharesThePayloads) {
  const MemoryLog log(LogIndex(0), Term(0), {At(1, 1, 68)});
  EXPECT_EQ(log.Slice(LogIndex(1), LogIndex(1))[0].payload.view().data(),
            log.At(LogIndex(1)).payload.view().data());
}

TEST(MemoryLogTest, TheLaterLastTermIsMoreUpToDateThenTheLongerLog) {  // thesis 3.6.1
  const MemoryLog log = FiveEntries();
  EXPECT_TRUE(log.NoMoreUpToDateThan(LogIndex(15), Term(7)));
  EXPECT_TRUE(log.NoMoreUpToDateThan(LogIndex(16), Term(7)));
  EXPECT_TRUE(log.NoMoreUpToDateThan(LogIndex(3), Term(8)));
  EXPECT_FALSE(log.NoMoreUpToDateThan(LogIndex(14), Term(7)));
  EXPECT_FALSE(log.NoMoreUpToDateThan(LogIndex(99), Term(6)));
}

TEST(MemoryLogTest, LastAtMostAgreesWithALinearSearch) {
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    MemoryLog log(LogIndex(5), Term(1), {});
    Term term(1);
    for (uint64_t count = random.Below(12); count > 0; --count) {
      term = term + random.Below(3);
      log.Append(At(log.last_index().value() + 1, term.value()));
    }
    for (LogIndex index(5); index <= LogIndex(20); ++index) {
      const Term bound(random.Below(14));
      LogIndex expected = std::min(index, log.last_index());
      while (expected > log.start() && *log.TermAt(expected) > bound) expected = expected.Prev();
      EXPECT_EQ(log.LastAtMost(index, bound), expected);
    }
  }
}

TEST(MemoryLogDeathTest, EntriesFollowEachOtherAndTermsDoNotFall) {
  MemoryLog log = FiveEntries();
  EXPECT_DEATH(log.Append(At(17, 7)), "last_index");
  EXPECT_DEATH(log.Append(At(16, 6)), "last_term");
  EXPECT_DEATH(log.TruncateFrom(LogIndex(10)), "start_");
}

}  // namespace
}  // namespace conclave::raft
