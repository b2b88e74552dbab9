// Changes of membership through the Cluster service of whole members (reference: behaviour section
// 9): what is done, what is refused and why, and that it is done once.
#include "server/api/member_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

using etcdserverpb::MemberAddRequest;
using etcdserverpb::MemberAddResponse;
using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberPromoteRequest;
using etcdserverpb::MemberPromoteResponse;
using etcdserverpb::MemberRemoveRequest;
using etcdserverpb::MemberRemoveResponse;
using etcdserverpb::MemberUpdateRequest;
using etcdserverpb::MemberUpdateResponse;
using ::testing::ElementsAre;

constexpr char kAdd[] = "/etcdserverpb.Cluster/MemberAdd";
constexpr char kRemove[] = "/etcdserverpb.Cluster/MemberRemove";
constexpr char kUpdate[] = "/etcdserverpb.Cluster/MemberUpdate";
constexpr char kPromote[] = "/etcdserverpb.Cluster/MemberPromote";
constexpr char kList[] = "/etcdserverpb.Cluster/MemberList";
constexpr char kPut[] = "/etcdserverpb.KV/Put";
constexpr char kRange[] = "/etcdserverpb.KV/Range";

MemberAddRequest AddOf(const std::string& url, bool learner = false) {
  MemberAddRequest request;
  request.add_peerurls(url);
  request.set_islearner(learner);
  return request;
}

MemberRemoveRequest RemoveOf(uint64_t id) {
  MemberRemoveRequest request;
  request.set_id(id);
  return request;
}

MemberPromoteRequest PromoteOf(uint64_t id) {
  MemberPromoteRequest request;
  request.set_id(id);
  return request;
}

etcdserverpb::PutRequest PutOf(const std::string& key) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  return request;
}

class MemberKeeperTest : public ::testing::Test {
 protected:
  void Start(size_t members, const MemberKeeperOptions& options = {}) {
    api_ = std::make_unique<TestApi>(members, ApiOptions{}, options);
    api_->Run(options.health_interval);
  }

  // Must succeed; returns the id.
  uint64_t Add(const std::string& url, bool learner = false, size_t at = 0) {
    return api_->Ask<MemberAddResponse>(kAdd, AddOf(url, learner), at).value().member().id();
  }
  // Adds a member, starts it, and waits until it has what the others have.
  size_t Grow(const std::string& url, bool learner = false) {
    const size_t index = api_->Join(raft::NodeId(Add(url, learner)));
    api_->Run(Seconds(2));
    EXPECT_TRUE(api_->cluster().store(index).applied_index() > 0);
    return index;
  }
  const raft::Configuration& Configuration() {
    return api_->cluster().node(api_->leader()).core().configuration();
  }
  uint64_t IdOf(size_t member) { return api_->cluster().node(member).id().value(); }
  std::vector<uint64_t> ListedAt(size_t member) {
    std::vector<uint64_t> ids;
    for (const auto& listed : api_->cluster().store(member).Members()) ids.push_back(listed.id());
    return ids;
  }
  // What a guest is told, which must not take long.
  peerpb::MembersResponse GuestAsks(size_t member) {
    const auto answer = api_->member(member).peers().Ask(PeerMethod::kMembers, "");
    api_->Run(Milliseconds(500));
    peerpb::MembersResponse response;
    EXPECT_TRUE(response.ParseFromString(answer->value().value()));
    return response;
  }
  template <typename Request>
  absl::Status StatusOf(std::string_view path, const Request& request, size_t member = 0) {
    return api_->StatusOf(path, request, member);
  }

  std::unique_ptr<TestApi> api_;
};

TEST_F(MemberKeeperTest, AVoterThatHasNotStartedCostsNobodyTheQuorum) {
  Start(1);
  const auto response = api_->Ask<MemberAddResponse>(kAdd, AddOf("http://b:2380"));
  ASSERT_TRUE(response.ok()) << response.status();
  ExpectHeader(*api_, response->header(), /*revision=*/0);
  EXPECT_EQ(response->member().peerurls(0), "http://b:2380");
  EXPECT_EQ(response->member().name(), "");
  EXPECT_FALSE(response->member().islearner());
  EXPECT_EQ(response->members_size(), 2);
  EXPECT_EQ(StatusOf(kPut, PutOf("k")), absl::OkStatus());
  EXPECT_EQ(Configuration().voters.size(), 1u) << "it has no vote yet";
}

