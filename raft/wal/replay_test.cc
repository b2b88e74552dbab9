// The rules by which a log is replayed, one at a time: what its records amount to, which
// contradictions are noticed, and what is still known of a log that has lost some of them.
#include "raft/wal/replay.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace conclave::raft {
namespace {

using testing::HasSubstr;

const Configuration kThree{
    .voters = {NodeId(1), NodeId(2), NodeId(3)}, .outgoing = {}, .learners = {}};

LogStart StartAfter(uint64_t index, uint64_t term) { return {LogIndex(index), Term(term), kThree}; }

// What a write of these entries, the first at `first`, leaves in the log.
Batch Written(uint64_t first, const std::vector<uint64_t>& terms, uint64_t lost_through = 0) {
  Batch batch{.hard_state = {Term(9), kNoNode},
              .last_index = LogIndex(first + terms.size() - 1),
              .lost_through = LogIndex(lost_through),
              .entries = {}};
  for (size_t i = 0; i < terms.size(); ++i) {
    batch.entries.push_back({Term(terms[i]), LogIndex(first + i), EntryKind::kCommand, {}});
  }
  return batch;
}

// A write of a hard state alone, to a log that ends at `last`.
Batch Voted(uint64_t term, uint64_t last) {
  return {.hard_state = {Term(term), NodeId(2)},
          .last_index = LogIndex(last),
          .lost_through = {},
          .entries = {}};
}

// A segment begins, and the log before it ended with (last, last_term).
SegmentHeader SegmentAt(uint64_t last, uint64_t last_term) {
  SegmentHeader header;
  header.start.hard_state = {Term(9), kNoNode};
  header.start.last_index = LogIndex(last);
  header.start.last_term = Term(last_term);
  header.start.configuration = kThree;
  return header;
}

Release Released(const LogStart& start, uint64_t last) {
  return {.hard_state = {Term(9), kNoNode},
          .last_index = LogIndex(last),
          .lost_through = {},
          .start = start};
}

class ReplayTest : public testing::Test {
 protected:
  ReplayTest() { Play(SegmentAt(0, 0)); }

  template <typename Record>
  void Play(Record record) {
    const absl::Status status = replay_.Add(std::move(record));
    EXPECT_TRUE(status.ok()) << status;
  }
  template <typename Record>
  void ExpectRefused(Record record, const std::string& words) {
    Replay tried = replay_;
    const absl::Status status = tried.Add(std::move(record));
    EXPECT_TRUE(absl::IsDataLoss(status)) << words;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }

  // As "after 2/1: 3/1 4/2", and what is lost.
  std::string Log() {
    absl::StatusOr<Replay::Outcome> outcome = replay_.Finish();
    if (!outcome.ok()) return std::string(outcome.status().message());
    const WalContents& log = outcome->contents;
    std::string text =
        fmt::format("after {}/{}:", log.snapshot_index.value(), log.snapshot_term.value());
    for (const Entry& entry : log.entries) {
      text += fmt::format(" {}/{}", entry.index.value(), entry.term.value());
    }
    EXPECT_EQ(outcome->state.last_index, log.snapshot_index + log.entries.size());
    EXPECT_EQ(outcome->state.last_term,
              log.entries.empty() ? log.snapshot_term : log.entries.back().term);
    EXPECT_EQ(log.lost_through, outcome->state.lost_through);
    if (log.lost_through > LogIndex(0)) {
      text += fmt::format(", lost through {}", log.lost_through.value());
    }
    return text + (outcome->after_damage ? ", damaged" : "");
  }

  Replay replay_;
};

// ---- Logs without damage. ----

TEST_F(ReplayTest, EntriesReplaceAllFromTheFirstOnesIndexOn) {
  Play(Written(1, {1, 1, 1}));
  Play(Written(2, {2}));
  Play(Written(3, {2, 3}));
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/2 3/2 4/3");
}

TEST_F(ReplayTest, AHardStateAloneLeavesTheEntries) {
  Play(Written(1, {1}));
  Play(Voted(12, 1));
  const absl::StatusOr<Replay::Outcome> outcome = replay_.Finish();
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->contents.hard_state, (HardState{Term(12), NodeId(2)}));
  EXPECT_EQ(outcome->contents.entries.size(), 1u);
}

TEST_F(ReplayTest, AReleaseLetsGoOfTheStart) {
  Play(Written(1, {1, 1, 1}));
  Play(Released(StartAfter(2, 1), 3));
  Play(Written(4, {2}));
  EXPECT_EQ(Log(), "after 2/1: 3/1 4/2");
}

TEST_F(ReplayTest, AReleaseBeyondTheEndLeavesAnEmptyLogThatGoesOnThere) {
  Play(Written(1, {1, 1}));
  Play(Released(StartAfter(5, 3), 5));
  Play(Written(6, {3}));
  EXPECT_EQ(Log(), "after 5/3: 6/3");
}

