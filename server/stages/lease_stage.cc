#include "server/stages/lease_stage.h"

#include <algorithm>
#include <utility>

#include "kvstore/errors.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

// Says that a proposal certainly came to nothing. One that timed out after it was proposed is still
// in the log of this term, and is applied if any of it is.
bool CertainlyNot(const absl::Status& status) {
  return status == kv::ErrNotLeader() || status == kv::ErrTooManyRequests() ||
         absl::IsDeadlineExceeded(status);  // never proposed (proposer.cc)
}

}  // namespace

LeaseStage::LeaseStage(const LeaseStageOptions& options, Executor* lane, kv::Lessor* lessor,
                       Proposer* proposer)
    : options_(options), lane_(lane), lessor_(lessor), proposer_(proposer) {}

LeaseStage::~LeaseStage() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
  if (checkpoint_timer_ != 0) lane_->CancelTimer(checkpoint_timer_);
}

void LeaseStage::OnRoleChange(const raft::RoleChange& change) {
  const bool same = leading_ && change.role == raft::RoleName::kLeader && change.term == term_;
  if (same) return;
  if (lessor_->promoted()) SIM_REACHED("lease.demoted");
  if (!SEEDED_BUG(kDeposedLeaderRevokes)) lessor_->Demote();
  leading_ = change.role == raft::RoleName::kLeader;
  term_ = change.term;
}

void LeaseStage::OnApplied(raft::Term term) {
  if (!leading_) return;
  if (!lessor_->promoted()) {
    if (term != term_) {
      SIM_REACHED("lease.promotion_waits_for_own_term");
      return;
    }
    if (lessor_->size() > 0) SIM_REACHED("lease.promoted_with_leases");
    lessor_->Promote(lane_->Now(), options_.extend_on_promotion, options_.checkpoint_step_min);
  }
  lessor_->StartClocks(lane_->Now());
  Schedule();
  ScheduleCheckpoints();
}

void LeaseStage::Schedule() {
  const Instant next = lessor_->NextExpiry();
  if (next == kNever || revokes_under_way_ >= options_.revokes_under_way_max) return;
  const Instant at = std::max(next, lane_->Now() + options_.scan_interval_min);
  if (timer_ != 0) {
    if (timer_at_ <= at) return;
    lane_->CancelTimer(timer_);
  }
  timer_at_ = at;
  timer_ = lane_->RunAt(at, [this] {
    timer_ = 0;
    Scan();
  });
}

void LeaseStage::Scan() {
  if (!lessor_->promoted()) return;
  const size_t room = options_.revokes_under_way_max - revokes_under_way_;
  const auto expired =
      lessor_->TakeExpired(lane_->Now(), std::min(room, options_.revokes_per_scan_max));
  for (int64_t id : expired) Revoke(id);
  Schedule();
}

void LeaseStage::Revoke(int64_t id) {
  ++expired_total_;
  SIM_REACHED("lease.expired");
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  if (SEEDED_BUG(kDeposedLeaderRevokes)) {
    proposer_->Propose(kv::CommandKind::kLeaseRevoke, request.SerializeAsString(),
                       [](kv::ApplyResult) {});
    return;
  }
  ++revokes_under_way_;
  if (revokes_under_way_ == options_.revokes_under_way_max) SIM_REACHED("lease.revokes_wait");
  proposer_->ProposeAsLeader(kv::CommandKind::kLeaseRevoke, request.SerializeAsString(), term_,
                             [this, alive = alive_, id](const kv::ApplyResult& result) {
                               if (*alive) OnRevokeAnswered(id, result.status);
                             });
}

void LeaseStage::OnRevokeAnswered(int64_t id, const absl::Status& status) {
  --revokes_under_way_;
  if (!lessor_->promoted()) return;
  if (CertainlyNot(status)) lessor_->RetryAt(id, lane_->Now() + options_.revoke_retry);
  Schedule();
}

// ---- Checkpoints. ----

void LeaseStage::ScheduleCheckpoints() {
  const Instant next = lessor_->NextCheckpoint();
  if (next == kNever) return;
  const Instant at = std::max(next, checkpoints_from_);
  if (checkpoint_timer_ != 0) {
    if (checkpoint_timer_at_ <= at) return;
    lane_->CancelTimer(checkpoint_timer_);
  }
  checkpoint_timer_at_ = at;
  checkpoint_timer_ = lane_->RunAt(at, [this] {
    checkpoint_timer_ = 0;
    TakeCheckpoints();
  });
}

void LeaseStage::TakeCheckpoints() {
  if (!lessor_->promoted()) return;
  checkpoints_from_ = lane_->Now() + options_.checkpoint_pause;
  const kv::LeaseCheckpoints taken =
      lessor_->TakeCheckpoints(lane_->Now(), options_.leases_per_checkpoint_max);
  if (taken.leases.empty()) return ScheduleCheckpoints();
  SIM_REACHED("lease.checkpointed");
  Propose(taken, [this, term = term_](const absl::Status& status) {
    const bool dropped = CertainlyNot(status) && lessor_->promoted() && term == term_;
    if (!dropped) return;
    SIM_REACHED("lease.checkpoint_dropped");
    lessor_->DropCheckpoints();
    ScheduleCheckpoints();
  });
}

void LeaseStage::ForgetCheckpoint(int64_t id, absl::AnyInvocable<void(const absl::Status&)> done) {
  Propose(lessor_->FullAgain(id), [done = std::move(done)](const absl::Status& status) mutable {
    const bool again = status == kv::ErrNotLeader() || status == kv::ErrTooManyRequests();
    done(again ? kv::ErrNotPrimaryLessor() : status);
  });
}

// Those that are proposed later come later in the log: the proposer keeps their order, and makes no
// second attempt of what a leader proposes for itself.
void LeaseStage::Propose(const kv::LeaseCheckpoints& checkpoints,
                         absl::AnyInvocable<void(const absl::Status&)> done) {
  etcdserverpb::LeaseCheckpointRequest request;
  request.set_newest_grant(checkpoints.newest_grant);
  for (const kv::LeaseCheckpoint& checkpoint : checkpoints.leases) {
    etcdserverpb::LeaseCheckpoint& lease = *request.add_checkpoints();
    lease.set_id(checkpoint.id);
    lease.set_remaining_ttl(checkpoint.remaining_seconds);
  }
  proposer_->ProposeAsLeader(
      kv::CommandKind::kLeaseCheckpoint, request.SerializeAsString(), term_,
      [alive = alive_, done = std::move(done)](const kv::ApplyResult& result) mutable {
        if (*alive) done(result.status);
      });
}

}  // namespace conclave::server