TEST_F(MemberKeeperTest, AVoterGetsItsVoteOnceItHasCaughtUp) {
  Start(1);
  for (int i = 0; i < 100; ++i) api_->Put("k" + std::to_string(i), "v");
  const size_t b = Grow("http://b:2380");
  EXPECT_TRUE(Configuration().IsVoter(raft::NodeId(IdOf(b))));
  EXPECT_EQ(ListedAt(b), ListedAt(0));
  EXPECT_EQ(api_->cluster().store(b).Hash(), api_->cluster().store(0).Hash());
  EXPECT_EQ(StatusOf(kPut, PutOf("through b"), b), absl::OkStatus());
  api_->cluster().Isolate(b);
  EXPECT_NE(StatusOf(kPut, PutOf("without b")), absl::OkStatus());
}

TEST_F(MemberKeeperTest, AFollowerPassesTheChangeOn) {
  Start(3);
  const size_t follower = api_->follower();
  const auto response = api_->Ask<MemberAddResponse>(kAdd, AddOf("http://d:2380"), follower);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->header().member_id(), IdOf(follower));
  EXPECT_EQ(response->members_size(), 4);
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(response->member().id()), follower), absl::OkStatus());
}

TEST_F(MemberKeeperTest, AMemberLeavesWhoeverItIs) {
  Start(3);
  const size_t follower = api_->follower();
  const size_t leader = api_->leader();
  const size_t rest = 3 - follower - leader;
  const auto response = api_->Ask<MemberRemoveResponse>(kRemove, RemoveOf(IdOf(follower)), rest);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->members_size(), 2);
  EXPECT_EQ(StatusOf(kPut, PutOf("k"), leader), absl::OkStatus());

  // The leader itself, asked at the leader: it hands over first, and passes the question on.
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(IdOf(leader)), leader), absl::OkStatus());
  EXPECT_EQ(api_->leader(), rest);
  EXPECT_EQ(StatusOf(kPut, PutOf("l"), rest), absl::OkStatus());
  EXPECT_THAT(ListedAt(rest), ElementsAre(IdOf(rest)));
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(IdOf(leader)), rest), kv::ErrMemberNotFound());
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(IdOf(rest)), rest), kv::ErrMemberNotEnoughStarted())
      << "the last one stays";
}

// Whoever would lead instead lacks entries for as long as the load lasts.
TEST_F(MemberKeeperTest, ALeaderUnderLoadIsRemovedWithinMilliseconds) {
  Start(3);
  const size_t leader = api_->leader();
  const size_t rest = api_->follower();
  std::vector<std::shared_ptr<FakeCall>> puts;
  const auto put_for = [&](Duration duration) {
    for (Duration passed{}; passed < duration; passed += Milliseconds(1)) {
      puts.push_back(api_->Start(rest, kPut, PutOf("k").SerializeAsString()));
      api_->Run(Milliseconds(1));
    }
  };
  put_for(Milliseconds(50));
  const auto removal = api_->Start(leader, kRemove, RemoveOf(IdOf(leader)).SerializeAsString());
  put_for(Milliseconds(300));
  EXPECT_EQ(removal->status(), absl::OkStatus());
  api_->Run(Milliseconds(100));
  for (const auto& put : puts) EXPECT_EQ(put->status(), absl::OkStatus());
}

TEST_F(MemberKeeperTest, UrlsAreReplaced) {
  Start(3);
  MemberUpdateRequest request;
  request.set_id(2);
  request.add_peerurls("whatever the operator says");
  const auto response = api_->Ask<MemberUpdateResponse>(kUpdate, request, api_->follower());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->members(1).peerurls(0), "whatever the operator says");
  request.set_id(77);
  EXPECT_EQ(StatusOf(kUpdate, request), kv::ErrMemberNotFound());
  request.set_id(1);
  EXPECT_EQ(StatusOf(kUpdate, request), kv::ErrPeerUrlExists());
}

TEST_F(MemberKeeperTest, UrlsOfANewMemberMustBeGoodAndItsOwn) {
  Start(3);
  EXPECT_EQ(StatusOf(kAdd, MemberAddRequest()), kv::ErrMemberBadUrls());
  for (const char* bad : {"", "b:2380", "http://b", "http://b:2380/x", "ftp://b:1"}) {
    EXPECT_EQ(StatusOf(kAdd, AddOf(bad)), kv::ErrMemberBadUrls()) << bad;
  }
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://m1:2380")), kv::ErrPeerUrlExists());
  EXPECT_EQ(StatusOf(kAdd, AddOf("unix:///run/d")), absl::OkStatus());
}