TEST_F(ReplayTest, AResetKeepsNothingOfTheLogBefore) {
  Play(Written(1, {1, 1, 1}));
  Play(Reset{StartAfter(2, 2), Written(3, {2})});
  EXPECT_EQ(Log(), "after 2/2: 3/2");
}

TEST_F(ReplayTest, ASegmentGoesOnWhereTheOneBeforeItEnds) {
  Play(Written(1, {1, 2}));
  Play(SegmentAt(2, 2));
  Play(Written(3, {2}));
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/2 3/2");
}

// ---- Records that contradict each other: segments of several logs are mixed up. ----

TEST_F(ReplayTest, EntriesBelongToTheLogThatThereIs) {
  Play(Written(1, {1, 1, 1}));
  Play(Released(StartAfter(2, 1), 3));
  ExpectRefused(Written(5, {1}), "entry 5 after entry 3 of a log that starts after 2");
  ExpectRefused(Written(2, {1}), "entry 2 after entry 3 of a log that starts after 2");
  ExpectRefused(Written(4, {1}, /*lost_through=*/7), "the log lacks other entries");
  ExpectRefused(Voted(9, 4), "the log ends at 3, not at 4");
  EXPECT_EQ(Log(), "after 2/1: 3/1") << "what was refused has left nothing behind";
}

TEST_F(ReplayTest, TheStartNeverMovesBack) {
  Play(Written(1, {1, 1, 1, 1}));
  Play(Released(StartAfter(3, 1), 4));
  ExpectRefused(Released(StartAfter(3, 1), 4), "the log's start moves back");
  ExpectRefused(Released(StartAfter(4, 1), 6), "a log of another length is released");
  ExpectRefused(Reset{StartAfter(2, 1), Voted(9, 2)}, "the log is started anew before its start");
}

TEST_F(ReplayTest, ACompletionIsOfThisLog) {
  Play(Written(1, {1, 1}));
  ExpectRefused(Completion{{Term(9), kNoNode}, LogIndex(3)}, "a log of another length is complete");
}

TEST_F(ReplayTest, ASegmentOfAnotherLogIsNoticedByWhateverItSays) {
  Play(Written(1, {1, 1, 2}));
  Play(Released(StartAfter(1, 1), 3));
  SegmentHeader right = SegmentAt(3, 2);
  right.start.snapshot_index = LogIndex(1);
  right.start.snapshot_term = Term(1);
  SegmentHeader of_other_length = right;
  of_other_length.start.last_index = LogIndex(4);
  SegmentHeader of_other_term = right;
  of_other_term.start.last_term = Term(1);
  SegmentHeader of_other_vote = right;
  of_other_vote.start.hard_state.vote = NodeId(3);
  SegmentHeader that_lacks_some = right;
  that_lacks_some.start.lost_through = LogIndex(8);
  SegmentHeader of_earlier_start = right;
  of_earlier_start.start.snapshot_index = LogIndex(0);
  SegmentHeader of_other_start = right;
  of_other_start.start.snapshot_term = Term(2);
  SegmentHeader of_others = right;
  of_others.start.configuration.voters.pop_back();
  for (const SegmentHeader& wrong : {of_other_length, of_other_term, of_other_vote, that_lacks_some,
                                     of_earlier_start, of_other_start, of_others}) {
    ExpectRefused(wrong, "the segment does not go on where the one before it ends");
  }
  Play(right);
  EXPECT_EQ(Log(), "after 1/1: 2/1 3/2");
}

// ---- Logs that have lost records. ----

TEST_F(ReplayTest, WhatWasWrittenLastMustBeThere) {
  Play(Written(1, {1, 1}));
  replay_.Lose();
  EXPECT_EQ(Log(), "what was written last is lost");
}

TEST(ReplayOfNoStartTest, WhereTheLogStartsMustBeKnown) {
  Replay replay;
  replay.Lose();
  ASSERT_TRUE(replay.Add(Written(5, {1})).ok());
  EXPECT_EQ(replay.Finish().status().message(), "where the log starts is lost");
}

// The lost records may have replaced any entry, so what is before and what is after them are not
// joined, even where the indexes fit.
TEST_F(ReplayTest, TheTwoSidesOfALossAreNeverJoinedByGuess) {
  Play(Written(1, {1, 1, 1}));
  replay_.Lose();
  Play(Written(4, {1, 1}));
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/1 3/1, lost through 5, damaged");
}

// Else it could be taken for the whole log.
TEST_F(ReplayTest, WhatIsLeftIsShorterThanTheLogWas) {
  Play(Written(1, {1, 1, 1}));
  replay_.Lose();
  Play(Voted(9, 3));
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/1, lost through 3, damaged");
}

TEST_F(ReplayTest, ASegmentThatBeginsWithTheLastEntryProvesAllBeforeIt) {
  Play(Written(1, {1, 2, 2}));
  replay_.Lose();
  Play(SegmentAt(2, 2));
  Play(Written(3, {3}));
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/2 3/3");
}

