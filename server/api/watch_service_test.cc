// The Watch service over one stream (reference: behaviour section 6). What is delivered when is the
// hub's, and tested there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;
using ::testing::IsEmpty;

constexpr char kWatch[] = "/etcdserverpb.Watch/Watch";

WatchRequest CreateOf(const std::string& key, int64_t start_revision = 0) {
  WatchRequest request;
  request.mutable_create_request()->set_key(key);
  request.mutable_create_request()->set_start_revision(start_revision);
  return request;
}

WatchRequest CancelOf(int64_t watch_id) {
  WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(watch_id);
  return request;
}

WatchRequest ProgressRequest() {
  WatchRequest request;
  request.mutable_progress_request();
  return request;
}

class WatchServiceTest : public ::testing::Test {
 protected:
  // What arrives in a while.
  std::vector<WatchResponse> Arrived() {
    api_.Run(Milliseconds(200));
    return call_->TakeSent<WatchResponse>();
  }
  // Sends the request and returns the one response to it.
  WatchResponse Answer(const WatchRequest& request) {
    call_->ReceiveMessage(request);
    const std::vector<WatchResponse> arrived = Arrived();
    EXPECT_EQ(arrived.size(), 1u);
    return arrived.empty() ? WatchResponse() : arrived[0];
  }

  TestApi api_;
  std::shared_ptr<FakeCall> call_ = api_.Start(0, kWatch);
};

TEST_F(WatchServiceTest, CreatedThenEventsThenCanceled) {
  api_.Put("a", "1");
  const WatchResponse created = Answer(CreateOf("a"));
  EXPECT_TRUE(created.created());
  EXPECT_EQ(created.watch_id(), 0);
  EXPECT_EQ(created.events_size(), 0);
  ExpectHeader(api_, created.header(), 2);

  api_.Put("b", "unwatched");
  api_.Put("a", "2");
  const std::vector<WatchResponse> events = Arrived();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_FALSE(events[0].created());
  ASSERT_EQ(events[0].events_size(), 1);
  EXPECT_EQ(events[0].events(0).kv().value(), "2");
  EXPECT_EQ(events[0].events(0).kv().mod_revision(), 4);
  EXPECT_FALSE(events[0].events(0).has_prev_kv());
  ExpectHeader(api_, events[0].header(), 4);

  api_.Put("b", "unwatched");
  const WatchResponse canceled = Answer(CancelOf(0));
  EXPECT_TRUE(canceled.canceled());
  EXPECT_FALSE(canceled.created());
  EXPECT_EQ(canceled.cancel_reason(), "");
  ExpectHeader(api_, canceled.header(), 5);
  api_.Put("a", "3");
  EXPECT_THAT(Arrived(), IsEmpty());
}

TEST_F(WatchServiceTest, EveryOptionOfACreationReachesTheHub) {
  api_.Put("a1", "old");
  WatchRequest request = CreateOf("a", 2);
  auto& create = *request.mutable_create_request();
  create.set_range_end("b");
  create.set_prev_kv(true);
  create.set_watch_id(42);
  create.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  call_->ReceiveMessage(request);
  api_.Put("a1", "new");
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("a1");
  ASSERT_TRUE(api_.StatusOf("/etcdserverpb.KV/DeleteRange", remove).ok());
  std::vector<std::string> values;
  std::string previous;
  for (const WatchResponse& response : Arrived()) {
    EXPECT_EQ(response.watch_id(), 42);
    for (const auto& event : response.events()) {
      values.push_back(event.kv().value());
      previous = event.prev_kv().value();
    }
  }
  EXPECT_THAT(values, ::testing::ElementsAre("old", "new"));
  EXPECT_EQ(previous, "old");
}

