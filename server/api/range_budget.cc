#include "server/api/range_budget.h"

#include <utility>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::server {

RangeBudget::RangeBudget(const RangeBudgetOptions& options, Executor* lane)
    : options_(options), lane_(lane) {}

RangeBudget::~RangeBudget() {
  CHECK(reserved_ == 0);
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void RangeBudget::Reservation::Reserve(RangeBudget* budget, uint64_t bytes,
                                       absl::AnyInvocable<void(const absl::Status&)> done) {
  CHECK(waiter_ == nullptr);
  CHECK(bytes <= budget->options_.bytes);
  budget->DropLeft();
  if (budget->queue_.size() >= budget->options_.waiting_max) {
    SIM_REACHED("api.range.queue_full");
    ++budget->refused_;
    return done(kv::ErrTooManyRangeBytes());
  }
  budget_ = budget;
  waiter_ = std::make_shared<Waiter>();
  waiter_->bytes = bytes;
  waiter_->until = budget->lane_->Now() + budget->options_.wait_max;
  waiter_->done = std::move(done);
  budget->queue_.push_back(waiter_);
  budget->Admit();
}

bool RangeBudget::Reservation::Extend(uint64_t bytes) {
  CHECK(waiter_ != nullptr && waiter_->admitted);
  budget_->DropLeft();
  const bool spared = budget_->reserved_ + bytes <= budget_->options_.bytes / 2;
  if (!budget_->queue_.empty() || !spared) return false;
  waiter_->bytes += bytes;
  budget_->reserved_ += bytes;
  return true;
}

void RangeBudget::Reservation::Release() {
  if (waiter_ == nullptr) return;
  const std::shared_ptr<Waiter> waiter = std::exchange(waiter_, nullptr);
  budget_->Free(*waiter);
}

void RangeBudget::Free(Waiter& waiter) {
  waiter.done = nullptr;
  if (waiter.admitted) reserved_ -= std::exchange(waiter.bytes, 0);
  Admit();
}

void RangeBudget::DropLeft() {
  std::erase_if(queue_, [](const std::shared_ptr<Waiter>& waiter) { return !waiter->done; });
}

void RangeBudget::Admit() {
  while (!queue_.empty()) {
    const std::shared_ptr<Waiter> first = queue_.front();
    if (first->done && !Fits(*first)) break;
    queue_.pop_front();
    if (!first->done) continue;  // it has left
    first->admitted = true;
    reserved_ += first->bytes;
    // May come back here, to give back what it has got.
    std::exchange(first->done, nullptr)(absl::OkStatus());
  }
  ArmTimer();
}

void RangeBudget::ArmTimer() {
  if (queue_.empty() || timer_ != 0) return;
  SIM_REACHED("api.range.waits_for_memory");
  // All wait equally long, so the first is due first.
  timer_ = lane_->RunAt(queue_.front()->until, [this] { OnTimer(); });
}

void RangeBudget::OnTimer() {
  timer_ = 0;
  while (!queue_.empty() && queue_.front()->until <= lane_->Now()) {
    const std::shared_ptr<Waiter> first = queue_.front();
    queue_.pop_front();
    if (!first->done) continue;
    SIM_REACHED("api.range.refused");
    ++refused_;
    std::exchange(first->done, nullptr)(kv::ErrTooManyRangeBytes());
  }
  Admit();  // who was behind may be smaller
}

RangeBudgetStats RangeBudget::stats() const {
  RangeBudgetStats stats{.bytes = reserved_, .refused = refused_};
  for (const std::shared_ptr<Waiter>& waiter : queue_) stats.waiting += waiter->done != nullptr;
  return stats;
}

}  // namespace conclave::server
