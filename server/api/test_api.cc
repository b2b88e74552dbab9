#include "server/api/test_api.h"

#include <gtest/gtest.h>

#include <utility>

namespace conclave::server {

void TestPeerCalls::CallPeer(raft::NodeId peer, PeerMethod method, std::string request,
                             Duration /*timeout*/, Answer answer) {
  ++asked_;
  if (!failure_.ok()) return answer(failure_);
  const size_t index = api_->cluster_.IndexOf(peer);
  CHECK(index < api_->members_.size());
  Executor* lane = api_->cluster_.node(index).lane();
  lane->RunAt(lane->Now() + Milliseconds(1), [this, lane, index, method,
                                              request = std::move(request),
                                              answer = std::move(answer)]() mutable {
    api_->member(index).peers().handlers_.at(method)(
        request, [lane, answer = std::move(answer)](absl::StatusOr<std::string> response) mutable {
          lane->RunAt(lane->Now() + Milliseconds(1),
                      [answer = std::move(answer), response = std::move(response)]() mutable {
                        answer(std::move(response));
                      });
        });
  });
}

std::optional<Instant> TestPeerCalls::ConnectedSince(raft::NodeId peer) const {
  const size_t index = api_->cluster_.IndexOf(peer);
  if (cut_off_ || index == api_->cluster_.size() || !api_->cluster_.up(index)) return std::nullopt;
  return Instant();
}

TestPeerCalls::Received TestPeerCalls::Ask(PeerMethod method, std::string_view request) {
  auto received = std::make_shared<std::optional<absl::StatusOr<std::string>>>();
  handlers_.at(method)(request, [received](absl::StatusOr<std::string> answer) {
    CHECK(!received->has_value());
    *received = std::move(answer);
  });
  return received;
}

TestApiMember::TestApiMember(TestApi* api, Node* node, const ApiOptions* options,
                             const MemberKeeperOptions& membership)
    : node_(node),
      peers_(api),
      guard_(node->lane(), node->election_timeout()),
      leases_(node, &peers_),
      members_(membership, node, &peers_),
      range_budget_(options->ranges.budget, node->lane()),
      context_{.node = node,
               .leader_guard = &guard_,
               .lease_keeper = &leases_,
               .member_keeper = &members_,
               .range_budget = &range_budget_,
               .options = options} {
  AddKvService(methods_, context_);
  AddLeaseService(methods_, context_);
  AddWatchService(methods_, context_);
  AddClusterService(methods_, context_);
  AddMaintenanceService(methods_, context_);
  AddHealthService(methods_, context_);
  node_->SetObserver(this);
}

TestApiMember::~TestApiMember() { node_->SetObserver(nullptr); }

TestApi::TestApi(size_t members, const ApiOptions& options, const MemberKeeperOptions& membership)
    : options_(options), membership_(membership), cluster_(members, /*seed=*/1) {
  for (size_t i = 0; i < members; ++i) {
    members_.push_back(
        std::make_unique<TestApiMember>(this, &cluster_.node(i), &options_, membership_));
  }
  CHECK(cluster_.RunUntilLeader());
  Run(Seconds(1));  // the members publish themselves
}

size_t TestApi::Join(raft::NodeId id) {
  const size_t index = cluster_.Join(id);
  members_.push_back(
      std::make_unique<TestApiMember>(this, &cluster_.node(index), &options_, membership_));
  return index;
}

void TestApi::Stop(size_t member) {
  members_[member].reset();
  cluster_.Stop(member);
}

TestApi::~TestApi() {
  for (const std::shared_ptr<FakeCall>& call : calls_) call->Close();
  members_.clear();
}

std::shared_ptr<FakeCall> TestApi::Start(size_t member, std::string_view path,
                                         std::string_view request, Metadata metadata) {
  auto call = FakeCall::Start(members_[member]->methods(), path, request, std::move(metadata));
  calls_.push_back(call);
  return call;
}

void TestApi::RunUntilOver(FakeCall& call) {
  for (int step = 0; step < 10'000 && !call.status().has_value(); ++step) Run(Milliseconds(1));
  CHECK(call.status().has_value());
  call.Close();
}

int64_t TestApi::Put(const std::string& key, const std::string& value, int64_t lease) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  request.set_lease(lease);
  return Ask<etcdserverpb::PutResponse>("/etcdserverpb.KV/Put", request)
      .value()
      .header()
      .revision();
}

int64_t TestApi::Compact(int64_t revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  return Ask<etcdserverpb::CompactionResponse>("/etcdserverpb.KV/Compact", request)
      .value()
      .header()
      .revision();
}

void TestApi::Grant(int64_t id, int64_t ttl_seconds) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl_seconds);
  CHECK(StatusOf("/etcdserverpb.Lease/LeaseGrant", request).ok());
}

void ExpectHeader(TestApi& api, const etcdserverpb::ResponseHeader& header, int64_t revision,
                  size_t member) {
  const Node& node = api.cluster().node(member);
  EXPECT_EQ(header.cluster_id(), node.cluster_id());
  EXPECT_EQ(header.member_id(), node.id().value());
  EXPECT_EQ(header.raft_term(), node.Status().term.value());
  EXPECT_EQ(header.revision(), revision);
}

}  // namespace conclave::server
