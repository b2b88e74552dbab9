#include "client/bench/watch_load.h"

#include <gtest/gtest.h>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::client {
namespace {

etcdserverpb::WatchResponse ResponseOf(int events) {
  etcdserverpb::WatchResponse response;
  response.mutable_header()->set_revision(1LL << 60);
  response.set_watch_id(300);
  for (int i = 0; i < events; ++i) {
    mvccpb::Event* const event = response.add_events();
    event->mutable_kv()->set_key("k");
    event->mutable_kv()->set_mod_revision(i);
    event->mutable_kv()->set_value("value " + std::to_string(i));
  }
  return response;
}

TEST(WatchLoadTest, CountsEventsAndFindsTheLast) {
  for (const int events : {0, 1, 2, 300}) {
    const std::string wire = ResponseOf(events).SerializeAsString();
    const WatchCounts counts = CountWatchResponse(wire);
    EXPECT_EQ(counts.events, static_cast<std::uint64_t>(events));
    EXPECT_FALSE(counts.created);
    EXPECT_FALSE(counts.canceled);
    if (events == 0) continue;
    EXPECT_TRUE(counts.last_event.ends_with("value " + std::to_string(events - 1)));
  }
}

TEST(WatchLoadTest, SeesCreatedAndCanceled) {
  etcdserverpb::WatchResponse response = ResponseOf(0);
  response.set_created(true);
  EXPECT_TRUE(CountWatchResponse(response.SerializeAsString()).created);
  response.set_canceled(true);
  response.set_compact_revision(5);
  response.set_cancel_reason("why");
  EXPECT_TRUE(CountWatchResponse(response.SerializeAsString()).canceled);
}

TEST(WatchLoadTest, HalfAResponseIsNoTrap) {
  const std::string wire = ResponseOf(3).SerializeAsString();
  for (std::size_t size = 0; size < wire.size(); ++size) {
    EXPECT_LE(CountWatchResponse(std::string_view(wire).substr(0, size)).events, 3u);
  }
}

}  // namespace
}  // namespace conclave::client
