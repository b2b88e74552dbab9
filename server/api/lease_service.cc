// The Lease service (reference: behaviour section 7).
#include <deque>
#include <memory>
#include <utility>

#include "kvstore/errors.h"
#include "kvstore/validate.h"
#include "server/api/leader_guard.h"
#include "server/api/lease_keeper.h"
#include "server/api/service.h"

namespace conclave::server {

namespace {

using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseLeasesRequest;
using etcdserverpb::LeaseLeasesResponse;
using etcdserverpb::LeaseRevokeRequest;
using etcdserverpb::LeaseRevokeResponse;
using etcdserverpb::LeaseTimeToLiveRequest;
using etcdserverpb::LeaseTimeToLiveResponse;

// Two bytes of the member id, five of the time in milliseconds, one of a counter; positive.
int64_t NextLeaseId(const Node& node, uint64_t& counter) {
  const uint64_t member = node.id().value() << 48;
  const uint64_t time = static_cast<uint64_t>(node.clock().WallMilliseconds()) & 0xffffffffff;
  // The counter runs over into the time, so that more than 256 in a millisecond differ as well.
  const uint64_t id = member | ((time << 8) + counter++) % (uint64_t{1} << 48);
  return static_cast<int64_t>(id & 0x7fffffffffffffff);
}

void Grant(const ApiContext& context, const CallRef& call, LeaseGrantRequest& request,
           std::string_view as_sent, uint64_t& counter) {
  absl::Status space = CheckQuota(context, kv::kSpaceForLease);
  if (space.ok()) space = CheckSpace(context);
  if (space.ok()) space = CheckSound(context);
  if (!space.ok()) return call->Finish(space);
  const int64_t min_ttl =
      kv::MinLeaseTtlSeconds(context.node->election_timeout(), context.node->heartbeat_interval());
  if (request.ttl() < min_ttl) request.set_ttl(min_ttl);
  if (request.id() == 0) request.set_id(NextLeaseId(*context.node, counter));
  ProposeOnceAndReply<LeaseGrantResponse>(context, call, kv::CommandKind::kLeaseGrant,
                                          request.SerializeAsString(), as_sent);
}

void Revoke(const ApiContext& context, const CallRef& call, LeaseRevokeRequest&,
            std::string_view bytes) {
  if (absl::Status status = CheckSound(context); !status.ok()) return call->Finish(status);
  ProposeOnceAndReply<LeaseRevokeResponse>(context, call, kv::CommandKind::kLeaseRevoke, bytes,
                                           bytes);
}

void Leases(const ApiContext& context, const CallRef& call, LeaseLeasesRequest&, std::string_view) {
  LeaseLeasesResponse response;
  context.node->FillHeader(response.mutable_header());
  response.mutable_header()->set_revision(context.node->store().revision());
  for (int64_t id : context.node->store().lessor().List()) response.add_leases()->set_id(id);
  call->Reply(response);
}

void TimeToLive(const ApiContext& context, const CallRef& call,
                const LeaseTimeToLiveRequest& request, LeaseKeeper& keeper) {
  Node* node = context.node;
  keeper.TimeToLive(request, [node, call](absl::StatusOr<LeaseTimeToLiveResponse> response) {
    if (!response.ok()) return call->Finish(response.status());
    node->FillHeader(response->mutable_header());
    call->Reply(*response);
  });
}

// Renewals of one stream are answered in the order they came, one at a time; while one is under
// way, or the client does not take its answers, later requests wait, up to a bound at which reading
// pauses.
class KeepAliveCall : public StreamHandler, public std::enable_shared_from_this<KeepAliveCall> {
 public:
  KeepAliveCall(Node* node, LeaseKeeper* keeper, CallRef call)
      : node_(node), keeper_(keeper), call_(std::move(call)) {}

