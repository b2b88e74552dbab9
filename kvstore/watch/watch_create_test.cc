// What create, cancel and compaction are answered with (reference: behaviour sections 6.1-6.3).
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/watch/hub_fixture.h"

namespace conclave::kv {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;

class WatchCreateTest : public HubFixture {
 protected:
  // Revision 6, compacted at 3, watcher 7 on the stream.
  WatchCreateTest() {
    for (int i = 2; i <= 6; ++i) Put("key", std::to_string(i));
    Compact(3);
    Watch({.key = "taken", .watch_id = 7});
  }
};

struct Outcome {
  std::string_view rule;
  WatchCreate create;
  int64_t watch_id;
  bool refused;
  std::string_view cancel_reason;
};

const Outcome kOutcomes[] = {
    {"assigned", {.key = "a"}, 0, false, ""},
    {"chosen by the client", {.key = "a", .watch_id = 42}, 42, false, ""},
    {"negative ids are not rejected", {.key = "a", .watch_id = -5}, -5, false, ""},
    {"id in use",
     {.key = "a", .watch_id = 7},
     -1,
     true,
     "mvcc: duplicate watch ID provided on the WatchStream"},
    {"empty key", {.key = ""}, 0, false, ""},
    {"prefix", {.key = "a", .range_end = "b"}, 0, false, ""},
    {"from key", {.key = "b", .range_end = "\0"s}, 0, false, ""},
    {"end is key", {.key = "b", .range_end = "b"}, -1, true, "mvcc: watcher range is empty"},
    {"end before key", {.key = "b", .range_end = "a"}, -1, true, "mvcc: watcher range is empty"},
    {"negative start",
     {.key = "a", .start_revision = -1},
     -1,
     true,
     "etcdserver: mvcc: required revision has been compacted"},
    {"from history", {.key = "a", .start_revision = 4}, 0, false, ""},
    {"at the compacted revision", {.key = "a", .start_revision = 3}, 0, false, ""},
    {"in the future", {.key = "a", .start_revision = 100}, 0, false, ""},
};

TEST_F(WatchCreateTest, Section62OutcomeTable) {
  for (const Outcome& outcome : kOutcomes) {
    SCOPED_TRACE(outcome.rule);
    RecordingSink sink;
    const auto stream = hub_->NewStream(&sink);
    stream->Create({.key = "taken", .watch_id = 7});
    sink.Take();

    stream->Create(outcome.create);
    const auto messages = sink.Take();
    ASSERT_EQ(messages.size(), 1u);
    const WatchMessage& answer = messages[0].message;
    EXPECT_TRUE(answer.created);
    EXPECT_EQ(answer.canceled, outcome.refused);
    EXPECT_EQ(answer.watch_id, outcome.watch_id);
    EXPECT_EQ(answer.cancel_reason, outcome.cancel_reason);
    EXPECT_EQ(answer.header_revision, 6);
    EXPECT_EQ(answer.compact_revision, 0);
    EXPECT_EQ(answer.event_count, 0u);
    EXPECT_EQ(stream->watcher_count(), outcome.refused ? 1u : 2u);
  }
}

TEST_F(WatchCreateTest, Section62AssignedIdsCountUpAndSkipThoseInUse) {
  std::vector<int64_t> ids;
  const auto create = [&](int64_t id) {
    stream_->Create({.key = "a", .watch_id = id});
    ids.push_back(sink_.last().message.watch_id);
  };
  create(0);
  create(1);
  create(0);
  stream_->Cancel(0);
  create(0);
  create(3);
  create(0);
  EXPECT_THAT(ids, ElementsAre(0, 1, 2, 3, -1, 4));
}

TEST_F(WatchCreateTest, Section63StartBelowCompactedIsCreatedThenCanceled) {
  stream_->Create({.key = "key", .start_revision = 2});
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_TRUE(messages[0].message.created);
  EXPECT_FALSE(messages[0].message.canceled);
  EXPECT_EQ(messages[0].message.header_revision, 6);
  EXPECT_FALSE(messages[1].message.created);
  EXPECT_TRUE(messages[1].message.canceled);
  EXPECT_EQ(messages[1].message.watch_id, messages[0].message.watch_id);
  EXPECT_EQ(messages[1].message.compact_revision, 3);
  EXPECT_EQ(messages[1].message.header_revision, 0);
  EXPECT_EQ(messages[1].message.cancel_reason, "");
  EXPECT_EQ(stream_->watcher_count(), 1u);

  stream_->Create({.key = "key", .start_revision = messages[1].message.compact_revision});
  CatchUp();
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("3:key=3 4:key=4 5:key=5 6:key=6"));
}

