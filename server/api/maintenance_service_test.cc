// The Maintenance service (reference: behaviour section 10).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::AlarmType;
using etcdserverpb::HashKVRequest;
using etcdserverpb::HashKVResponse;
using etcdserverpb::MoveLeaderRequest;
using etcdserverpb::MoveLeaderResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kStatus[] = "/etcdserverpb.Maintenance/Status";
constexpr char kAlarm[] = "/etcdserverpb.Maintenance/Alarm";
constexpr char kHash[] = "/etcdserverpb.Maintenance/Hash";
constexpr char kHashKv[] = "/etcdserverpb.Maintenance/HashKV";
constexpr char kDefragment[] = "/etcdserverpb.Maintenance/Defragment";
constexpr char kMoveLeader[] = "/etcdserverpb.Maintenance/MoveLeader";

AlarmRequest AlarmOf(AlarmRequest::AlarmAction action, AlarmType type, uint64_t member = 0) {
  AlarmRequest request;
  request.set_action(action);
  request.set_alarm(type);
  request.set_memberid(member);
  return request;
}

HashKVRequest HashAt(int64_t revision) {
  HashKVRequest request;
  request.set_revision(revision);
  return request;
}

MoveLeaderRequest MoveTo(uint64_t target) {
  MoveLeaderRequest request;
  request.set_targetid(target);
  return request;
}

TEST(StatusTest, TellsOfTheMemberThatAnswers) {
  TestApi api(3, {.reported_version = "3.6.14", .quota_bytes = 12345});
  api.Put("a", "value");
  api.Run(Seconds(1));
  const size_t follower = api.follower();
  const StatusResponse status = *api.Ask<StatusResponse>(kStatus, StatusRequest(), follower);
  const raft::CoreStatus raft = api.cluster().node(follower).Status();
  ExpectHeader(api, status.header(), 2, follower);
  EXPECT_EQ(status.version(), "3.6.14");
  EXPECT_EQ(status.storageversion(), "3.6.0");
  EXPECT_GT(status.dbsize(), 0);
  EXPECT_GT(status.dbsizeinuse(), 0);
  EXPECT_LE(status.dbsizeinuse(), status.dbsize());
  EXPECT_EQ(status.dbsizequota(), 12345);
  EXPECT_EQ(status.leader(), api.cluster().node(api.leader()).id().value());
  EXPECT_EQ(status.raftindex(), raft.commit.value());
  EXPECT_EQ(status.raftappliedindex(), raft.applied.value());
  EXPECT_EQ(status.raftterm(), raft.term.value());
  EXPECT_GT(status.raftindex(), 0u);
  EXPECT_FALSE(status.islearner());
  EXPECT_THAT(status.errors(), IsEmpty());
}

TEST(StatusTest, ErrorsAreTheMissingLeaderAndEveryAlarm) {
  TestApi api(3);
  ASSERT_TRUE(api.StatusOf(kAlarm, AlarmOf(AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE, 9)).ok());
  api.Run(Seconds(1));
  const size_t alone = api.follower();
  api.cluster().Isolate(alone);
  api.Run(Seconds(5));
  const StatusResponse status = *api.Ask<StatusResponse>(kStatus, StatusRequest(), alone);
  EXPECT_EQ(status.leader(), 0u);
  EXPECT_THAT(status.errors(), ElementsAre("etcdserver: no leader", "memberID:9 alarm:NOSPACE "));
}

TEST(AlarmTest, ActivatedListedAndDeactivated) {
  TestApi api;
  const auto ask = [&](const AlarmRequest& request) {
    const auto response = api.Ask<AlarmResponse>(kAlarm, request);
    EXPECT_TRUE(response.ok()) << response.status();
    ExpectHeader(api, response->header(), 1);
    std::vector<std::string> alarms;
    for (const auto& alarm : response->alarms()) {
      alarms.push_back(AlarmType_Name(alarm.alarm()) + "@" + std::to_string(alarm.memberid()));
    }
    return alarms;
  };
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::GET, etcdserverpb::NONE)), IsEmpty());
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::ACTIVATE, etcdserverpb::NONE, 1)), IsEmpty());
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE, 1)),
              ElementsAre("NOSPACE@1"));
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE, 1)),
              ElementsAre("NOSPACE@1"));
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::GET, etcdserverpb::NONE, 55)), ElementsAre("NOSPACE@1"));
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::GET, etcdserverpb::NOSPACE)), ElementsAre("NOSPACE@1"));
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::GET, etcdserverpb::CORRUPT)), IsEmpty());
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::DEACTIVATE, etcdserverpb::NOSPACE, 2)), IsEmpty());
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::DEACTIVATE, etcdserverpb::NOSPACE, 1)),
              ElementsAre("NOSPACE@1"));
  EXPECT_THAT(ask(AlarmOf(AlarmRequest::GET, etcdserverpb::NONE)), IsEmpty());
}

