// Ends leases, on the leader only (reference: behaviour section 7). A new leader starts every lease
// afresh once it has applied an entry of its own term, so that it knows every lease the old one
// granted; a lease that runs out is revoked through the log, as the leader of that very term or not
// at all. However many run out together, revokes come a few at a time, so that other writes find
// room between them. What leases that nobody renews have left is proposed now and then, many in one
// entry, so that the next leader does not give them their full TTL (kvstore/lease/lessor.h). On the
// raft lane.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "kvstore/lease/lessor.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/stages/proposer.h"

namespace conclave::server {

struct LeaseStageOptions {
  // Added to every lease by a new leader: the old one may have renewed it until it was deposed.
  Duration extend_on_promotion = Seconds(1);
  // Together 1,000 a second, as etcd's, but evenly: each costs as much as a put or more.
  size_t revokes_per_scan_max = 5;
  Duration scan_interval_min = Milliseconds(5);
  size_t revokes_under_way_max = 64;
  Duration revoke_retry = Milliseconds(200);  // after a revoke that certainly came to nothing
  // A lease that has lost less of its TTL since its last checkpoint needs no other. Leases this
  // short have none.
  Duration checkpoint_step_min = Seconds(30);
  size_t leases_per_checkpoint_max = 1000;  // in one entry, of some 16 bytes each
  Duration checkpoint_pause = Seconds(1);   // at least, from one entry to the next
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

  // A renewal has given the lease its full TTL, and is answered once no later leader can give it
  // less: `done` with OK. Otherwise with an error of the errors table; ErrNotPrimaryLessor if it is
  // worth asking again.
  void ForgetCheckpoint(int64_t id, absl::AnyInvocable<void(const absl::Status&)> done);

  uint64_t expired_total() const { return expired_total_; }

 private:
  void Scan();
  void Revoke(int64_t id);
  void OnRevokeAnswered(int64_t id, const absl::Status& status);
  void Schedule();
  void TakeCheckpoints();
  void ScheduleCheckpoints();
  void Propose(const kv::LeaseCheckpoints& checkpoints,
               absl::AnyInvocable<void(const absl::Status&)> done);

  const LeaseStageOptions options_;
  Executor* const lane_;
  kv::Lessor* const lessor_;
  Proposer* const proposer_;
  bool leading_ = false;
  raft::Term term_;
  TimerId timer_ = 0;
  Instant timer_at_ = kNever;
  size_t revokes_under_way_ = 0;
  TimerId checkpoint_timer_ = 0;
  Instant checkpoint_timer_at_ = kNever;
  Instant checkpoints_from_{};  // not before
  uint64_t expired_total_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
