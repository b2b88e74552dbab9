// Which events a watcher gets, in which responses (reference: behaviour sections 6.3-6.5).
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/watch/hub_fixture.h"

namespace conclave::kv {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class WatchDeliveryTest : public HubFixture {};

TEST_F(WatchDeliveryTest, Section63StartZeroGetsWhatComesAfterTheCreation) {
  Put("a", "2");
  Watch({.key = "a"});
  CatchUp();
  EXPECT_THAT(sink_.Take(), IsEmpty());
  Put("a", "3");
  const auto messages = sink_.Take();
  EXPECT_THAT(EventTexts(messages), ElementsAre("3:a=3"));
  EXPECT_EQ(messages[0].message.header_revision, 3);
}

TEST_F(WatchDeliveryTest, Section63StartInThePastReplaysThenContinues) {
  for (int i = 2; i <= 4; ++i) Put("a", std::to_string(i));
  Watch({.key = "a", .start_revision = 3});
  EXPECT_THAT(sink_.Take(), IsEmpty()) << "history is read in Run";
  EXPECT_EQ(hub_->Stats().unsynced, 1);
  CatchUp();
  Put("a", "5");
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=3 4:a=4", "5:a=5"));
  EXPECT_EQ(hub_->Stats().unsynced, 0);
}

TEST_F(WatchDeliveryTest, WhatWasChangedWhileNobodyWatchedIsReadInHistory) {
  Put("a", "2");
  stream_.reset();
  EXPECT_FALSE(hub_->any_streams());
  for (const std::string value : {"3", "4"}) {
    history_.Put("a", value);
    hub_->PassOver(history_.revision());
  }
  stream_ = hub_->NewStream(&sink_);
  EXPECT_TRUE(hub_->any_streams());
  Put("a", "5");
  Watch({.key = "a", .start_revision = 2});
  CatchUp();
  Put("a", "6");
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2 3:a=3 4:a=4 5:a=5", "6:a=6"));
}

TEST_F(WatchDeliveryTest, Section63StartInTheFutureWaitsForIt) {
  Watch({.key = "a", .start_revision = 4});
  for (int i = 2; i <= 5; ++i) Put("a", std::to_string(i));
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("4:a=4", "5:a=5"));
}

TEST_F(WatchDeliveryTest, Section64OneResponsePerRevisionWhenSynced) {
  Watch({.key = "a", .range_end = "z"});
  const auto first = history_.Apply({{"b", "1"}, {"zz", "1"}, {"a", "1"}});
  const auto second = history_.Apply({{"a", std::nullopt}, {"b", "2"}});
  hub_->Publish({first, second});
  const auto messages = sink_.Take();
  EXPECT_THAT(EventTexts(messages), ElementsAre("2:b=1 2:a=1", "3:a(deleted) 3:b=2"));
  EXPECT_EQ(messages[0].message.header_revision, 2);
  EXPECT_EQ(messages[1].message.header_revision, 3);
}

TEST_F(WatchDeliveryTest, Section64CatchUpCutsAtTheRevisionLimitWithTheStoresRevision) {
  for (int i = 2; i <= 6; ++i) Apply({{"a", std::to_string(i)}, {"b", std::to_string(i)}});
  Restart({.catch_up_revisions_max = 2});
  Watch({.key = "a", .range_end = "c", .start_revision = 2});
  EXPECT_TRUE(hub_->Run(Instant()));
  EXPECT_EQ(sink_.messages().size(), 1u) << "one Run is bounded";
  CatchUp();
  const auto messages = sink_.Take();
  EXPECT_THAT(EventTexts(messages),
              ElementsAre("2:a=2 2:b=2 3:a=3 3:b=3", "4:a=4 4:b=4 5:a=5 5:b=5", "6:a=6 6:b=6"));
  for (const ReceivedMessage& received : messages) {
    EXPECT_EQ(received.message.header_revision, 6);
  }
}

TEST_F(WatchDeliveryTest, Section64CatchUpFromTheRingCutsAtTheSameLimit) {
  Restart({.catch_up_revisions_max = 2});
  for (int i = 2; i <= 4; ++i) Put("a", std::to_string(i));
  Watch({.key = "a", .start_revision = 2});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2 3:a=3", "4:a=4"));
}

