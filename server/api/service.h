// What the services of the etcd API share: the node they stand on, the limits, and the few steps
// that every method takes. Services are transport-agnostic: they see Calls (server/rpc/call.h), so
// a simulation enters here. On the raft lane, which is also the I/O lane today.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/store.h"
#include "server/api/range_budget.h"
#include "server/api/range_reply.h"
#include "server/rpc/call.h"
#include "server/rpc/dispatch.h"
#include "server/stages/node.h"

namespace conclave::server {

class LeaderGuard;
class LeaseKeeper;
class MemberKeeper;

struct ApiOptions {
  size_t max_txn_ops = 128;
  size_t max_request_bytes = 1536 << 10;  // of what is replicated
  std::string reported_version = "3.6.14";
  size_t max_response_bytes = INT32_MAX;  // of a long range: no message of Protobuf's is longer
  RangeReplyOptions ranges = {};
  int64_t quota_bytes = int64_t{2} << 30;
};

// Shared by all services; nothing is owned.
struct ApiContext {
  Node* node = nullptr;
  LeaderGuard* leader_guard = nullptr;
  LeaseKeeper* lease_keeper = nullptr;
  MemberKeeper* member_keeper = nullptr;
  RangeBudget* range_budget = nullptr;
  const ApiOptions* options = nullptr;
};

// Parses `bytes` into `request`; on failure ends the call with Internal, as grpc does, and returns
// false.
bool ParseRequest(const CallRef& call, std::string_view bytes,
                  google::protobuf::MessageLite& request);

// False, with the call ended by ErrNoLeader, if the client asked for a leader (metadata
// "hasleader") and none is known.
bool CheckLeader(const ApiContext& context, const CallRef& call);
bool WantsLeader(const Call& call);

// Of all unary calls, a learner serves only those whose request this says yes to; of the streams,
// only snapshots (reference: behaviour section 9.5).
template <typename Request>
bool LearnerServes(const Request&) {
  return false;
}
inline bool LearnerServes(const etcdserverpb::StatusRequest&) { return true; }
inline bool LearnerServes(const etcdserverpb::RangeRequest& range) { return range.serializable(); }

// Of all calls, a member whose state is known to be wrong serves only those that this says yes to:
// what tells people of it, and what helps them to get it out of the way (docs/integrity.md).
template <typename Request>
bool FencedServes(const Request&) {
  return false;
}
inline bool FencedServes(const etcdserverpb::StatusRequest&) { return true; }
inline bool FencedServes(const etcdserverpb::AlarmRequest& alarm) {
  return alarm.action() == etcdserverpb::AlarmRequest::GET;
}
inline bool FencedServes(const etcdserverpb::HashRequest&) { return true; }
inline bool FencedServes(const etcdserverpb::HashKVRequest&) { return true; }
inline bool FencedServes(const etcdserverpb::MoveLeaderRequest&) { return true; }

// False, with the call ended by ErrCorrupt, if this member is fenced.
bool CheckNotFenced(const ApiContext& context, const CallRef& call);

// False, with the call ended by ErrNotSupportedForLearner, if this member is a learner.
bool CheckNoLearner(const ApiContext& context, const CallRef& call);

// The cluster's and the storage's version have no patch level: 3.6.14 is 3.6.0 there.
std::string WithoutPatch(const std::string& version);

// ErrRequestTooLarge if a request that is to be replicated is over its bound.
absl::Status CheckSize(const ApiContext& context, std::string_view request);

// ErrNoSpace if what a request may take up, `bytes`, would make the store pass its quota; asked
// before anything else of the request is looked at (reference: behaviour section 10.3). 0 is fine.
absl::Status CheckQuota(const ApiContext& context, uint64_t bytes);
// ErrNoSpace while a member is out of space: what makes the store grow is refused before it takes
// room in the logs. Applying refuses it as well, which decides.
absl::Status CheckSpace(const ApiContext& context);
// ErrCorrupt while a CORRUPT alarm is on that names no diverged member: nothing is written then.
absl::Status CheckSound(const ApiContext& context);

// The identity that the client has given this write, `as_sent` its bytes; none if it did not.
// ErrBadRequestId. Points into the call.
absl::StatusOr<kv::RequestIdentity> IdentityOf(const Call& call, std::string_view as_sent);

// Replicates `request` and answers with the response type `R` of the result, its header filled.
template <typename R>
void ProposeAndReply(const ApiContext& context, const CallRef& call, kv::CommandKind kind,
                     std::string_view request, const kv::RequestIdentity& identity = {}) {
  if (absl::Status status = CheckSize(context, request); !status.ok()) return call->Finish(status);
  Node* node = context.node;
  node->Propose(
      kind, request,
      [node, call](kv::ApplyResult result) {
        if (!result.status.ok()) return call->Finish(result.status);
        R& response = std::get<R>(result.response);
        node->FillHeader(response.mutable_header());
        call->Reply(response);
      },
      identity);
}

// Likewise, of a kind that takes an identity, with the call's. `as_sent` is what the client sent,
// which most requests are still.
template <typename R>
void ProposeOnceAndReply(const ApiContext& context, const CallRef& call, kv::CommandKind kind,
                         std::string_view request, std::string_view as_sent) {
  const absl::StatusOr<kv::RequestIdentity> identity = IdentityOf(*call, as_sent);
  if (!identity.ok()) return call->Finish(identity.status());
  ProposeAndReply<R>(context, call, kind, request, *identity);
}

// Registers a unary method whose request is `Request`: parses it, checks what a learner may do and
// "hasleader", then calls `handle`.
template <typename Request, typename Handle>
void AddUnary(DispatchTable& table, std::string path, const ApiContext& context, Handle handle) {
  table.Add({.path = std::move(path),
             .kind = MethodKind::kUnary,
             .on_request =
                 [context, handle](const CallRef& call, std::string_view bytes) {
                   Request request;
                   if (!ParseRequest(call, bytes, request)) return;
                   if (!LearnerServes(request) && !CheckNoLearner(context, call)) return;
                   if (!FencedServes(request) && !CheckNotFenced(context, call)) return;
                   if (!CheckLeader(context, call)) return;
                   handle(context, call, request, bytes);
                 },
             .on_start = nullptr});
}

// Likewise a method that answers with a stream, which no learner serves.
template <typename Request, typename Handle>
void AddServerStream(DispatchTable& table, std::string path, const ApiContext& context,
                     Handle handle) {
  table.Add({.path = std::move(path),
             .kind = MethodKind::kServerStream,
             .on_request =
                 [context, handle](const CallRef& call, std::string_view bytes) {
                   Request request;
                   if (!ParseRequest(call, bytes, request)) return;
                   if (!CheckNoLearner(context, call)) return;
                   if (!FencedServes(request) && !CheckNotFenced(context, call)) return;
                   if (!CheckLeader(context, call)) return;
                   handle(context, call, request);
                 },
             .on_start = nullptr});
}

// One function per service; each adds its methods.
void AddKvService(DispatchTable& table, const ApiContext& context);
void AddLeaseService(DispatchTable& table, const ApiContext& context);
void AddWatchService(DispatchTable& table, const ApiContext& context);
void AddClusterService(DispatchTable& table, const ApiContext& context);
void AddMaintenanceService(DispatchTable& table, const ApiContext& context);
void AddHealthService(DispatchTable& table, const ApiContext& context);

}  // namespace conclave::server
