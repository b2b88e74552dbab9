#include "server/api/lease_keeper.h"

#include <string>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseTimeToLiveRequest;
using etcdserverpb::LeaseTimeToLiveResponse;

namespace {

// How long to wait before asking again when there is no leader or it has just changed.
constexpr Duration kRetryAfter = Milliseconds(50);

bool WorthRetrying(const absl::Status& status) {
  return status == kv::ErrNoLeader() || status == kv::ErrNotPrimaryLessor();
}

LeaseTimeToLiveResponse RemainingTime(kv::Store& store, const LeaseTimeToLiveRequest& request,
                                      Instant now) {
  LeaseTimeToLiveResponse response;
  response.set_id(request.id());
  response.mutable_header()->set_revision(store.revision());
  const kv::Lessor& lessor = store.lessor();
  const auto granted = lessor.GrantedTtl(request.id());
  const auto remaining = lessor.Remaining(request.id(), now);
  if (!granted || !remaining) {
    response.set_ttl(-1);
    return response;
  }
  response.set_ttl(*remaining);
  response.set_grantedttl(*granted);
  if (request.keys()) {
    for (std::string& key : lessor.Keys(request.id())) response.add_keys(std::move(key));
  }
  return response;
}

}  // namespace

LeaseKeeper::LeaseKeeper(Node* node, PeerCalls* peers) : node_(node), peers_(peers) {
  peers_->SetHandler(
      PeerMethod::kLeaseKeepAlive, [this](std::string_view request, PeerCalls::Answer answer) {
        AnswerPeer<LeaseKeepAliveRequest, LeaseKeepAliveResponse>(request, std::move(answer));
      });
  peers_->SetHandler(
      PeerMethod::kLeaseTimeToLive, [this](std::string_view request, PeerCalls::Answer answer) {
        AnswerPeer<LeaseTimeToLiveRequest, LeaseTimeToLiveResponse>(request, std::move(answer));
      });
}

LeaseKeeper::~LeaseKeeper() {
  *alive_ = false;
  peers_->SetHandler(PeerMethod::kLeaseKeepAlive, nullptr);
  peers_->SetHandler(PeerMethod::kLeaseTimeToLive, nullptr);
}

Instant LeaseKeeper::Deadline() const {
  return node_->lane()->Now() + Seconds(5) + 2 * node_->election_timeout();
}

void LeaseKeeper::KeepAlive(const LeaseKeepAliveRequest& request,
                            Done<LeaseKeepAliveResponse> done) {
  Ask(PeerMethod::kLeaseKeepAlive, request, Deadline(), std::move(done));
}

void LeaseKeeper::TimeToLive(const LeaseTimeToLiveRequest& request,
                             Done<LeaseTimeToLiveResponse> done) {
  Ask(PeerMethod::kLeaseTimeToLive, request, Deadline(), std::move(done));
}

// Asks whoever leads now, again and again until the deadline: both questions may be repeated
// without harm.
template <typename Request, typename Response>
void LeaseKeeper::Ask(PeerMethod method, const Request& request, Instant deadline,
                      Done<Response> done) {
  auto retry = [this, alive = alive_, method, request, deadline,
                done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (!*alive) return;
    const Instant again = node_->lane()->Now() + kRetryAfter;
    if (response.ok() || !WorthRetrying(response.status()) || again >= deadline) {
      return done(std::move(response));
    }
    SIM_REACHED("lease.question_asked_again");
    node_->lane()->RunAt(
        again, [this, alive, method, request, deadline, done = std::move(done)]() mutable {
          if (*alive) Ask<Request, Response>(method, request, deadline, std::move(done));
        });
  };
  if (node_->leading()) return AnswerAsLeader(request, deadline, std::move(retry));
  if (node_->leader() == raft::kNoNode) return retry(kv::ErrNoLeader());
  SIM_REACHED("lease.question_forwarded");
  peers_->CallPeer(node_->leader(), method, request.SerializeAsString(),
                   deadline - node_->lane()->Now(),
                   [retry = std::move(retry)](absl::StatusOr<std::string> bytes) mutable {
                     if (!bytes.ok()) return retry(bytes.status());
                     Response response;
                     if (!response.ParseFromString(*bytes)) {
                       return retry(absl::InternalError("malformed answer from the leader"));
                     }
                     retry(std::move(response));
                   });
}

template <typename Request, typename Response>
void LeaseKeeper::AnswerPeer(std::string_view bytes, PeerCalls::Answer answer) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return answer(absl::InvalidArgumentError("malformed question from a peer"));
  }
  AnswerAsLeader(request, Deadline(),
                 [answer = std::move(answer)](absl::StatusOr<Response> response) mutable {
                   if (!response.ok()) return answer(response.status());
                   answer(response->SerializeAsString());
                 });
}

// A lease that has run out but whose revoke is not applied yet gets no answer before it is: then it
// is certainly gone.
void LeaseKeeper::AnswerAsLeader(const LeaseKeepAliveRequest& request, Instant deadline,
                                 Done<LeaseKeepAliveResponse> done) {
  node_->ReadAsLessor([this, alive = alive_, request, deadline,
                       done = std::move(done)](const absl::Status& status) mutable {
    if (!*alive) return;
    if (!status.ok()) return done(status);
    const Instant now = node_->lane()->Now();
    kv::Lessor& lessor = node_->store().lessor();
    if (lessor.Expiring(request.id(), now) && !SEEDED_BUG(kExpiringLeaseRenewed)) {
      SIM_REACHED("lease.renewal_waits_for_revoke");
      if (now + kRetryAfter >= deadline) return done(kv::ErrTimeout());
      node_->lane()->RunAt(now + kRetryAfter,
                           [this, alive, request, deadline, done = std::move(done)]() mutable {
                             if (*alive) AnswerAsLeader(request, deadline, std::move(done));
                           });
      return;
    }
    LeaseKeepAliveResponse response;
    response.set_id(request.id());
    response.mutable_header()->set_revision(node_->store().revision());
    absl::StatusOr<int64_t> ttl = lessor.Renew(request.id(), now);
    if (!ttl.ok() && ttl.status() != kv::ErrLeaseNotFound()) return done(ttl.status());
    if (!ttl.ok()) SIM_REACHED("lease.renewal_too_late");
    response.set_ttl(ttl.ok() ? *ttl : 0);
    const bool forget = ttl.ok() && lessor.Checkpointed(request.id());
    if (!forget || SEEDED_BUG(kLeaseCheckpointKept)) return done(std::move(response));
    SIM_REACHED("lease.renewal_forgets_checkpoint");
    node_->leases().ForgetCheckpoint(
        request.id(), [alive, response = std::move(response),
                       done = std::move(done)](const absl::Status& forgotten) mutable {
          if (!*alive) return;
          if (!forgotten.ok()) return done(forgotten);
          done(std::move(response));
        });
  });
}

void LeaseKeeper::AnswerAsLeader(const LeaseTimeToLiveRequest& request, Instant,
                                 Done<LeaseTimeToLiveResponse> done) {
  node_->ReadAsLessor(
      [this, alive = alive_, request, done = std::move(done)](const absl::Status& status) mutable {
        if (!*alive) return;
        if (!status.ok()) return done(status);
        done(RemainingTime(node_->store(), request, node_->lane()->Now()));
      });
}

}  // namespace conclave::server