TEST_F(MemberKeeperTest, LearnersAreFewAndServeLittle) {
  Start(1);
  const size_t learner = Grow("http://b:2380", /*learner=*/true);
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://c:2380", true)), kv::ErrTooManyLearners());
  api_->Put("k", "v");
  api_->Run(Seconds(1));
  EXPECT_TRUE(Configuration().IsLearner(raft::NodeId(IdOf(learner))));

  etcdserverpb::RangeRequest range;
  range.set_key("k");
  EXPECT_EQ(StatusOf(kRange, range, learner), kv::ErrNotSupportedForLearner());
  EXPECT_EQ(StatusOf(kPut, PutOf("k"), learner), kv::ErrNotSupportedForLearner());
  EXPECT_EQ(StatusOf(kList, MemberListRequest(), learner), kv::ErrNotSupportedForLearner());
  for (const char* stream : {"/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive",
                             "/grpc.health.v1.Health/Watch"}) {
    EXPECT_EQ(api_->Start(learner, stream)->status(), kv::ErrNotSupportedForLearner()) << stream;
  }
  range.set_serializable(true);
  EXPECT_EQ(api_->Ask<etcdserverpb::RangeResponse>(kRange, range, learner)->kvs_size(), 1);
  const auto status = api_->Ask<etcdserverpb::StatusResponse>(
      "/etcdserverpb.Maintenance/Status", etcdserverpb::StatusRequest(), learner);
  EXPECT_TRUE(status->islearner());
}

TEST_F(MemberKeeperTest, ALearnerIsPromotedOnceItIsInSync) {
  Start(1);
  for (int i = 0; i < 20; ++i) api_->Put("k" + std::to_string(i), "v");
  const uint64_t id = Add("http://b:2380", /*learner=*/true);
  EXPECT_EQ(StatusOf(kPromote, PromoteOf(id)), kv::ErrLearnerNotReady());
  EXPECT_EQ(StatusOf(kPromote, PromoteOf(1)), kv::ErrMemberNotLearner());
  EXPECT_EQ(StatusOf(kPromote, PromoteOf(77)), kv::ErrMemberNotFound());

  const size_t learner = api_->Join(raft::NodeId(id));
  api_->Run(Seconds(2));
  EXPECT_TRUE(Configuration().IsLearner(raft::NodeId(id))) << "not by itself";
  const auto response = api_->Ask<MemberPromoteResponse>(kPromote, PromoteOf(id));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->members_size(), 2);
  api_->Run(Seconds(1));
  EXPECT_TRUE(Configuration().IsVoter(raft::NodeId(id)));
  EXPECT_EQ(StatusOf(kPut, PutOf("k"), learner), absl::OkStatus());
}

TEST_F(MemberKeeperTest, LearnersArePromotedByThemselvesIfThatIsWanted) {
  MemberKeeperOptions options;
  options.promote_learners = true;
  Start(1, options);
  const uint64_t id = Add("http://b:2380", /*learner=*/true);
  api_->Run(Seconds(5));
  EXPECT_TRUE(Configuration().IsLearner(raft::NodeId(id))) << "it has not started";
  const size_t learner = api_->Join(raft::NodeId(id));
  api_->Run(Seconds(3));
  EXPECT_TRUE(Configuration().IsVoter(raft::NodeId(id)));
  EXPECT_FALSE(api_->cluster().node(learner).IsLearner());
}

TEST_F(MemberKeeperTest, TheQuorumIsNotGambledWith) {
  Start(1);
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://b:2380")), absl::OkStatus());
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://c:2380")), kv::ErrMemberNotEnoughStarted());
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(1)), kv::ErrMemberNotEnoughStarted());

  Start(3);
  const size_t down = api_->follower();
  api_->Stop(down);
  const size_t leader = api_->leader();
  const size_t rest = 3 - down - leader;
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://d:2380"), leader), kv::ErrUnhealthy());
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(IdOf(rest)), leader), kv::ErrUnhealthy());
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(down + 1), leader), absl::OkStatus());
}

TEST_F(MemberKeeperTest, WithoutTheCheckOnlyTheLastVoteIsKept) {
  MemberKeeperOptions options;
  options.strict_reconfig_check = false;
  Start(1, options);
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://b:2380")), absl::OkStatus());
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://c:2380")), absl::OkStatus());
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(1)), kv::ErrMemberNotEnoughStarted());
}

