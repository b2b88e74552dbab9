#include "server/stages/lease_stage.h"

#include <algorithm>

#include "kvstore/errors.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

LeaseStage::LeaseStage(const LeaseStageOptions& options, Executor* lane, kv::Lessor* lessor,
                       Proposer* proposer)
    : options_(options), lane_(lane), lessor_(lessor), proposer_(proposer) {}

LeaseStage::~LeaseStage() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
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
    lessor_->Promote(lane_->Now(), options_.extend_on_promotion);
  }
  lessor_->StartClocks(lane_->Now());
  Schedule();
}

void LeaseStage::Schedule() {
  const Instant next = lessor_->NextExpiry();
  if (next == kNever) return;
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
  const auto expired = lessor_->TakeExpired(lane_->Now(), options_.revokes_per_scan_max);
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
  proposer_->ProposeAsLeader(kv::CommandKind::kLeaseRevoke, request.SerializeAsString(), term_,
                             [this, alive = alive_, id](const kv::ApplyResult& result) {
                               if (*alive) OnRevokeAnswered(id, result.status);
                             });
}

// A revoke that timed out after it was proposed is still in the log of this term, and is applied if
// any of it is. All other failures say that it certainly came to nothing.
void LeaseStage::OnRevokeAnswered(int64_t id, const absl::Status& status) {
  const bool certainly_not = status == kv::ErrNotLeader() || status == kv::ErrTooManyRequests() ||
                             absl::IsDeadlineExceeded(status);  // never proposed (proposer.cc)
  if (!certainly_not || !lessor_->promoted()) return;
  lessor_->RetryAt(id, lane_->Now() + options_.revoke_retry);
  Schedule();
}

}  // namespace conclave::server
