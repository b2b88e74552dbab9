// Periodic and manual progress notifications (reference: behaviour section 6.6).
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/watch/hub_fixture.h"

namespace conclave::kv {
namespace {

using testing::IsEmpty;

constexpr Duration kInterval = Seconds(100);

class WatchProgressTest : public HubFixture {
 protected:
  WatchProgressTest() : HubFixture({.progress_interval = kInterval}) { hub_->Run(now_); }

  // Runs at every moment the hub asks for during the next `span`.
  void Pass(Duration span) {
    const Instant end = now_ + span;
    while (hub_->NextRun() <= end) {
      now_ = std::max(now_, hub_->NextRun());
      hub_->Run(now_);
    }
    now_ = end;
  }

  Instant now_ = Instant(Seconds(1000));
};

TEST_F(WatchProgressTest, PeriodicComesOncePerIntervalWithUpToATenthMore) {
  Watch({.key = "a", .progress_notify = true});
  Watch({.key = "b"});
  Put("z", "2");
  Pass(kInterval - Duration(1));
  EXPECT_THAT(sink_.Take(), IsEmpty());
  Pass(kInterval / 10 + Duration(1));
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].IsProgress());
  EXPECT_EQ(messages[0].message.watch_id, 0);
  EXPECT_EQ(messages[0].message.header_revision, 2);
  Pass(20 * kInterval);
  EXPECT_GE(sink_.messages().size(), 18u);
  EXPECT_LE(sink_.messages().size(), 20u);
}

TEST_F(WatchProgressTest, PeriodicIsSkippedOnceAfterEvents) {
  Watch({.key = "a", .progress_notify = true});
  Pass(Duration(0));
  Put("a", "2");
  sink_.Take();
  Pass(kInterval + kInterval / 10);
  EXPECT_THAT(sink_.Take(), IsEmpty());
  Pass(kInterval + kInterval / 10);
  EXPECT_EQ(sink_.Take().size(), 1u);
}

TEST_F(WatchProgressTest, PeriodicWaitsForTheStartRevision) {
  Watch({.key = "a", .start_revision = 3, .progress_notify = true});
  Put("z", "2");
  Pass(3 * kInterval);
  EXPECT_THAT(sink_.Take(), IsEmpty());
  Put("z", "3");
  Pass(kInterval + kInterval / 10);
  ASSERT_FALSE(sink_.messages().empty());
  EXPECT_EQ(sink_.last().message.header_revision, 3);
}

TEST_F(WatchProgressTest, PeriodicEndsWithTheLastWatcherThatWantsIt) {
  Watch({.key = "a", .progress_notify = true});
  stream_->Cancel(0);
  sink_.Take();
  Pass(2 * kInterval);
  EXPECT_THAT(sink_.Take(), IsEmpty());
  EXPECT_EQ(hub_->NextRun(), kNever);
  Watch({.key = "a", .progress_notify = true});
  Pass(kInterval + kInterval / 10);
  EXPECT_EQ(sink_.Take().size(), 1u) << "and begins again with the next";
}

TEST_F(WatchProgressTest, NothingIsSentToAnUnwritableStream) {
  Watch({.key = "a", .progress_notify = true});
  sink_.set_writable(false);
  Pass(3 * kInterval);
  stream_->RequestProgress();
  EXPECT_THAT(sink_.Take(), IsEmpty());
}

TEST_F(WatchProgressTest, ManualAnswersForTheWholeStream) {
  Put("z", "2");
  Watch({.key = "a"});
  Watch({.key = "b"});
  stream_->RequestProgress();
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].IsProgress());
  EXPECT_EQ(messages[0].message.watch_id, -1);
  EXPECT_EQ(messages[0].message.header_revision, 2);
}

TEST_F(WatchProgressTest, ManualOnAStreamWithoutWatchersIsNotAnswered) {
  stream_->RequestProgress();
  EXPECT_THAT(sink_.Take(), IsEmpty());
}

TEST_F(WatchProgressTest, ManualIsDroppedWhileAnyWatcherIsUnsynced) {
  Put("a", "2");
  Watch({.key = "z"});
  Watch({.key = "a", .start_revision = 2});
  stream_->RequestProgress();
  EXPECT_THAT(sink_.Take(), IsEmpty());
  CatchUp();
  stream_->RequestProgress();
  ASSERT_EQ(sink_.messages().size(), 2u) << "events, then progress";
  EXPECT_EQ(EventsText(sink_.messages()[0]), "2:a=2");
  EXPECT_TRUE(sink_.last().IsProgress());
}

TEST_F(WatchProgressTest, ManualIsDroppedBeforeAnyStartRevision) {
  Watch({.key = "z"});
  Watch({.key = "a", .start_revision = 2});
  stream_->RequestProgress();
  EXPECT_THAT(sink_.Take(), IsEmpty());
  Put("z", "2");
  sink_.Take();
  stream_->RequestProgress();
  ASSERT_EQ(sink_.messages().size(), 1u);
  EXPECT_EQ(sink_.last().message.header_revision, 2);
}

TEST_F(WatchProgressTest, ManualLooksOnlyAtItsOwnStream) {
  Put("a", "2");
  RecordingSink other_sink;
  const auto other = hub_->NewStream(&other_sink);
  other->Create({.key = "a", .start_revision = 2});
  Watch({.key = "a"});
  stream_->RequestProgress();
  EXPECT_EQ(sink_.Take().size(), 1u);
}

}  // namespace
}  // namespace conclave::kv
