#include "server/stages/log_keeper.h"

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

LogKeeper::LogKeeper(const LogKeeperOptions& options, Executor* lane, Executor* background,
                     const std::shared_ptr<kv::Engine>* engine, Compacted compacted)
    : options_(options),
      lane_(lane),
      background_(background),
      engine_(engine),
      compacted_(std::move(compacted)) {}

LogKeeper::~LogKeeper() { *alive_ = false; }

void LogKeeper::OnApplied(raft::LogIndex index, size_t bytes) {
  bytes_ += bytes;
  applied_ = index;
  if (flushed_ == raft::LogIndex(0))
    flushed_ = index;  // the first drain of this run: count from here
  if (flushing_) {
    SIM_REACHED("stages.log.applied_during_flush");
    return;
  }
  if (bytes_ < options_.bytes_max && index - flushed_ < options_.entries_max) return;
  StartFlush(index);
}

void LogKeeper::OnRemoved() {
  if (applied_ == raft::LogIndex(0)) return;
  removed_ = true;
  if (!flushing_) StartFlush(applied_);
}

void LogKeeper::OnInstalled(raft::LogIndex index) {
  bytes_ = 0;
  applied_ = index;
  flushed_ = index;
  OnDurable(index);
}

void LogKeeper::Hold(std::optional<raft::LogIndex> index) {
  held_ = index;
  if (durable_ != raft::LogIndex(0)) OnDurable(durable_);
}

void LogKeeper::StartFlush(raft::LogIndex index) {
  flushing_ = true;
  removed_ = false;
  bytes_ = 0;
  flushed_ = index;
  // The background lane must not touch this object: it may be gone by then.
  background_->Post([this, alive = alive_, engine = *engine_, lane = lane_, index]() mutable {
    if (!SEEDED_BUG(kLogReleasedBeforeFlush)) engine->Flush();
    engine = nullptr;  // if it was replaced meanwhile, this may be its end, which blocks
    lane->Post([this, alive, index] {
      if (!*alive) return;
      flushing_ = false;
      OnDurable(index);
      if (removed_) StartFlush(applied_);
    });
  });
}

void LogKeeper::OnDurable(raft::LogIndex index) {
  durable_ = std::max(durable_, index);
  if (held_ && *held_ < durable_) SIM_REACHED("stages.log.held_back");
  compacted_(std::min(durable_, held_.value_or(durable_)));
}

}  // namespace conclave::server