TEST_F(WatchServiceTest, ARefusedCreationAnswersOnceAndLeavesTheStreamOpen) {
  WatchRequest first = CreateOf("a");
  first.mutable_create_request()->set_watch_id(7);
  Answer(first);
  const WatchResponse duplicate = Answer(first);
  EXPECT_TRUE(duplicate.created());
  EXPECT_TRUE(duplicate.canceled());
  EXPECT_EQ(duplicate.watch_id(), -1);
  EXPECT_EQ(duplicate.cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
  WatchRequest empty = CreateOf("b");
  empty.mutable_create_request()->set_range_end("a");
  EXPECT_EQ(Answer(empty).cancel_reason(), "mvcc: watcher range is empty");
  EXPECT_FALSE(call_->status().has_value());
}

TEST_F(WatchServiceTest, AStartThatWasCompactedIsCreatedThenCanceledAtRevisionZero) {
  for (int i = 0; i < 5; ++i) api_.Put("a", std::to_string(i));
  api_.Compact(5);
  call_->ReceiveMessage(CreateOf("a", 3));
  const std::vector<WatchResponse> arrived = Arrived();
  ASSERT_EQ(arrived.size(), 2u);
  EXPECT_TRUE(arrived[0].created());
  EXPECT_FALSE(arrived[0].canceled());
  EXPECT_TRUE(arrived[1].canceled());
  EXPECT_EQ(arrived[1].compact_revision(), 5);
  ExpectHeader(api_, arrived[1].header(), 0);
}

TEST_F(WatchServiceTest, ProgressIsForTheWholeStream) {
  call_->ReceiveMessage(ProgressRequest());
  EXPECT_THAT(Arrived(), IsEmpty()) << "nobody watches";
  Answer(CreateOf("a"));
  api_.Put("b", "1");
  const WatchResponse progress = Answer(ProgressRequest());
  EXPECT_EQ(progress.watch_id(), -1);
  EXPECT_EQ(progress.events_size(), 0);
  EXPECT_FALSE(progress.created());
  ExpectHeader(api_, progress.header(), 2);
}

TEST_F(WatchServiceTest, UnknownCancelsAndEmptyRequestsAreIgnored) {
  call_->ReceiveMessage(CancelOf(5));
  call_->ReceiveMessage(WatchRequest());
  EXPECT_THAT(Arrived(), IsEmpty());
  EXPECT_FALSE(call_->status().has_value());
}

TEST_F(WatchServiceTest, HalfCloseDoesNotEndTheStream) {
  Answer(CreateOf("a"));
  call_->HalfClose();
  api_.Put("a", "1");
  EXPECT_EQ(Arrived().size(), 1u);
  EXPECT_FALSE(call_->status().has_value());
}

TEST_F(WatchServiceTest, MalformedRequestsEndTheStream) {
  call_->Receive("\xff\xff\xff");
  EXPECT_TRUE(absl::IsInternal(call_->status().value()));
}

TEST_F(WatchServiceTest, AClientThatDoesNotReadIsNotReadFrom) {
  Answer(CreateOf("a"));
  call_->BlockOutput(1 << 20);
  call_->ReceiveMessage(CreateOf("b"));
  EXPECT_TRUE(call_->reading_paused());
  EXPECT_EQ(Arrived().size(), 1u) << "answers to requests are always queued";
  for (int i = 0; i < 3; ++i) api_.Put("a", std::to_string(i));
  EXPECT_THAT(Arrived(), IsEmpty()) << "events are not";
  call_->UnblockOutput();
  EXPECT_FALSE(call_->reading_paused());
  std::vector<std::string> values;
  for (const WatchResponse& response : Arrived()) {
    for (const auto& event : response.events()) values.push_back(event.kv().value());
  }
  EXPECT_THAT(values, ::testing::ElementsAre("0", "1", "2"));
}

TEST_F(WatchServiceTest, AStreamThatClosedLeavesNoWatcher) {
  Answer(CreateOf("a"));
  EXPECT_EQ(api_.cluster().store(0).watches().Stats().watchers, 1);
  call_->Close();
  EXPECT_EQ(api_.cluster().store(0).watches().Stats().watchers, 0);
  EXPECT_EQ(api_.cluster().store(0).watches().Stats().streams, 0);
  api_.Put("a", "1");
  EXPECT_THAT(call_->sent(), IsEmpty());
}

}  // namespace
}  // namespace conclave::server
