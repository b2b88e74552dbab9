#include "server/stages/read_gate.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

ReadGate::ReadGate(const ReadGateOptions& options, Executor* lane,
                   absl::AnyInvocable<void()> wake_raft)
    : options_(options),
      lane_(lane),
      wake_raft_(std::move(wake_raft)),
      last_read_(options.first_read_id),
      applied_(options.applied) {}

ReadGate::~ReadGate() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void ReadGate::Read(Done done) {
  if (count_ >= options_.reads_max) {
    done(kv::ErrTooManyRequests());
    return;
  }
  if (!refusal_.ok()) return done(refusal_);
  ++count_;
  waiting_.push_back({lane_->Now() + options_.timeout, std::move(done)});
  ArmTimer();
  wake_raft_();
}

std::optional<raft::ReadId> ReadGate::TakeRead() {
  if (waiting_.empty() || !leader_known_) return std::nullopt;
  ++last_read_;
  Batch& batch = asked_[last_read_];
  batch.asked = lane_->Now();
  batch.waiters.swap(waiting_);
  return last_read_;
}

void ReadGate::OnReady(const std::vector<raft::ReadReady>& ready) {
  for (const raft::ReadReady& read : ready) {
    auto node = asked_.extract(read.read);
    if (node.empty()) {
      SIM_REACHED("stages.read.late_index");
      continue;
    }
    if (read.index > applied_) SIM_REACHED("stages.read.waits_for_apply");
    const raft::LogIndex wait_for = SEEDED_BUG(kReadBeforeApplied) ? raft::LogIndex(0) : read.index;
    ready_.emplace(wait_for, std::move(node.mapped()));
  }
  OnApplied(applied_);
}

void ReadGate::OnFailed(const std::vector<raft::ReadFailed>& failed) {
  for (const raft::ReadFailed& read : failed) {
    auto node = asked_.extract(read.read);
    if (node.empty()) continue;
    SIM_REACHED("stages.read.asked_again_after_refusal");
    std::move(node.mapped().waiters.begin(), node.mapped().waiters.end(),
              std::back_inserter(resting_));
    ArmTimer();
  }
}

void ReadGate::EndRest() {
  waiting_.insert(waiting_.begin(), std::make_move_iterator(resting_.begin()),
                  std::make_move_iterator(resting_.end()));
  resting_.clear();
}

void ReadGate::OnRoleChange(const raft::RoleChange& change) {
  leader_known_ = change.leader != raft::kNoNode;
  if (!leader_known_) return;
  EndRest();
  if (!waiting_.empty()) wake_raft_();
}

void ReadGate::OnApplied(raft::LogIndex index) {
  applied_ = index;
  while (!ready_.empty() && ready_.begin()->first <= index) {
    auto node = ready_.extract(ready_.begin());
    count_ -= node.mapped().waiters.size();
    for (Waiter& waiter : node.mapped().waiters) waiter.done(refusal_);
  }
}

namespace {

// Moves those past their deadline from `waiters` to `late`.
template <typename Waiter>
void TakeLate(std::vector<Waiter>& waiters, Instant now, std::vector<Waiter>& late) {
  auto split = std::stable_partition(waiters.begin(), waiters.end(),
                                     [now](const Waiter& waiter) { return waiter.deadline > now; });
  late.insert(late.end(), std::make_move_iterator(split), std::make_move_iterator(waiters.end()));
  waiters.erase(split, waiters.end());
}

}  // namespace

void ReadGate::Tick() {
  const Instant now = lane_->Now();
  for (auto it = asked_.begin(); it != asked_.end();) {
    if (it->second.asked + options_.retry_after > now) {
      ++it;
      continue;
    }
    SIM_REACHED("stages.read.asked_again_after_silence");
    std::move(it->second.waiters.begin(), it->second.waiters.end(), std::back_inserter(resting_));
    it = asked_.erase(it);
  }
  EndRest();
  std::vector<Waiter> late;
  TakeLate(waiting_, now, late);
  if (!late.empty()) SIM_REACHED("stages.read.timed_out_without_index");
  // A member that was cut off after it got its index may not apply that far for long.
  for (auto& [index, batch] : ready_) TakeLate(batch.waiters, now, late);
  if (!late.empty()) SIM_REACHED("stages.read.timed_out");
  count_ -= late.size();
  for (Waiter& waiter : late) waiter.done(kv::ErrTimeout());
  if (!waiting_.empty() && leader_known_) wake_raft_();
}

void ReadGate::ArmTimer() {
  if (timer_ != 0) return;
  constexpr Duration kPeriod = Milliseconds(50);
  timer_ = lane_->RunAt(lane_->Now() + kPeriod, [this] {
    timer_ = 0;
    Tick();
    if (count_ > 0) ArmTimer();
  });
}

}  // namespace conclave::server
