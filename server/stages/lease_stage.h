// Ends leases, on the leader only (reference: behaviour section 7). A new leader starts every lease
// afresh once it has applied an entry of its own term, so that it knows every lease the old one
// granted; a lease that runs out is revoked through the log, as the leader of that very term or not
// at all. On the raft lane.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "kvstore/lease/lessor.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/stages/proposer.h"

namespace conclave::server {

struct LeaseStageOptions {
  // Added to every lease by a new leader: the old one may have renewed it until it was deposed.
  Duration extend_on_promotion = Seconds(1);
  size_t revokes_per_scan_max = 500;
  Duration scan_interval_min = Milliseconds(100);
  Duration revoke_retry = Milliseconds(200);  // after a revoke that certainly came to nothing
};

class LeaseStage {
 public:
  LeaseStage(const LeaseStageOptions& options, Executor* lane, kv::Lessor* lessor,
             Proposer* proposer);
  ~LeaseStage();
  LeaseStage(const LeaseStage&) = delete;
  LeaseStage& operator=(const LeaseStage&) = delete;

  void OnRoleChange(const raft::RoleChange& change);
  // After each apply drain: the term of its last entry.
  void OnApplied(raft::Term term);

  uint64_t expired_total() const { return expired_total_; }

 private:
  void Scan();
  void Revoke(int64_t id);
  void OnRevokeAnswered(int64_t id, const absl::Status& status);
  void Schedule();

  const LeaseStageOptions options_;
  Executor* const lane_;
  kv::Lessor* const lessor_;
  Proposer* const proposer_;
  bool leading_ = false;
  raft::Term term_;
  TimerId timer_ = 0;
  Instant timer_at_ = kNever;
  uint64_t expired_total_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