TEST_F(WatchCreateTest, Section63LaggingWatcherIsCanceledByCompaction) {
  Watch({.key = "key", .start_revision = 4});
  Compact(5);
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].message.canceled);
  EXPECT_EQ(messages[0].message.compact_revision, 5);
  EXPECT_EQ(messages[0].message.header_revision, 0);
  CatchUp();
  EXPECT_TRUE(sink_.Take().empty()) << "nothing may carry the id any more";
}

TEST_F(WatchCreateTest, Section61IdStaysTakenAfterACompactionUntilItIsCanceled) {
  stream_->Create({.key = "key", .start_revision = 2, .watch_id = 1});
  sink_.Take();
  std::vector<int64_t> ids;
  const auto create = [&](int64_t id) {
    stream_->Create({.key = "a", .watch_id = id});
    ids.push_back(sink_.last().message.watch_id);
  };
  create(1);
  create(0);
  create(0);
  EXPECT_THAT(ids, ElementsAre(-1, 0, 2)) << "neither asked for nor assigned";
  sink_.Take();

  stream_->Cancel(1);
  stream_->Cancel(1);
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 1u) << "answered once";
  EXPECT_TRUE(messages[0].message.canceled);
  EXPECT_EQ(messages[0].message.watch_id, 1);
  EXPECT_EQ(messages[0].message.header_revision, 6);
  EXPECT_EQ(messages[0].message.compact_revision, 0);
  create(1);
  EXPECT_EQ(ids.back(), 1);
}

TEST_F(WatchCreateTest, Section37SyncedAndFutureWatchersSurviveCompaction) {
  Watch({.key = "key"});
  Watch({.key = "key", .start_revision = 7});
  Compact(6);
  EXPECT_TRUE(sink_.Take().empty());
  Put("key", "7");
  EXPECT_THAT(EventTexts(sink_.Take()), ElementsAre("7:key=7", "7:key=7"));
}

TEST_F(WatchCreateTest, Section61CancelAnswersOnceAndUnknownIdsAreIgnored) {
  Watch({.key = "key"});
  stream_->Cancel(0);
  stream_->Cancel(0);
  stream_->Cancel(99);
  const auto messages = sink_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].message.watch_id, 0);
  EXPECT_TRUE(messages[0].message.canceled);
  EXPECT_FALSE(messages[0].message.created);
  EXPECT_EQ(messages[0].message.cancel_reason, "");
  EXPECT_EQ(messages[0].message.compact_revision, 0);
  EXPECT_EQ(messages[0].message.header_revision, 6);
  Put("key", "7");
  EXPECT_TRUE(sink_.Take().empty());
}

TEST_F(WatchCreateTest, Section67EndOfTheStreamIsSilentInEveryState) {
  Watch({.key = "key"});                       // synced
  Watch({.key = "key", .start_revision = 4});  // ready
  sink_.set_writable(false);
  Put("key", "7");  // the first is slow now
  ASSERT_EQ(hub_->Stats().slow, 1);
  ASSERT_EQ(hub_->Stats().unsynced, 2);
  stream_.reset();
  EXPECT_TRUE(sink_.Take().empty());
  EXPECT_EQ(hub_->Stats().streams, 0);
  EXPECT_EQ(hub_->Stats().watchers, 0);
  EXPECT_EQ(hub_->Stats().unsynced, 0);
  EXPECT_EQ(hub_->NextRun(), kNever);
  Put("key", "8");
  EXPECT_TRUE(sink_.Take().empty());
}

}  // namespace
}  // namespace conclave::kv
