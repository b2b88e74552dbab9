// Lets the raft log go: when enough has been applied it has the engine make everything durable on a
// background lane, and then tells raft that the log up to there may be forgotten, but for what a
// snapshot's session holds. The engine's own durability is lazy, so this is also what bounds the
// replay after a crash. On the raft lane.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "kvstore/engine/engine.h"
#include "raft/base/executor.h"
#include "raft/base/types.h"

namespace conclave::server {

struct LogKeeperOptions {
  uint64_t entries_max = 100'000;  // applied since the last flush
  size_t bytes_max = 16 << 20;     // likewise
};

class LogKeeper {
 public:
  using Compacted = absl::AnyInvocable<void(raft::LogIndex)>;

  // `engine` may come to be another one (OnInstalled).
  LogKeeper(const LogKeeperOptions& options, Executor* lane, Executor* background,
            const std::shared_ptr<kv::Engine>* engine, Compacted compacted);
  ~LogKeeper();
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;

  void OnApplied(raft::LogIndex index, size_t bytes);
  // Much was deleted. Only a flush of that brings the space back, and once nobody writes any more
  // there would be none for it.
  void OnRemoved();
  // The engine is another one, which is durable as of `index`.
  void OnInstalled(raft::LogIndex index);

  // The log after `index` is kept until the next call; nothing lets it go again.
  void Hold(std::optional<raft::LogIndex> index);

  // True while a flush is under way on the background lane.
  bool flushing() const { return flushing_; }

 private:
  void StartFlush(raft::LogIndex index);
  void OnDurable(raft::LogIndex index);

  const LogKeeperOptions options_;
  Executor* const lane_;
  Executor* const background_;
  const std::shared_ptr<kv::Engine>* const engine_;
  Compacted compacted_;
  raft::LogIndex applied_;  // in this run; 0 if nothing was
  raft::LogIndex flushed_;  // as of the latest flush, which may be under way
  raft::LogIndex durable_;
  std::optional<raft::LogIndex> held_;
  size_t bytes_ = 0;
  bool flushing_ = false;
  bool removed_ = false;  // since the flush under way began
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
