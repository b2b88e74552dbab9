#include "server/stages/lease_stage.h"

#include <algorithm>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::server {

LeaseStage::LeaseStage(const LeaseStageOptions& options, Executor* lane, kv::Lessor* lessor,
                       Proposer* proposer)
    : options_(options), lane_(lane), lessor_(lessor), proposer_(proposer) {}

LeaseStage::~LeaseStage() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void LeaseStage::OnRoleChange(const raft::RoleChange& change) {
  const bool same = leading_ && change.role == raft::RoleName::kLeader && change.term == term_;
  if (same) return;
  lessor_->Demote();
  leading_ = change.role == raft::RoleName::kLeader;
  term_ = change.term;
}

void LeaseStage::OnApplied(raft::Term term) {
  if (!leading_) return;
  if (!lessor_->promoted()) {
    if (term != term_) return;
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
  const auto expired =
      lessor_->TakeExpired(lane_->Now(), options_.revokes_per_scan_max, options_.revoke_retry);
  etcdserverpb::LeaseRevokeRequest request;
  for (int64_t id : expired) {
    request.set_id(id);
    ++expired_total_;
    // An error needs no answer: a lease that is still there comes back after revoke_retry.
    proposer_->ProposeAsLeader(kv::CommandKind::kLeaseRevoke, request.SerializeAsString(), term_,
                               [](kv::ApplyResult) {});
  }
  Schedule();
}

}  // namespace conclave::server