TEST_F(WatchDeliveryTest, Section64FilteredAndForeignEventsSendNothing) {
  Watch({.key = "a", .no_put = true});
  Watch({.key = "a", .no_delete = true});
  Watch({.key = "a", .no_put = true, .no_delete = true});
  Watch({.key = "b"});
  Put("a", "2");
  EXPECT_EQ(sink_.last().message.watch_id, 1);
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2"));
  Delete("a");
  EXPECT_EQ(sink_.last().message.watch_id, 0);
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a(deleted)"));
}

TEST_F(WatchDeliveryTest, Section65FiltersHoldWhileCatchingUp) {
  Put("a", "2");
  Delete("a");
  Watch({.key = "a", .start_revision = 2, .no_put = true});
  Watch({.key = "a", .start_revision = 2, .no_put = true, .no_delete = true});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.messages()), ElementsAre("3:a(deleted)"));
  EXPECT_EQ(sink_.messages().size(), 1u) << "an empty response would be a progress notification";
}

TEST_F(WatchDeliveryTest, Section64EventContents) {
  Watch({.key = "a", .prev_kv = true});
  Put("a", "x");
  Put("a", "y");
  Delete("a");
  Put("a", "z");
  const auto messages = sink_.Take();
  EXPECT_THAT(EventTexts(messages), ElementsAre("2:a=x", "3:a=y<x", "4:a(deleted)<y", "5:a=z"));
  const mvccpb::Event& update = messages[1].events[0];
  EXPECT_EQ(update.kv().create_revision(), 2);
  EXPECT_EQ(update.kv().version(), 2);
  EXPECT_EQ(update.prev_kv().mod_revision(), 2);
  EXPECT_EQ(update.prev_kv().key(), "a");
  const mvccpb::Event& removal = messages[2].events[0];
  EXPECT_EQ(removal.kv().create_revision(), 0);
  EXPECT_EQ(removal.kv().version(), 0);
  EXPECT_EQ(messages[3].events[0].kv().create_revision(), 5);
  EXPECT_EQ(messages[3].events[0].kv().version(), 1);
}

TEST_F(WatchDeliveryTest, Section64PrevKvIsThePairBeforeTheWholeRevision) {
  Put("a", "x");
  Watch({.key = "a", .prev_kv = true});
  Apply({{"a", "y"}, {"a", std::nullopt}});
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=y<x 3:a(deleted)<x"));
  Watch({.key = "a", .start_revision = 3, .prev_kv = true});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=y<x 3:a(deleted)<x"));
}

TEST_F(WatchDeliveryTest, Section64PrevKvSurvivesACompactionRightBehind) {
  Watch({.key = "a", .prev_kv = true});
  Put("a", "x");
  Put("a", "y");
  Compact(3);
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=x", "3:a=y<x"));
}

TEST_F(WatchDeliveryTest, Section64PrevKvIsAbsentOnceCompactedAway) {
  Put("a", "x");
  Put("a", "y");
  Put("a", "z");
  Compact(3);
  Watch({.key = "a", .start_revision = 3, .prev_kv = true});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=y 4:a=z<y"));
}

TEST_F(WatchDeliveryTest, Section64WithAndWithoutPrevKvSideBySide) {
  Put("a", "x");
  Watch({.key = "a", .prev_kv = true});
  Watch({.key = "a"});
  Put("a", "y");
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=y<x", "3:a=y"));
}

TEST_F(WatchDeliveryTest, Section64SlowStreamIsServedAfterResumeWithoutGapOrDuplicate) {
  Watch({.key = "a", .range_end = "c"});
  Put("a", "2");
  sink_.set_writable(false);
  for (int i = 3; i <= 5; ++i) Put("a", std::to_string(i));
  EXPECT_EQ(hub_->Stats().slow, 1);
  EXPECT_FALSE(hub_->Run(Instant()));
  EXPECT_EQ(hub_->NextRun(), kNever) << "a slow watcher must not keep the lane busy";
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2"));

  sink_.set_writable(true);
  stream_->Resume();
  EXPECT_EQ(hub_->NextRun(), Instant::min());
  CatchUp();
  Put("a", "6");
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:a=3 4:a=4 5:a=5", "6:a=6"));
  EXPECT_EQ(hub_->Stats().slow, 0);
}

