#include "jepsen-style-tests/sim/member_lane.h"

#include <exception>
#include <optional>
#include <utility>

namespace conclave::sim {

namespace {

constexpr int64_t kMillion = 1'000'000;
constexpr int64_t kWallBaseMs = 1'700'000'000'000;

// d x (1 + ppm / 1e6), without overflow for the spans of a run.
Duration Scale(Duration d, int64_t ppm) {
  return d + Duration(static_cast<int64_t>(static_cast<__int128>(d.count()) * ppm / kMillion));
}

}  // namespace

MemberLane::MemberLane(Scheduler* scheduler, const ClockOptions& clock, Observer observer)
    : scheduler_(scheduler),
      observer_(std::move(observer)),
      true_origin_(scheduler->Now()),
      local_origin_(scheduler->Now() + clock.offset),
      rate_ppm_(clock.rate_ppm),
      self_(std::make_shared<MemberLane*>(this)) {}

MemberLane::~MemberLane() { *self_ = nullptr; }

Instant MemberLane::Now() const {
  return local_origin_ + Scale(scheduler_->Now() - true_origin_, rate_ppm_);
}

int64_t MemberLane::WallMilliseconds() const {
  return kWallBaseMs + ToMilliseconds(Now().time_since_epoch() + wall_jump_);
}

// The first true instant at which Now() is at least `local`.
Instant MemberLane::TrueTime(Instant local) const {
  const Duration ahead = local - Now();
  if (ahead <= Duration::zero()) return scheduler_->Now();
  const auto exact = static_cast<__int128>(ahead.count()) * kMillion / (kMillion + rate_ppm_) + 2;
  return scheduler_->Now() + Duration(static_cast<int64_t>(exact));
}

EventId MemberLane::Schedule(Instant when, Task task) {
  auto id = std::make_shared<EventId>(0);
  *id = scheduler_->At(when, [self = self_, id, task = std::move(task)]() mutable {
    if (*self != nullptr) (*self)->Run(*id, std::move(task));
  });
  return *id;
}

void MemberLane::Post(Task task) {
  if (!silent_) Schedule(scheduler_->Now(), std::move(task));
}

TimerId MemberLane::RunAt(Instant when, Task task) {
  if (silent_ || when == kNever) return 0;
  return Schedule(TrueTime(when), std::move(task));
}

void MemberLane::CancelTimer(TimerId timer) {
  if (timer == 0) return;
  scheduler_->Cancel(timer);
  std::erase_if(parked_, [timer](const Parked& parked) { return parked.id == timer; });
}

void MemberLane::Deliver(Task task) { Run(0, std::move(task)); }

void MemberLane::Run(EventId id, Task task) {
  if (silent_) return;
  if (paused_ || run_parked_posted_) {
    parked_.push_back({id, std::move(task)});
    return;
  }
  std::optional<ProcessEnded> ended;
  try {
    task();
  } catch (const ProcessEnded& end) {
    ended = end;
  } catch (const std::exception& thrown) {  // of the standard library: nobody would catch it
    ended = {.bug = true, .what = thrown.what()};
  }
  if (!ended) return observer_.after_task();
  silent_ = true;
  observer_.ended(*ended);
}

void MemberLane::Pause() { paused_ = true; }

void MemberLane::Resume() {
  paused_ = false;
  if (parked_.empty() || std::exchange(run_parked_posted_, true)) return;
  scheduler_->At(scheduler_->Now(), [self = self_] {
    if (*self != nullptr) (*self)->RunParked();
  });
}

void MemberLane::RunParked() {
  run_parked_posted_ = false;
  while (!parked_.empty() && !paused_ && !silent_) {
    Parked next = std::move(parked_.front());
    parked_.pop_front();
    Run(next.id, std::move(next.task));
  }
}

void MemberLane::End() {
  silent_ = true;
  parked_.clear();
  observer_ = {[] {}, [](const ProcessEnded&) {}};
}

}  // namespace conclave::sim
