#include "raft/core/progress.h"

#include <gtest/gtest.h>

namespace conclave::raft {
namespace {

constexpr WindowLimits kLimits{.appends_max = 3, .bytes_max = 100};
constexpr LogIndex kNoCommit{0};

// A peer that matches up to 5 and takes several requests at a time.
Progress Replicating() {
  Progress progress(LogIndex(6));
  progress.Sent(LogIndex(5), 0, kNoCommit);
  EXPECT_TRUE(progress.Accepted(LogIndex(5)));
  return progress;
}

TEST(ProgressTest, AProbeIsOneRequestAtATime) {
  Progress progress(LogIndex(6));
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_TRUE(progress.OwesEmpty(kLimits, kNoCommit));
  progress.Sent(LogIndex(8), 60, kNoCommit);
  EXPECT_EQ(progress.next(), LogIndex(6)) << "nothing is known yet";
  EXPECT_FALSE(progress.MaySend(kLimits));
  EXPECT_FALSE(progress.OwesEmpty(kLimits, kNoCommit));
}

TEST(ProgressTest, AnAcceptedProbeOpensTheWindow) {
  Progress progress(LogIndex(6));
  progress.Sent(LogIndex(8), 60, kNoCommit);
  EXPECT_TRUE(progress.Accepted(LogIndex(8)));
  EXPECT_EQ(progress.state(), Progress::State::kReplicate);
  EXPECT_EQ(progress.match(), LogIndex(8));
  EXPECT_EQ(progress.next(), LogIndex(9));
}

TEST(ProgressTest, NextRunsAheadOfTheAnswers) {  // thesis 10.2.1
  Progress progress = Replicating();
  progress.Sent(LogIndex(7), 20, kNoCommit);
  progress.Sent(LogIndex(9), 20, kNoCommit);
  EXPECT_EQ(progress.next(), LogIndex(10));
  EXPECT_EQ(progress.match(), LogIndex(5));
  EXPECT_EQ(progress.window().appends(), 2u);
  EXPECT_TRUE(progress.Accepted(LogIndex(7)));
  EXPECT_EQ(progress.window().appends(), 1u);
  EXPECT_EQ(progress.window().bytes(), 20u);
  EXPECT_EQ(progress.next(), LogIndex(10));
}

TEST(ProgressTest, ARefusedWindowOpensAnewOneRequestForEachThatIsAccepted) {
  Progress progress = Replicating();
  for (uint64_t last = 6; last <= 8; ++last) progress.Sent(LogIndex(last), 1, kNoCommit);
  EXPECT_TRUE(progress.Rejected(LogIndex(7), LogIndex(5)));
  progress.Sent(LogIndex(6), 1, kNoCommit);  // the probe
  EXPECT_TRUE(progress.Accepted(LogIndex(6)));
  for (uint64_t allowed = 2; allowed <= 3; ++allowed) {
    while (progress.MaySend(kLimits)) progress.Sent(progress.next(), 1, kNoCommit);
    EXPECT_EQ(progress.window().appends(), allowed);
    EXPECT_FALSE(progress.OwesEmpty(kLimits, progress.match()));
    EXPECT_TRUE(progress.Accepted(progress.match().Next()));
  }
  while (progress.MaySend(kLimits)) progress.Sent(progress.next(), 1, kNoCommit);
  EXPECT_EQ(progress.window().appends(), kLimits.appends_max);
}

TEST(ProgressTest, TheWindowIsBoundedByCountAndByBytes) {
  Progress by_count = Replicating();
  for (uint64_t last = 6; last <= 8; ++last) {
    EXPECT_TRUE(by_count.MaySend(kLimits));
    by_count.Sent(LogIndex(last), 1, kNoCommit);
  }
  EXPECT_FALSE(by_count.MaySend(kLimits));
  Progress by_bytes = Replicating();
  by_bytes.Sent(LogIndex(6), 100, kNoCommit);
  EXPECT_FALSE(by_bytes.MaySend(kLimits));
  EXPECT_TRUE(by_bytes.Accepted(LogIndex(6)));
  EXPECT_TRUE(by_bytes.MaySend(kLimits));
}

TEST(ProgressTest, ALaterAnswerStandsForTheEarlierOnes) {
  Progress progress = Replicating();
  progress.Sent(LogIndex(7), 20, kNoCommit);
  progress.Sent(LogIndex(9), 20, kNoCommit);
  EXPECT_TRUE(progress.Accepted(LogIndex(9)));
  EXPECT_EQ(progress.window().appends(), 0u);
  EXPECT_FALSE(progress.Accepted(LogIndex(7))) << "it comes late and is no news";
  EXPECT_EQ(progress.match(), LogIndex(9));
}

TEST(ProgressTest, ARejectionGoesBackToProbingAtTheHint) {  // thesis 3.5
  Progress progress = Replicating();
  progress.Sent(LogIndex(7), 20, kNoCommit);
  progress.Sent(LogIndex(12), 20, kNoCommit);
  EXPECT_TRUE(progress.Rejected(LogIndex(7), LogIndex(6)));
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_EQ(progress.next(), LogIndex(7));
  EXPECT_EQ(progress.window().appends(), 0u);
  EXPECT_TRUE(progress.MaySend(kLimits));
}

TEST(ProgressTest, AnOldRejectionIsIgnored) {
  Progress progress = Replicating();
  EXPECT_FALSE(progress.Rejected(LogIndex(5), LogIndex(2))) << "match is acknowledged";
  EXPECT_EQ(progress.state(), Progress::State::kReplicate);
  EXPECT_TRUE(progress.Rejected(LogIndex(9), LogIndex(7)));
  EXPECT_EQ(progress.next(), LogIndex(8));
  EXPECT_FALSE(progress.Rejected(LogIndex(9), LogIndex(5))) << "not of the probe under way";
  EXPECT_EQ(progress.next(), LogIndex(8));
}

TEST(ProgressTest, AHintNeverLeadsBelowMatchNorForward) {
  Progress low = Replicating();
  EXPECT_TRUE(low.Rejected(LogIndex(9), LogIndex(1)));
  EXPECT_EQ(low.next(), LogIndex(6));
  Progress high = Replicating();
  EXPECT_TRUE(high.Rejected(LogIndex(9), LogIndex(20)));
  EXPECT_EQ(high.next(), LogIndex(9));
}

TEST(ProgressTest, ALostConnectionWaitsForAnAnsweredHeartbeat) {
  Progress progress = Replicating();
  progress.Sent(LogIndex(9), 20, kNoCommit);
  progress.Lost();
  EXPECT_EQ(progress.next(), LogIndex(6));
  EXPECT_FALSE(progress.MaySend(kLimits)) << "it would be lost as well";
  progress.HeartbeatAnswered();
  EXPECT_TRUE(progress.MaySend(kLimits));
}

// Else it would be asked from the start of the log, which may be gone: a member that lacks nothing
// would be given a snapshot.
TEST(ProgressTest, AConnectionLostWhileProbingChangesNothingOfWhereToAsk) {
  Progress progress(LogIndex(9));
  progress.Sent(LogIndex(9), 20, kNoCommit);
  progress.Lost();
  EXPECT_EQ(progress.next(), LogIndex(9));
  EXPECT_FALSE(progress.MaySend(kLimits));
  progress.HeartbeatAnswered();
  EXPECT_TRUE(progress.MaySend(kLimits));
}

TEST(ProgressTest, NewsOfACommitAreOwedOnce) {
  Progress progress = Replicating();
  EXPECT_FALSE(progress.OwesEmpty(kLimits, kNoCommit));
  EXPECT_TRUE(progress.OwesEmpty(kLimits, LogIndex(4)));
  progress.Sent(LogIndex(5), 0, LogIndex(4));
  EXPECT_FALSE(progress.OwesEmpty(kLimits, LogIndex(4)));
  // It could use no more of it than it was sent.
  progress.Sent(LogIndex(6), 10, LogIndex(20));
  EXPECT_EQ(progress.commit_sent(), LogIndex(6));
}

TEST(ProgressTest, AFullWindowHoldsNewsOfCommitsBack) {
  Progress progress = Replicating();
  progress.Sent(LogIndex(6), 100, kNoCommit);
  EXPECT_FALSE(progress.OwesEmpty(kLimits, LogIndex(5)));
}

TEST(ProgressTest, APeerThatDoesNotMoveIsAskedWhereItIs) {
  constexpr LogIndex kLeaderLast(9);
  Progress progress = Replicating();
  progress.HeartbeatSent(kLeaderLast);
  progress.Sent(kLeaderLast, 100, kNoCommit);
  progress.HeartbeatAnswered();
  EXPECT_FALSE(progress.OwesEmpty(kLimits, kNoCommit)) << "the answer may be on its way";
  progress.HeartbeatSent(kLeaderLast);
  progress.HeartbeatAnswered();
  EXPECT_TRUE(progress.OwesEmpty(kLimits, kNoCommit)) << "also through a full window";
  progress.Sent(kLeaderLast, 0, kNoCommit);
  EXPECT_FALSE(progress.OwesEmpty(kLimits, kNoCommit));
}

TEST(ProgressTest, APeerThatMovesIsLeftAlone) {
  constexpr LogIndex kLeaderLast(9);
  Progress progress = Replicating();
  progress.Sent(LogIndex(7), 20, kNoCommit);
  progress.Sent(kLeaderLast, 20, kNoCommit);
  progress.HeartbeatSent(kLeaderLast);
  progress.Accepted(LogIndex(7));
  progress.HeartbeatSent(kLeaderLast);
  progress.HeartbeatAnswered();
  EXPECT_FALSE(progress.OwesEmpty(kLimits, kNoCommit));
}

TEST(ProgressTest, APeerWhoseNextEntryIsGoneNeedsASnapshot) {
  Progress progress = Replicating();
  progress.LogStartsAfter(progress.next().Prev());
  EXPECT_EQ(progress.state(), Progress::State::kReplicate) << "the entry before is not sent";
  const LogIndex start = progress.next() + 3;
  progress.LogStartsAfter(start);
  EXPECT_EQ(progress.state(), Progress::State::kSnapshot);
  EXPECT_TRUE(progress.TakeOffer());
  EXPECT_FALSE(progress.TakeOffer()) << "one offer until the next heartbeat";
  progress.Lost();
  progress.HeartbeatAnswered();
  EXPECT_FALSE(progress.MaySend(kLimits));
  EXPECT_FALSE(progress.OwesEmpty(kLimits, start));
  progress.HeartbeatSent(start + 1);
  EXPECT_TRUE(progress.TakeOffer());
  EXPECT_TRUE(progress.Accepted(start));
  EXPECT_EQ(progress.state(), Progress::State::kReplicate);
  EXPECT_EQ(progress.next(), start.Next());
}

TEST(ProgressTest, OfAPeerThatLostEntriesNothingIsKnownButWhereToAsk) {
  Progress progress = Replicating();
  const LogIndex acknowledged = progress.next();
  progress.Sent(acknowledged, 20, kNoCommit);
  progress.Accepted(acknowledged);
  progress.Forget(LogIndex(2));
  EXPECT_EQ(progress.match(), LogIndex(0)) << "what is left may be another leader's";
  EXPECT_EQ(progress.next(), LogIndex(3));
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_TRUE(progress.MaySend(kLimits));
}

}  // namespace
}  // namespace conclave::raft
