// What only the leader knows of leases: renewing them and the time they have left. Any member's
// services ask here; a follower passes the question on to the leader (reference: behaviour section
// 7). Also answers the other members' questions. On the raft lane.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "kvstore/proto/rpc.pb.h"
#include "server/peer/peer_calls.h"
#include "server/stages/node.h"

namespace conclave::server {

class LeaseKeeper {
 public:
  template <typename R>
  using Done = absl::AnyInvocable<void(absl::StatusOr<R>)>;

  // Registers as the handler of its questions from `peers`. Nothing is owned.
  LeaseKeeper(Node* node, PeerCalls* peers);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Renews the lease. OK with TTL 0 if it does not exist. Waits for a leader up to the request
  // timeout.
  void KeepAlive(const etcdserverpb::LeaseKeepAliveRequest& request,
                 Done<etcdserverpb::LeaseKeepAliveResponse> done);
  // OK with TTL -1 if it does not exist.
  void TimeToLive(const etcdserverpb::LeaseTimeToLiveRequest& request,
                  Done<etcdserverpb::LeaseTimeToLiveResponse> done);

 private:
  template <typename Request, typename Response>
  void Ask(PeerMethod method, const Request& request, Instant deadline, Done<Response> done);
  template <typename Request, typename Response>
  void AnswerPeer(std::string_view bytes, PeerCalls::Answer answer);

  // As the leader; ErrNotPrimaryLessor if this member is not one that may answer.
  void AnswerAsLeader(const etcdserverpb::LeaseKeepAliveRequest& request, Instant deadline,
                      Done<etcdserverpb::LeaseKeepAliveResponse> done);
  void AnswerAsLeader(const etcdserverpb::LeaseTimeToLiveRequest& request, Instant deadline,
                      Done<etcdserverpb::LeaseTimeToLiveResponse> done);
  Instant Deadline() const;

  Node* const node_;
  PeerCalls* const peers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
