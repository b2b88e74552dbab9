#include "server/stages/log_keeper.h"

#include <utility>

namespace conclave::server {

LogKeeper::LogKeeper(const LogKeeperOptions& options, Executor* lane, Executor* background,
                     kv::Engine* engine, Compacted compacted)
    : options_(options),
      lane_(lane),
      background_(background),
      engine_(engine),
      compacted_(std::move(compacted)) {}

LogKeeper::~LogKeeper() { *alive_ = false; }

void LogKeeper::OnApplied(raft::LogIndex index, size_t bytes) {
  bytes_ += bytes;
  if (flushed_ == raft::LogIndex(0)) flushed_ = index;  // the first drain of this run: count from here
  if (flushing_) return;
  if (bytes_ < options_.bytes_max && index - flushed_ < options_.entries_max) return;
  StartFlush(index);
}

void LogKeeper::StartFlush(raft::LogIndex index) {
  flushing_ = true;
  bytes_ = 0;
  flushed_ = index;
  background_->Post([this, alive = alive_, index] {
    engine_->Flush();
    lane_->Post([this, alive, index] {
      if (!*alive) return;
      flushing_ = false;
      if (index.value() > options_.keep_entries) compacted_(index - options_.keep_entries);
    });
  });
}

}  // namespace conclave::server