  void OnMessage(std::string_view bytes) override {
    LeaseKeepAliveRequest request;
    if (!ParseRequest(call_, bytes, request)) return;
    waiting_.push_back(request);
    if (waiting_.size() == kWaitingMax) call_->PauseReading();
    if (!busy_) AskNext();
  }

  void OnHalfClose() override {
    half_closed_ = true;
    FinishIfDone();
  }

  void OnWritable() override {
    if (!busy_) AskNext();
  }

  void OnClosed() override { call_.reset(); }

 private:
  static constexpr size_t kWaitingMax = 1024;

  void AskNext() {
    if (waiting_.empty() || call_ == nullptr || !call_->Writable()) return;
    busy_ = true;
    const LeaseKeepAliveRequest request = waiting_.front();
    waiting_.pop_front();
    if (waiting_.size() == kWaitingMax / 2) call_->ResumeReading();
    keeper_->KeepAlive(
        request, [self = shared_from_this()](absl::StatusOr<LeaseKeepAliveResponse> response) {
          self->Answer(std::move(response));
        });
  }

  void Answer(absl::StatusOr<LeaseKeepAliveResponse> response) {
    busy_ = false;
    if (call_ == nullptr) return;
    if (!response.ok()) return call_->Finish(response.status());
    node_->FillHeader(response->mutable_header());
    call_->Send(*response);
    AskNext();
    FinishIfDone();
  }

  void FinishIfDone() {
    if (half_closed_ && !busy_ && waiting_.empty() && call_ != nullptr) {
      call_->Finish(absl::OkStatus());
    }
  }

  Node* const node_;
  LeaseKeeper* const keeper_;
  CallRef call_;
  std::deque<LeaseKeepAliveRequest> waiting_;
  bool busy_ = false;
  bool half_closed_ = false;
};

// The call owns its handler, and an answer under way needs it too.
class SharedKeepAlive : public StreamHandler {
 public:
  explicit SharedKeepAlive(std::shared_ptr<KeepAliveCall> shared) : shared_(std::move(shared)) {}
  void OnMessage(std::string_view message) override { shared_->OnMessage(message); }
  void OnHalfClose() override { shared_->OnHalfClose(); }
  void OnWritable() override { shared_->OnWritable(); }
  void OnClosed() override { shared_->OnClosed(); }

 private:
  const std::shared_ptr<KeepAliveCall> shared_;
};

}  // namespace

void AddLeaseService(DispatchTable& table, const ApiContext& context) {
  auto counter = std::make_shared<uint64_t>(0);
  AddUnary<LeaseGrantRequest>(
      table, "/etcdserverpb.Lease/LeaseGrant", context,
      [counter](const ApiContext& c, const CallRef& call, LeaseGrantRequest& request,
                std::string_view bytes) { Grant(c, call, request, bytes, *counter); });
  AddUnary<LeaseRevokeRequest>(table, "/etcdserverpb.Lease/LeaseRevoke", context, Revoke);
  AddUnary<LeaseLeasesRequest>(table, "/etcdserverpb.Lease/LeaseLeases", context, Leases);
  AddUnary<LeaseTimeToLiveRequest>(
      table, "/etcdserverpb.Lease/LeaseTimeToLive", context,
      [](const ApiContext& c, const CallRef& call, const LeaseTimeToLiveRequest& request,
         std::string_view) { TimeToLive(c, call, request, *c.lease_keeper); });
  table.Add({.path = "/etcdserverpb.Lease/LeaseKeepAlive",
             .kind = MethodKind::kBidirectional,
             .on_request = nullptr,
             .on_start = [context](const CallRef& call) {
               if (!CheckNoLearner(context, call) || !CheckLeader(context, call)) return;
               if (WantsLeader(*call)) context.leader_guard->Watch(call);
               auto shared =
                   std::make_shared<KeepAliveCall>(context.node, context.lease_keeper, call);
               call->SetHandler(std::make_unique<SharedKeepAlive>(std::move(shared)));
             }});
}

}  // namespace conclave::server
