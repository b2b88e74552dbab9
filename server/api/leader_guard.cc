#include "server/api/leader_guard.h"

#include <algorithm>
#include <utility>

#include "kvstore/errors.h"

namespace conclave::server {

LeaderGuard::LeaderGuard(Executor* lane, Duration election_timeout)
    : lane_(lane), patience_(3 * election_timeout) {}

LeaderGuard::~LeaderGuard() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void LeaderGuard::Watch(const CallRef& call) {
  if (calls_.size() >= forget_at_) Forget();
  calls_.push_back(call);
}

void LeaderGuard::Forget() {
  std::erase_if(calls_, [](const std::weak_ptr<Call>& weak) {
    const CallRef call = weak.lock();
    return call == nullptr || !call->open();
  });
  forget_at_ = std::max<size_t>(64, 2 * calls_.size());
}

void LeaderGuard::OnRoleChange(const raft::RoleChange& change) {
  if (change.leader != raft::kNoNode) {
    if (timer_ != 0) lane_->CancelTimer(timer_);
    timer_ = 0;
    return;
  }
  if (timer_ != 0) return;
  timer_ = lane_->RunAt(lane_->Now() + patience_, [this] {
    timer_ = 0;
    EndAll();
  });
}

void LeaderGuard::EndAll() {
  for (const std::weak_ptr<Call>& weak : std::exchange(calls_, {})) {
    if (const CallRef call = weak.lock(); call != nullptr) call->Finish(kv::ErrNoLeader());
  }
}

}  // namespace conclave::server