TEST(AlarmTest, UnknownActionsAreRefused) {
  TestApi api;
  const auto unknown = AlarmOf(static_cast<AlarmRequest::AlarmAction>(9), etcdserverpb::NOSPACE);
  EXPECT_TRUE(absl::IsInvalidArgument(api.StatusOf(kAlarm, unknown)));
}

TEST(AlarmTest, WithoutSpaceOnlyWhatFreesItWorks) {
  TestApi api;
  api.Put("a", "value");
  ASSERT_TRUE(api.StatusOf(kAlarm, AlarmOf(AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE, 1)).ok());
  etcdserverpb::PutRequest put;
  put.set_key("b");
  EXPECT_EQ(api.StatusOf("/etcdserverpb.KV/Put", put), kv::ErrNoSpace());
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(60);
  EXPECT_EQ(api.StatusOf("/etcdserverpb.Lease/LeaseGrant", grant), kv::ErrNoSpace());
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("a");
  EXPECT_TRUE(api.StatusOf("/etcdserverpb.KV/DeleteRange", remove).ok());
}

TEST(HashKvTest, ErrorsAndWhatItCovers) {
  TestApi api;
  for (int i = 0; i < 4; ++i) api.Put("a", std::to_string(i));  // revisions 2 to 5
  EXPECT_EQ(api.StatusOf(kHashKv, HashAt(6)), kv::ErrFutureRevision());
  const HashKVResponse before = *api.Ask<HashKVResponse>(kHashKv, HashAt(0));
  ExpectHeader(api, before.header(), 5);
  EXPECT_EQ(before.hash_revision(), 5);
  EXPECT_EQ(before.compact_revision(), -1);
  EXPECT_NE(api.Ask<HashKVResponse>(kHashKv, HashAt(4))->hash(), before.hash());
  api.Compact(4);
  EXPECT_EQ(api.StatusOf(kHashKv, HashAt(3)), kv::ErrCompacted());
  EXPECT_EQ(api.Ask<HashKVResponse>(kHashKv, HashAt(4))->compact_revision(), 4);
}

TEST(HashTest, IsTheSameOnEveryMemberAndChangesWithTheState) {
  TestApi api(3);
  const auto hash = [&](size_t member) {
    const auto response =
        *api.Ask<etcdserverpb::HashResponse>(kHash, etcdserverpb::HashRequest(), member);
    ExpectHeader(api, response.header(), api.cluster().store(member).revision(), member);
    return response.hash();
  };
  const uint32_t before = hash(0);
  api.Put("a", "value");
  api.Run(Seconds(1));
  EXPECT_NE(hash(0), before);
  EXPECT_EQ(hash(0), hash(1));
  EXPECT_EQ(hash(0), hash(2));
}

TEST(DefragmentTest, AnswersWithoutAHeader) {
  TestApi api;
  const auto response =
      api.Ask<etcdserverpb::DefragmentResponse>(kDefragment, etcdserverpb::DefragmentRequest());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->has_header());
}

TEST(MoveLeaderTest, OnlyTheLeaderAndOnlyToAVoter) {
  TestApi api(3);
  const uint64_t target = api.cluster().node(api.follower()).id().value();
  EXPECT_EQ(api.StatusOf(kMoveLeader, MoveTo(target), api.follower()), kv::ErrNotLeader());
  EXPECT_EQ(api.StatusOf(kMoveLeader, MoveTo(99), api.leader()), kv::ErrBadLeaderTransferee());
  EXPECT_EQ(api.StatusOf(kMoveLeader, MoveTo(0), api.leader()), kv::ErrBadLeaderTransferee());
}

TEST(MoveLeaderTest, AnswersWithoutAHeaderOnceTheTargetLeads) {
  TestApi api(3);
  const size_t old_leader = api.leader();
  const size_t target = api.follower();
  const uint64_t target_id = api.cluster().node(target).id().value();
  const auto response = api.Ask<MoveLeaderResponse>(kMoveLeader, MoveTo(target_id), old_leader);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->has_header());
  EXPECT_EQ(api.cluster().node(old_leader).leader().value(), target_id);
}

TEST(MoveLeaderTest, ATargetThatIsDownIsAnError) {
  TestApi api(3);
  const size_t leader = api.leader();
  const size_t target = api.follower();
  api.cluster().Isolate(target);
  EXPECT_EQ(api.StatusOf(kMoveLeader, MoveTo(api.cluster().node(target).id().value()), leader),
            kv::ErrTimeoutLeaderTransfer());
  EXPECT_EQ(api.leader(), leader);
}

}  // namespace
}  // namespace conclave::server
