// The services of every member of a TestCluster, for the tests of this folder: clients are
// FakeCalls, questions between members go straight to the other's LeaseKeeper, and time moves when
// told. Tests only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/check.h"
#include "server/api/leader_guard.h"
#include "server/api/lease_keeper.h"
#include "server/api/member_keeper.h"
#include "server/api/service.h"
#include "server/peer/peer_calls.h"
#include "server/rpc/fake_call.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {

class TestApi;

// The questions of one member to the others. Each takes a millisecond each way.
class TestPeerCalls : public PeerCalls {
 public:
  explicit TestPeerCalls(TestApi* api) : api_(api) {}
  void SetHandler(PeerMethod method, Handler handler) override {
    handlers_[method] = std::move(handler);
  }
  // For ever, if the peer runs and nobody is cut off.
  std::optional<Instant> ConnectedSince(raft::NodeId peer) const override;
  void CallPeer(raft::NodeId peer, PeerMethod method, std::string request, Duration timeout,
                Answer answer) override;

  // Plays another member's question to this one; nullopt until it is answered.
  using Received = std::shared_ptr<std::optional<absl::StatusOr<std::string>>>;
  Received Ask(PeerMethod method, std::string_view request);

  // While set, every question fails with it, as over a connection that is not there.
  void set_failure(const absl::Status& failure) { failure_ = failure; }
  // While set, nobody can be asked at all.
  void set_cut_off(bool cut_off) { cut_off_ = cut_off; }
  size_t asked() const { return asked_; }

 private:
  TestApi* const api_;
  std::map<PeerMethod, Handler> handlers_;
  absl::Status failure_;
  bool cut_off_ = false;
  size_t asked_ = 0;
};

// What server/server.h makes around a node, without sockets.
class TestApiMember : private NodeObserver {
 public:
  TestApiMember(TestApi* api, Node* node, const ApiOptions* options,
                const MemberKeeperOptions& membership);
  ~TestApiMember() override;

  const ApiContext& context() const { return context_; }
  const DispatchTable& methods() const { return methods_; }
  TestPeerCalls& peers() { return peers_; }
  LeaseKeeper& leases() { return leases_; }
  RangeBudget& range_budget() { return range_budget_; }
  bool removed() const { return removed_; }

 private:
  void OnRoleChange(const raft::RoleChange& change) override { guard_.OnRoleChange(change); }
  void OnPublished() override {}
  void OnMembersChanged() override {}
  void OnRemoved() override { removed_ = true; }
  void OnSpaceNews(SpaceNews) override {}
  void OnIntegrityNews(IntegrityNews, raft::NodeId) override {}
  void OnSnapshotNews(std::string_view) override {}

  Node* const node_;
  TestPeerCalls peers_;
  LeaderGuard guard_;
  LeaseKeeper leases_;
  MemberKeeper members_;
  RangeBudget range_budget_;
  const ApiContext context_;
  DispatchTable methods_;
  bool removed_ = false;
};

class TestApi {
 public:
  using Metadata = std::map<std::string, std::string, std::less<>>;

  // Has a leader that every member knows.
  explicit TestApi(size_t members = 1, const ApiOptions& options = {},
                   const MemberKeeperOptions& membership = {});
  ~TestApi();

  // Starts a further member, which must have been added; returns its index.
  size_t Join(raft::NodeId id);
  // Ends the member for good.
  void Stop(size_t member);

  TestCluster& cluster() { return cluster_; }
  TestApiMember& member(size_t index) { return *members_[index]; }
  size_t leader() const { return cluster_.leader(); }
  // A member that does not lead.
  size_t follower() const { return (cluster_.leader() + 1) % cluster_.size(); }
  void Run(Duration duration) { cluster_.Run(duration); }

  // Begins a call; for streams `request` stays empty.
  std::shared_ptr<FakeCall> Start(size_t member, std::string_view path,
                                  std::string_view request = {}, Metadata metadata = {});
  // A whole unary call: runs until it is over, 10 s at most, and returns its response.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(std::string_view path, const Request& request, size_t member = 0,
                               Metadata metadata = {}) {
    const std::shared_ptr<FakeCall> call =
        Start(member, path, request.SerializeAsString(), std::move(metadata));
    RunUntilOver(*call);
    if (!call->status()->ok()) return *call->status();
    const std::vector<Response> sent = call->TakeSent<Response>();
    CHECK(sent.size() == 1);
    return sent[0];
  }
  // The outcome alone.
  template <typename Request>
  absl::Status StatusOf(std::string_view path, const Request& request, size_t member = 0,
                        Metadata metadata = {}) {
    const std::shared_ptr<FakeCall> call =
        Start(member, path, request.SerializeAsString(), std::move(metadata));
    RunUntilOver(*call);
    return *call->status();
  }

  // The most used requests, through member 0; they must succeed. Each returns the header's
  // revision.
  int64_t Put(const std::string& key, const std::string& value, int64_t lease = 0);
  int64_t Compact(int64_t revision);
  void Grant(int64_t id, int64_t ttl_seconds);

 private:
  friend class TestPeerCalls;

  void RunUntilOver(FakeCall& call);

  const ApiOptions options_;
  const MemberKeeperOptions membership_;
  TestCluster cluster_;
  std::vector<std::unique_ptr<TestApiMember>> members_;
  std::vector<std::shared_ptr<FakeCall>> calls_;  // closed at the end, as a transport does
};

// Of a header as the reference wants it everywhere (wire section 5): who answered, in which term,
// at which revision.
void ExpectHeader(TestApi& api, const etcdserverpb::ResponseHeader& header, int64_t revision,
                  size_t member = 0);

}  // namespace conclave::server
