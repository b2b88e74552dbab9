// What clients see of a member whose state is wrong (docs/integrity.md), and the seeded bug by
// which it goes on to serve.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "raft/base/with_seeded_bug.h"
#include "server/api/http_routes.h"
#include "server/api/test_api.h"
#include "server/stages/spoiled_value.h"

namespace conclave::server {
namespace {

constexpr char kRange[] = "/etcdserverpb.KV/Range";

std::string SerializableRange() {
  etcdserverpb::RangeRequest request;
  request.set_key("key");
  request.set_serializable(true);
  return request.SerializeAsString();
}

// Three members, of which one that does not lead has just been fenced: no later moment is certain,
// for its state is made good at once.
class FencedApi {
 public:
  FencedApi() : odd_(api_.follower()) {
    api_.Put("key", "right");
    watch_ = api_.Start(odd_, "/etcdserverpb.Watch/Watch");
    SpoilValue(*api_.cluster().member(odd_).engine, "key");
    api_.Put("key", "again");
    for (int i = 0; i < 2000 && !node().fenced(); ++i) api_.Run(Milliseconds(1));
    EXPECT_TRUE(node().fenced());
  }

  TestApi& api() { return api_; }
  size_t odd() const { return odd_; }
  Node& node() { return api_.cluster().node(odd_); }
  const FakeCall& watch() const { return *watch_; }
  // The answer that comes at once.
  absl::Status AnswerTo(size_t member, std::string_view path, const std::string& request = {}) {
    return api_.Start(member, path, request)->status().value_or(absl::UnknownError("later"));
  }
  int Health(size_t member) {
    int code = 0;
    for (const HttpRoute& route :
         HealthAndVersionRoutes(api_.member(member).context(), [](bool) {})) {
      if (route.path != "/health") continue;
      route.handler({.method = "GET", .path = "/health", .query = "", .headers = {}, .body = {}},
                    [&code](const HttpResponse& response) { code = response.code; });
    }
    api_.Run(Milliseconds(100));
    return code;
  }

 private:
  TestApi api_{3};
  const size_t odd_;
  std::shared_ptr<FakeCall> watch_;
};

TEST(FencedMemberTest, RefusesWhatComesFromItsState) {
  FencedApi fenced;
  const size_t odd = fenced.odd();
  EXPECT_EQ(fenced.AnswerTo(odd, kRange, SerializableRange()), kv::ErrCorrupt());
  for (const char* path : {kRange, "/etcdserverpb.KV/Put", "/etcdserverpb.KV/DeleteRange",
                           "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Compact",
                           "/etcdserverpb.Lease/LeaseGrant", "/etcdserverpb.Lease/LeaseLeases",
                           "/etcdserverpb.Cluster/MemberList", "/etcdserverpb.Watch/Watch"}) {
    EXPECT_EQ(fenced.AnswerTo(odd, path), kv::ErrCorrupt()) << path;
  }
  EXPECT_EQ(fenced.watch().status(), kv::ErrCorrupt());
  EXPECT_EQ(fenced.AnswerTo(odd, "/etcdserverpb.Maintenance/Status"), absl::OkStatus());
  EXPECT_EQ(fenced.AnswerTo(odd, "/etcdserverpb.Maintenance/Alarm"), absl::OkStatus());
}

TEST(FencedMemberTest, TheOthersServe) {
  FencedApi fenced;
  const size_t other = fenced.api().leader();
  EXPECT_EQ(fenced.AnswerTo(other, kRange, SerializableRange()), absl::OkStatus());
  EXPECT_EQ(fenced.Health(other), 200);
  fenced.api().Put("key", "more");
}

TEST(FencedMemberTest, IsIllAndThenWell) {
  FencedApi fenced;
  EXPECT_EQ(fenced.Health(fenced.odd()), 503);
  fenced.api().Run(Seconds(3));
  EXPECT_EQ(fenced.Health(fenced.odd()), 200);
  EXPECT_EQ(fenced.AnswerTo(fenced.odd(), kRange, SerializableRange()), absl::OkStatus());
}

TEST(FencedSeededBugsTest, FencedServes) {
  const WithSeededBug bug(SeededBug::kFencedServes);
  FencedApi fenced;
  EXPECT_EQ(fenced.AnswerTo(fenced.odd(), kRange, SerializableRange()), absl::OkStatus());
}

// An alarm that was raised by hand means what it means in etcd (reference: behaviour section 10.4).
TEST(CorruptClusterTest, NothingIsWrittenAndReadsGoOn) {
  TestApi api(3);
  api.Put("key", "value");
  etcdserverpb::AlarmRequest alarm;
  alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.set_alarm(etcdserverpb::CORRUPT);
  alarm.set_memberid(1);
  const auto is_refused = [&api](std::string_view path, const auto& request) {
    return api.StatusOf(path, request, 1) == kv::ErrCorrupt();
  };
  etcdserverpb::PutRequest put;
  put.set_key("key");
  EXPECT_FALSE(is_refused("/etcdserverpb.KV/Put", put));
  ASSERT_TRUE(api.StatusOf("/etcdserverpb.Maintenance/Alarm", alarm).ok());
  api.Run(Seconds(1));

  EXPECT_TRUE(is_refused("/etcdserverpb.KV/Put", put));
  etcdserverpb::DeleteRangeRequest removal;
  removal.set_key("key");
  EXPECT_TRUE(is_refused("/etcdserverpb.KV/DeleteRange", removal));
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_put() = put;
  EXPECT_TRUE(is_refused("/etcdserverpb.KV/Txn", txn));
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(2);
  EXPECT_TRUE(is_refused("/etcdserverpb.KV/Compact", compaction));
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(60);
  EXPECT_TRUE(is_refused("/etcdserverpb.Lease/LeaseGrant", grant));
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(9);
  EXPECT_TRUE(is_refused("/etcdserverpb.Lease/LeaseRevoke", revoke));
  etcdserverpb::RangeRequest range;
  range.set_key("key");
  EXPECT_TRUE(api.StatusOf(kRange, range, 1).ok());

  alarm.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  ASSERT_TRUE(api.StatusOf("/etcdserverpb.Maintenance/Alarm", alarm).ok());
  api.Run(Seconds(1));
  EXPECT_FALSE(is_refused("/etcdserverpb.KV/Put", put));
}

}  // namespace
}  // namespace conclave::server
