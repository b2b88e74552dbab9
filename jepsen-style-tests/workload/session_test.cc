#include "jepsen-style-tests/workload/session.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/workload/requests.h"
#include "jepsen-style-tests/workload/test_world.h"
#include "jepsen-style-tests/workload/watch_stream.h"
#include "kvstore/errors.h"

namespace conclave::sim {
namespace {

using checker::Outcome;

class SessionTest : public testing::Test {
 protected:
  SessionTest() { EXPECT_TRUE(test_.RunUntilLed()); }

  World& world() { return test_.world(); }
  Session NewSession(const SessionOptions& options = {}) {
    return Session(&world(), &test_.history(), options, Random(7));
  }
  void Run(Co<void> co) { EXPECT_TRUE(test_.RunUntilDone(std::move(co), Seconds(60))); }

  TestWorld test_{1};
};

Co<void> PutAndGet(Session& session) {
  const auto put = co_await session.Put("key", "value");
  EXPECT_EQ(put.outcome, Outcome::kOk);
  EXPECT_EQ(put.response.header().revision(), 2);
  EXPECT_LT(put.called_ns, put.returned_ns);
  const auto get = co_await session.Get("key");
  EXPECT_TRUE(get.ok());
  EXPECT_EQ(get.response.kvs_size(), 1);
  EXPECT_EQ(get.response.kvs(0).value(), "value");
  const auto deleted = co_await session.DeleteRange(DeleteOfPrefix("k"));
  EXPECT_EQ(deleted.response.deleted(), 1);
  const auto gone = co_await session.Get("key");
  EXPECT_EQ(gone.response.kvs_size(), 0);
}

TEST_F(SessionTest, RecordsWhatItDoes) {
  Session session = NewSession();
  Run(PutAndGet(session));
  const auto& kv = test_.history().kv();
  ASSERT_EQ(kv.size(), 4u);
  EXPECT_EQ(kv[0].id, 1u);
  EXPECT_EQ(kv[0].process, session.client());
  EXPECT_EQ(kv[0].outcome, Outcome::kOk);
  EXPECT_EQ(kv[2].header_revision(), 3);
  EXPECT_LE(kv[0].returned_ns, kv[1].called_ns);
  EXPECT_EQ(test_.history().ok_writes(), 2u);
  EXPECT_EQ(test_.history().ok_reads(), 2u);
  EXPECT_EQ(test_.history().revision_seen(), 3);
}

Co<void> GetRefused(Session& session) {
  const auto put = co_await session.Put("key", "value", /*lease=*/12345);
  EXPECT_EQ(put.outcome, Outcome::kFail);
  EXPECT_EQ(put.status, kv::ErrLeaseNotFound());
  const auto compact = co_await session.Compact(99, false);
  EXPECT_EQ(compact.status, kv::ErrFutureRevision());
}

TEST_F(SessionTest, AnErrorOfTheTableIsCertainlyNotApplied) {
  Session session = NewSession();
  Run(GetRefused(session));
  EXPECT_EQ(test_.history().kv()[0].outcome, Outcome::kFail);
  EXPECT_EQ(test_.history().kv()[0].error, "etcdserver: requested lease not found");
}

TEST_F(SessionTest, KnowsWhichErrorsLeaveItOpen) {
  EXPECT_TRUE(CertainlyNotApplied(kv::ErrTooManyRequests()));
  EXPECT_TRUE(CertainlyNotApplied(kv::ErrNoLeader()));
  EXPECT_TRUE(CertainlyNotApplied(kv::ErrCompacted()));
  EXPECT_FALSE(CertainlyNotApplied(kv::ErrTimeout()));
  EXPECT_FALSE(CertainlyNotApplied(kv::ErrTimeoutDueToLeaderFail()));
  EXPECT_FALSE(CertainlyNotApplied(kv::ErrStopped()));
  EXPECT_FALSE(CertainlyNotApplied(absl::DeadlineExceededError("context deadline exceeded")));
  EXPECT_FALSE(CertainlyNotApplied(absl::UnknownError("anything")));
}

Co<void> PutOnce(Session& session, Answer<etcdserverpb::PutResponse>& answer) {
  answer = co_await session.Put("key", "value");
}

TEST_F(SessionTest, GivesUpAfterItsTimeout) {
  for (size_t i = 1; i < 3; ++i) world().EndMember(i, EndOfProcess::kKill);
  Session session = NewSession({.choice = MemberChoice::kSticky, .timeout = Milliseconds(300)});
  Answer<etcdserverpb::PutResponse> answer;
  Run(PutOnce(session, answer));
  EXPECT_EQ(answer.outcome, Outcome::kInfo);
  EXPECT_EQ(answer.returned_ns - answer.called_ns, Milliseconds(300).count());
  EXPECT_EQ(test_.history().kv()[0].outcome, Outcome::kInfo);
}

TEST_F(SessionTest, IsRefusedWhereNobodyRunsAndGoesOn) {
  world().EndMember(0, EndOfProcess::kKill);
  Session session = NewSession({.choice = MemberChoice::kRotateOnFailure});
  Answer<etcdserverpb::PutResponse> answer;
  Run(PutOnce(session, answer));
  EXPECT_EQ(answer.outcome, Outcome::kFail);
  EXPECT_EQ(session.member(), 1u);
  Run(PutOnce(session, answer));
  EXPECT_TRUE(answer.ok()) << answer.status;
}

TEST_F(SessionTest, AnOperationUnderWayIsRecordedAsOpen) {
  Session session = NewSession();
  {
    Answer<etcdserverpb::PutResponse> answer;
    Co<void> co = PutOnce(session, answer);
    co.Start();
  }
  test_.Run(Seconds(5));
  ASSERT_EQ(test_.history().kv().size(), 1u);
  EXPECT_EQ(test_.history().kv()[0].outcome, Outcome::kInfo);
}

Co<void> UseLease(Session& session) {
  const auto grant = co_await session.LeaseGrant(77, 5);
  EXPECT_EQ(grant.response.ttl(), 5);
  const auto kept = co_await session.LeaseKeepAlive(77);
  EXPECT_TRUE(kept.ok()) << kept.status;
  EXPECT_EQ(kept.response.ttl(), 5);
  co_await session.Put("key", "value", 77);
  const auto left = co_await session.LeaseTimeToLive(77, true);
  EXPECT_EQ(left.response.keys_size(), 1);
  const auto revoked = co_await session.LeaseRevoke(77);
  EXPECT_TRUE(revoked.ok());
  const auto again = co_await session.LeaseKeepAlive(77);
  EXPECT_EQ(again.response.ttl(), 0);
  const auto twice = co_await session.LeaseRevoke(77);
  EXPECT_EQ(twice.outcome, Outcome::kFail);
}

TEST_F(SessionTest, RecordsTheLifeOfLeases) {
  Session session = NewSession();
  Run(UseLease(session));
  const checker::LeaseHistory& leases = test_.history().leases();
  ASSERT_EQ(leases.grants.size(), 1u);
  EXPECT_EQ(leases.grants[0].lease, 77);
  ASSERT_EQ(leases.keepalives.size(), 2u);
  EXPECT_EQ(leases.keepalives[0].ttl_s, 5);
  EXPECT_EQ(leases.keepalives[1].ttl_s, 0);
  ASSERT_EQ(leases.revokes.size(), 2u);
  ASSERT_EQ(world().lease_ends().size(), 1u);
  EXPECT_EQ(world().lease_ends()[0].lease, 77);
}

Co<void> MoveLeaderTo(Session& session, uint64_t target) {
  const auto status = co_await session.Status();
  session.GoTo(status.response.leader() - 1);
  const auto moved = co_await session.MoveLeader(target);
  EXPECT_TRUE(moved.ok()) << moved.status;
}

TEST_F(SessionTest, MovesLeadership) {
  Session session = NewSession({.choice = MemberChoice::kSticky});
  test_.Run(Seconds(2));
  const uint64_t leader = world().leader()->id().value();
  const uint64_t target = leader % 3 + 1;
  Run(MoveLeaderTo(session, target));
  EXPECT_EQ(world().leader()->id().value(), target);
}

TEST_F(SessionTest, UniqueValuesDifferBetweenClients) {
  Session a = NewSession();
  Session b = NewSession();
  EXPECT_NE(a.UniqueValue(), b.UniqueValue());
  EXPECT_NE(a.UniqueValue(), a.UniqueValue());
}

TEST_F(SessionTest, WatchStreamGivesEachWatcherItsOwn) {
  Session session = NewSession();
  Answer<etcdserverpb::PutResponse> answer;
  std::vector<etcdserverpb::WatchResponse> one;
  std::vector<etcdserverpb::WatchResponse> other;
  WatchStream stream(&world(), session.client(), 0, false);
  etcdserverpb::WatchCreateRequest create;
  create.set_key("key");
  stream.Create(create, [&](const auto& received) { one.push_back(received.response); });
  create.set_key("another");
  stream.Create(create, [&](const auto& received) { other.push_back(received.response); });
  test_.Run(Milliseconds(100));
  Run(PutOnce(session, answer));
  test_.Run(Milliseconds(100));
  stream.RequestProgress();
  test_.Run(Milliseconds(100));
  ASSERT_EQ(one.size(), 3u);
  EXPECT_TRUE(one[0].created());
  EXPECT_EQ(one[1].events_size(), 1);
  EXPECT_EQ(one[2].watch_id(), -1);
  ASSERT_EQ(other.size(), 2u);
  EXPECT_EQ(other[1].header().revision(), 2);

  stream.Cancel(one[0].watch_id());
  stream.SetReading(false);
  test_.Run(Milliseconds(100));
  EXPECT_EQ(one.size(), 3u);
  stream.SetReading(true);
  test_.Run(Milliseconds(100));
  ASSERT_EQ(one.size(), 4u);
  EXPECT_TRUE(one[3].canceled());
  world().EndMember(0, EndOfProcess::kKill);
  test_.Run(Milliseconds(100));
  EXPECT_TRUE(stream.over());
}

}  // namespace
}  // namespace conclave::sim
