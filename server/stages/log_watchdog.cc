#include "server/stages/log_watchdog.h"

#include <fmt/format.h>

#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

constexpr int kLooksMax = 10;

}  // namespace

LogWatchdog::LogWatchdog(LogWatchdogOptions options, Executor* lane)
    : options_(std::move(options)), lane_(lane) {}

LogWatchdog::~LogWatchdog() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void LogWatchdog::WriteStarted() {
  ++started_;
  if (timer_ != 0 || options_.stall_max == Duration::zero()) return;
  looks_in_vain_ = 0;
  done_at_last_look_ = done_;
  LookLater();
}

void LogWatchdog::WriteDone() { ++done_; }

void LogWatchdog::LookLater() {
  timer_ = lane_->RunAt(lane_->Now() + options_.stall_max / kLooksMax, [this] {
    timer_ = 0;
    Look();
  });
}

void LogWatchdog::Look() {
  if (!writing()) return;  // nothing to look after until the next write
  const bool in_vain = done_ == done_at_last_look_ && !disk_full_;
  done_at_last_look_ = done_;
  looks_in_vain_ = in_vain ? looks_in_vain_ + 1 : 0;
  if (looks_in_vain_ >= kLooksMax && !SEEDED_BUG(kHungDiskEndured)) {
    SIM_REACHED("stages.log.disk_hangs");
    Fatal(fmt::format("the log could not be written for {:.3g} s: the disk of {} hangs",
                      ToSeconds(options_.stall_max), options_.directory));
  }
  LookLater();
}

}  // namespace conclave::server