// Both are judged by a list without the other, but one after the other.
TEST_F(MemberKeeperTest, OneChangeAtATime) {
  Start(3);
  const std::string request = AddOf("http://d:2380").SerializeAsString();
  const auto first = api_->Start(api_->leader(), kAdd, request);
  const auto second = api_->Start(api_->follower(), kAdd, request);
  const auto third = api_->Start(api_->leader(), kAdd, request);
  api_->Run(Seconds(1));
  std::vector<absl::Status> outcomes{*first->status(), *second->status(), *third->status()};
  EXPECT_EQ(std::count(outcomes.begin(), outcomes.end(), absl::OkStatus()), 1);
  EXPECT_EQ(std::count(outcomes.begin(), outcomes.end(), kv::ErrPeerUrlExists()), 2);
}

TEST_F(MemberKeeperTest, ChangesWaitInABoundedQueue) {
  MemberKeeperOptions options;
  options.waiting_max = 2;
  Start(1, options);
  std::vector<std::shared_ptr<FakeCall>> calls;
  for (int i = 0; i < 5; ++i) {
    calls.push_back(api_->Start(0, kUpdate, MemberUpdateRequest().SerializeAsString()));
    calls.push_back(
        api_->Start(0, kAdd, AddOf("http://x" + std::to_string(i) + ":1").SerializeAsString()));
  }
  api_->Run(Seconds(1));
  EXPECT_EQ(calls.back()->status(), kv::ErrTooManyRequests());
}

TEST_F(MemberKeeperTest, AChangeWaitsForALeader) {
  Start(3);
  const size_t leader = api_->leader();
  const size_t follower = api_->follower();
  api_->Stop(leader);
  const auto call = api_->Start(follower, kRemove, RemoveOf(leader + 1).SerializeAsString());
  api_->Run(Seconds(6));
  EXPECT_EQ(call->status(), absl::OkStatus());
}

TEST_F(MemberKeeperTest, WhatMayHaveBeenDoneIsNotAskedForAgain) {
  Start(3);
  const size_t follower = api_->follower();
  TestPeerCalls& peers = api_->member(follower).peers();
  peers.set_failure(kv::ErrNoLeader());
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://d:2380"), follower), kv::ErrTimeoutDueToConnectionLost());
  EXPECT_EQ(peers.asked(), 1u);
  peers.set_failure(absl::OkStatus());
  peers.set_cut_off(true);
  const auto call = api_->Start(follower, kAdd, AddOf("http://d:2380").SerializeAsString());
  api_->Run(Seconds(1));
  EXPECT_EQ(peers.asked(), 1u) << "nobody was there to be asked";
  peers.set_cut_off(false);
  api_->Run(Seconds(1));
  EXPECT_EQ(call->status(), absl::OkStatus());
}

TEST_F(MemberKeeperTest, AnAskerWithoutALeaderAsksLessAndLessOften) {
  Start(3);
  const size_t follower = api_->follower();
  TestPeerCalls& peers = api_->member(follower).peers();
  peers.set_failure(kv::ErrNotLeader());
  const auto call = api_->Start(follower, kAdd, AddOf("http://d:2380").SerializeAsString());
  api_->Run(Seconds(8));
  EXPECT_EQ(call->status(), kv::ErrTimeout());
  EXPECT_GE(peers.asked(), 8u);
  EXPECT_LE(peers.asked(), 20u);
}

TEST_F(MemberKeeperTest, AFollowerAsksForABoundedNumberOfChanges) {
  MemberKeeperOptions options;
  options.waiting_max = 2;
  Start(3, options);
  const size_t follower = api_->follower();
  api_->member(follower).peers().set_cut_off(true);
  std::vector<std::shared_ptr<FakeCall>> calls;
  for (int i = 0; i < 3; ++i) {
    const std::string url = "http://x" + std::to_string(i) + ":1";
    calls.push_back(api_->Start(follower, kAdd, AddOf(url).SerializeAsString()));
  }
  EXPECT_EQ(calls[2]->status(), kv::ErrTooManyRequests());
  api_->Run(Seconds(8));
  for (const auto& call : calls) EXPECT_TRUE(call->status().has_value());
  api_->member(follower).peers().set_cut_off(false);
  EXPECT_EQ(StatusOf(kAdd, AddOf("http://d:2380"), follower), absl::OkStatus());
}

TEST_F(MemberKeeperTest, ALeaderWithoutAQuorumChangesNothing) {
  Start(3);
  const size_t leader = api_->leader();
  api_->cluster().Isolate(leader);
  const auto call = api_->Start(leader, kRemove, RemoveOf(leader + 1).SerializeAsString());
  api_->Run(Seconds(9));
  ASSERT_TRUE(call->status().has_value());
  EXPECT_FALSE(call->status()->ok());
  api_->cluster().Heal();
  api_->Run(Seconds(3));
  EXPECT_EQ(ListedAt(leader).size(), 3u) << "the change was overwritten";
  EXPECT_FALSE(api_->member(leader).removed());
}