TEST_F(ReplayTest, OneThatBeginsWithAnotherEntryProvesThatItWasReplaced) {
  Play(Written(1, {1, 1, 1}));
  replay_.Lose();
  Play(SegmentAt(2, 2));
  EXPECT_EQ(Log(), "after 0/0: 1/1, lost through 2, damaged");
}

TEST_F(ReplayTest, EntriesThatReplaceAllMakeTheLogWholeAgain) {
  Play(Written(1, {1, 1}));
  replay_.Lose();
  Play(Written(1, {4, 4, 4}));
  EXPECT_EQ(Log(), "after 0/0: 1/4 2/4 3/4");
}

TEST_F(ReplayTest, ALossOfWhatIsReleasedOrStartedAnewMattersToNobody) {
  Play(Written(1, {1, 1}));
  replay_.Lose();
  Replay before = replay_;
  Play(Released(StartAfter(6, 2), 6));
  EXPECT_EQ(Log(), "after 6/2:");
  replay_ = std::move(before);
  Play(Reset{StartAfter(4, 2), Written(5, {2})});
  EXPECT_EQ(Log(), "after 4/2: 5/2");
}

TEST_F(ReplayTest, ASegmentThatWasBegunAfterDamageSaysWhatTheLogIs) {
  Play(Written(1, {1, 1, 1}));
  SegmentHeader header = SegmentAt(2, 1);
  header.start.lost_through = LogIndex(3);
  ExpectRefused(header, "the segment does not go on where the one before it ends");
  header.after_damage = true;
  Play(header);
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/1, lost through 3");
}

TEST_F(ReplayTest, ALossIsRememberedUntilACompletionSaysThatItIsFilledUp) {
  SegmentHeader header = SegmentAt(0, 0);
  header.after_damage = true;
  header.start.lost_through = LogIndex(2);
  Play(header);
  Play(Written(1, {2, 2}, /*lost_through=*/2));
  Replay before = replay_;
  EXPECT_EQ(Log(), "after 0/0: 1/2 2/2, lost through 2");
  replay_ = std::move(before);
  Play(Completion{{Term(9), kNoNode}, LogIndex(2)});
  Play(Written(3, {2}));
  EXPECT_EQ(Log(), "after 0/0: 1/2 2/2 3/2");
}

// A later piece may be longer, but only what has its beginning can be gone on from.
TEST_F(ReplayTest, WhatIsLeftHasABeginning) {
  Play(Written(1, {1, 1}));
  replay_.Lose();
  Play(Written(4, {1, 2, 2}));
  replay_.Lose();
  Play(SegmentAt(5, 2));
  Play(Written(6, {2}));
  Replay before = replay_;
  EXPECT_EQ(Log(), "after 0/0: 1/1 2/1, lost through 6, damaged");
  replay_ = std::move(before);
  Play(Released(StartAfter(4, 1), 6));
  EXPECT_EQ(Log(), "after 4/1: 5/2 6/2");
}

// ---- Logs whose first segments are gone, for what they held was released. ----

class LaterSegmentsTest : public ReplayTest {
 protected:
  // The first of them begins when the log starts after 1/1 and ends with 3/1.
  LaterSegmentsTest() {
    replay_ = Replay();
    Play(Later(3, 1));
    Play(Written(4, {1, 1, 2}));
  }

  static SegmentHeader Later(uint64_t last, uint64_t last_term) {
    SegmentHeader header = SegmentAt(last, last_term);
    header.start.snapshot_index = LogIndex(1);
    header.start.snapshot_term = Term(1);
    return header;
  }
};

TEST_F(LaterSegmentsTest, AreTheLogIfAReleaseSaysSo) {
  Replay before = replay_;
  EXPECT_EQ(Log(), "after 1/1:, lost through 6, damaged");
  replay_ = std::move(before);
  Play(Released(StartAfter(4, 1), 6));
  EXPECT_EQ(Log(), "after 4/1: 5/1 6/2");
}

// The member had gone on from a log that was whole: what had been damaged was not needed. Then it
// let go of the first segments, and of nothing else.
TEST_F(LaterSegmentsTest, ProveWhatCameBeforeALossAsMuchAsWholeLogsDo) {
  replay_.Lose();
  Play(Later(6, 2));
  Play(Released(StartAfter(5, 1), 6));
  Play(Written(7, {2}));
  EXPECT_EQ(Log(), "after 5/1: 6/2 7/2");
}

TEST_F(LaterSegmentsTest, ProveItThroughTwoLosses) {
  replay_.Lose();
  Play(Written(7, {3}));
  replay_.Lose();
  Play(Later(6, 2));
  Play(Released(StartAfter(5, 1), 6));
  EXPECT_EQ(Log(), "after 5/1: 6/2");
}

// The term of the entry before them is not known, so nothing can be told of it.
TEST_F(LaterSegmentsTest, ProveNothingOfTheEntryBeforeThem) {
  replay_.Lose();
  Play(Later(3, 1));
  Play(Written(4, {3}));
  EXPECT_EQ(Log(), "after 1/1:, lost through 4, damaged");
}

}  // namespace
}  // namespace conclave::raft