TEST_F(WatchDeliveryTest, Section64SlowStreamHoldsUpNobodyElse) {
  RecordingSink other_sink;
  const auto other = hub_->NewStream(&other_sink);
  other->Create({.key = "a"});
  Watch({.key = "a"});
  sink_.set_writable(false);
  Put("a", "2");
  EXPECT_EQ(EventTexts(other_sink.Take()), std::vector<std::string>{"2:a=2"});
}

TEST_F(WatchDeliveryTest, Section63SlowWatcherIsCanceledByCompactionThoughNotWritable) {
  Watch({.key = "a"});
  sink_.set_writable(false);
  Put("a", "2");
  Put("a", "3");
  Compact(2);
  EXPECT_THAT(sink_.Take(), IsEmpty()) << "revision 2 itself can still be served";
  Compact(3);
  ASSERT_EQ(sink_.messages().size(), 1u);
  EXPECT_EQ(sink_.last().message.compact_revision, 3);
}

TEST_F(WatchDeliveryTest, ResumingBehindACompactionNotYetAnnouncedCancelsEverySlowWatcher) {
  for (int i = 0; i < 3; ++i) Watch({.key = "a"});
  sink_.set_writable(false);
  Put("a", "2");
  Put("a", "3");
  history_.Compact(3);
  sink_.set_writable(true);
  stream_->Resume();
  EXPECT_EQ(stream_->watcher_count(), 0u);
  ASSERT_EQ(sink_.messages().size(), 3u);
  for (const ReceivedMessage& received : sink_.messages()) {
    EXPECT_EQ(received.message.compact_revision, 3);
  }
}

TEST_F(WatchDeliveryTest, CatchUpIsFairAmongWatchers) {
  for (int i = 2; i <= 9; ++i) Put("a", std::to_string(i));
  Restart({.catch_up_revisions_max = 2});
  for (int i = 0; i < 3; ++i) Watch({.key = "a", .start_revision = 2});
  for (int i = 0; i < 6; ++i) hub_->Run(Instant());
  std::vector<int64_t> order;
  for (const ReceivedMessage& received : sink_.Take()) order.push_back(received.message.watch_id);
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 0, 1, 2));
}

TEST_F(WatchDeliveryTest, RecentEventsSpareTheEngine) {
  for (int i = 2; i <= 4; ++i) Put("a", std::to_string(i));
  Watch({.key = "a", .start_revision = 2});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2 3:a=3 4:a=4"));
  EXPECT_EQ(history_.reads(), 0);
}

TEST_F(WatchDeliveryTest, WatchersThatStartTogetherShareTheReading) {
  for (int i = 2; i <= 7; ++i) Put("a", std::to_string(i));
  Restart({.catch_up_revisions_max = 4});
  Watch({.key = "a", .start_revision = 2});
  Watch({.key = "a", .start_revision = 3});
  Watch({.key = "a", .start_revision = 2});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()),
              ElementsAre("2:a=2 3:a=3 4:a=4 5:a=5", "3:a=3 4:a=4 5:a=5", "2:a=2 3:a=3 4:a=4 5:a=5",
                          "6:a=6 7:a=7", "6:a=6 7:a=7", "6:a=6 7:a=7"));
  EXPECT_EQ(history_.reads(), 2);

  Watch({.key = "a", .start_revision = 6});
  CatchUp();
  EXPECT_EQ(history_.reads(), 3) << "what was read is not kept once nobody catches up";
}

TEST_F(WatchDeliveryTest, CatchUpGoesFromHistoryOverIntoTheRing) {
  for (int i = 2; i <= 4; ++i) Put("a", std::to_string(i));
  Restart({.catch_up_revisions_max = 2});
  Put("a", "5");
  Put("a", "6");
  Watch({.key = "a", .start_revision = 2});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("2:a=2 3:a=3", "4:a=4 5:a=5", "6:a=6"));
}

