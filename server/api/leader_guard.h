// Ends the streams of clients that asked for a leader (metadata "hasleader") once this member has
// known none for three election timeouts (reference: wire section 1.1). On the raft lane.
#pragma once

#include <memory>
#include <vector>

#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/rpc/call.h"

namespace conclave::server {

class LeaderGuard {
 public:
  LeaderGuard(Executor* lane, Duration election_timeout);
  ~LeaderGuard();
  LeaderGuard(const LeaderGuard&) = delete;
  LeaderGuard& operator=(const LeaderGuard&) = delete;

  // Ends `call` with ErrNoLeader if the leader stays away. Forgotten by itself once the call is
  // over.
  void Watch(const CallRef& call);

  void OnRoleChange(const raft::RoleChange& change);

 private:
  void Forget();
  void EndAll();

  Executor* const lane_;
  const Duration patience_;
  std::vector<std::weak_ptr<Call>> calls_;
  size_t forget_at_ = 64;  // sweep dead entries when the list grows past this
  TimerId timer_ = 0;
};

}  // namespace conclave::server