TEST_F(MemberKeeperTest, GuestsAreToldWhoIsThereAndWhoWasAtFirst) {
  MemberKeeperOptions options;
  options.initial_members.emplace_back().set_id(1);
  Start(1, options);
  const uint64_t added = Add("http://b:2380");
  const peerpb::MembersResponse response = GuestAsks(0);
  EXPECT_EQ(response.cluster_id(), api_->cluster().node(0).cluster_id());
  EXPECT_EQ(response.members_size(), 2);
  ASSERT_EQ(response.initial_members_size(), 1);
  EXPECT_EQ(response.initial_members(0).id(), 1u);
  EXPECT_TRUE(response.up_to_date());
  EXPECT_TRUE(response.has_log());

  // One that knows no leader has little to tell, and says so.
  api_->cluster().Isolate(0);
  const size_t b = api_->Join(raft::NodeId(added));
  api_->cluster().Cut(0, b);
  const peerpb::MembersResponse little = GuestAsks(b);
  EXPECT_FALSE(little.up_to_date());
  EXPECT_FALSE(little.has_log());
}

// It applied nothing while the others took in a member, which ran and lost its data.
TEST_F(MemberKeeperTest, AMemberThatLagsTellsAGuestNothingOld) {
  Start(3);
  const size_t lagging = api_->follower();
  const size_t leader = api_->leader();
  api_->cluster().Isolate(lagging);
  const uint64_t added = Add("http://d:2380", /*learner=*/false, leader);

  const auto asked = api_->member(lagging).peers().Ask(PeerMethod::kMembers, "");
  EXPECT_FALSE(asked->has_value()) << "it still believes in its leader, and asks it";
  api_->Run(Milliseconds(1100));
  ASSERT_TRUE(asked->has_value()) << "but not longer than a guest's connection lasts";
  peerpb::MembersResponse old;
  ASSERT_TRUE(old.ParseFromString(asked->value().value()));
  EXPECT_FALSE(old.up_to_date());
  EXPECT_EQ(old.members_size(), 3);
  EXPECT_TRUE(old.has_log());
  api_->Run(Seconds(3));
  EXPECT_FALSE(GuestAsks(lagging).up_to_date()) << "by now it knows that it has no leader";

  api_->cluster().Heal();
  api_->Run(Seconds(3));
  const peerpb::MembersResponse all = GuestAsks(lagging);
  EXPECT_TRUE(all.up_to_date());
  ASSERT_EQ(all.members_size(), 4);
  EXPECT_TRUE(std::any_of(all.members().begin(), all.members().end(),
                          [added](const auto& member) { return member.id() == added; }));
}

TEST_F(MemberKeeperTest, GuestsWaitForABoundedNumberOfReads) {
  MemberKeeperOptions options;
  options.guest_reads_max = 2;
  Start(3, options);
  const size_t follower = api_->follower();
  api_->cluster().Isolate(follower);
  std::vector<TestPeerCalls::Received> asked;
  for (int i = 0; i < 3; ++i) {
    asked.push_back(api_->member(follower).peers().Ask(PeerMethod::kMembers, ""));
  }
  EXPECT_FALSE(asked[1]->has_value());
  ASSERT_TRUE(asked[2]->has_value());
  peerpb::MembersResponse response;
  ASSERT_TRUE(response.ParseFromString(asked[2]->value().value()));
  EXPECT_FALSE(response.up_to_date());
  api_->Run(Milliseconds(1100));
  EXPECT_TRUE(asked[0]->has_value() && asked[1]->has_value());
}

TEST_F(MemberKeeperTest, MalformedQuestionsOfPeersAreRefused) {
  Start(1);
  for (const char* bytes : {"", "\xff\xff"}) {
    const auto answer = api_->member(0).peers().Ask(PeerMethod::kMemberChange, bytes);
    EXPECT_TRUE(absl::IsInvalidArgument(answer->value().status()));
  }
}

TEST_F(MemberKeeperTest, AnIdIsNeverGivenTwice) {
  MemberKeeperOptions options;
  options.strict_reconfig_check = false;
  Start(1, options);
  const uint64_t first = Add("http://b:2380");
  EXPECT_EQ(StatusOf(kRemove, RemoveOf(first)), absl::OkStatus());
  const uint64_t second = Add("http://b:2380");  // in the same second
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace conclave::server