TEST_F(WatchDeliveryTest, Section64AfterASnapshotWatchersContinueFromWhereTheyWere) {
  Watch({.key = "a"});
  Watch({.key = "a", .start_revision = 6});
  Put("a", "2");
  for (int i = 3; i <= 5; ++i) history_.Put("a", std::to_string(i));  // by another member
  hub_->Reload(&history_);
  CatchUp();
  Put("a", "6");
  EXPECT_THAT(EventTexts(sink_.Take()),
              ElementsAre("2:a=2", "3:a=3 4:a=4 5:a=5", "6:a=6", "6:a=6"));
}

TEST_F(WatchDeliveryTest, ASnapshotCompactedPastAWatcherCancelsIt) {
  Watch({.key = "a"});
  Put("a", "2");
  sink_.Take();
  for (int i = 3; i <= 6; ++i) history_.Put("a", std::to_string(i));
  history_.Compact(5);
  hub_->Reload(&history_);
  ASSERT_EQ(sink_.messages().size(), 1u);
  EXPECT_TRUE(sink_.last().message.canceled);
  EXPECT_EQ(sink_.last().message.compact_revision, 5);
}

class WatchFragmentTest : public HubFixture {
 protected:
  static constexpr size_t kResponseMax = 400;
  WatchFragmentTest() : HubFixture({.response_bytes_max = kResponseMax}) {}

  // One revision of `count` events of somewhat more than 100 bytes each.
  void ApplyLarge(int count) {
    std::vector<FakeHistory::Change> changes;
    for (int i = 0; i < count; ++i)
      changes.push_back({"k" + std::to_string(i), ""s.assign(100, 'v')});
    Apply(changes);
  }
};

TEST_F(WatchFragmentTest, Section65LargeResponseIsSplitAndOnlyTheLastPartIsNoFragment) {
  Watch({.key = "k", .range_end = "l", .fragment = true});
  ApplyLarge(8);
  const auto messages = sink_.Take();
  ASSERT_GT(messages.size(), 2u);
  size_t events = 0;
  for (const ReceivedMessage& part : messages) {
    EXPECT_EQ(part.message.fragment, &part != &messages.back());
    EXPECT_EQ(part.message.watch_id, 0);
    EXPECT_EQ(part.message.header_revision, 2);
    EXPECT_LT(part.encoded_bytes + 50, kResponseMax);
    for (const mvccpb::Event& event : part.events) {
      EXPECT_EQ(event.kv().key(), "k" + std::to_string(events++));
    }
  }
  EXPECT_EQ(events, 8u);
}

TEST_F(WatchFragmentTest, Section65WithoutTheFlagItIsSentWhole) {
  Watch({.key = "k", .range_end = "l"});
  ApplyLarge(8);
  ASSERT_EQ(sink_.messages().size(), 1u);
  EXPECT_EQ(sink_.last().events.size(), 8u);
  EXPECT_FALSE(sink_.last().message.fragment);
}

TEST_F(WatchFragmentTest, Section65SmallResponsesAndSingleEventsAreNotSplit) {
  Watch({.key = "k", .range_end = "l", .fragment = true});
  ApplyLarge(2);
  EXPECT_EQ(sink_.messages().size(), 1u);
  Put("k", ""s.assign(2 * kResponseMax, 'v'));
  ASSERT_EQ(sink_.messages().size(), 2u);
  EXPECT_FALSE(sink_.last().message.fragment);
}

TEST_F(WatchFragmentTest, Section65CatchUpIsSplitToo) {
  ApplyLarge(8);
  Watch({.key = "k", .range_end = "l", .start_revision = 2, .fragment = true});
  CatchUp();
  const auto messages = sink_.Take();
  ASSERT_GT(messages.size(), 2u);
  EXPECT_TRUE(messages.front().message.fragment);
  EXPECT_FALSE(messages.back().message.fragment);
}

}  // namespace
}  // namespace conclave::kv
