// Lets the raft log go: when enough has been applied it has the engine make everything durable on a
// background lane, and then tells raft that the log up to there may be forgotten. The engine's own
// durability is lazy, so this is also what bounds the replay after a crash. On the raft lane.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "kvstore/engine/engine.h"
#include "raft/base/executor.h"
#include "raft/base/types.h"

namespace conclave::server {

struct LogKeeperOptions {
  uint64_t entries_max = 100'000;  // applied since the last flush
  size_t bytes_max = 64 << 20;     // likewise
};

class LogKeeper {
 public:
  using Compacted = absl::AnyInvocable<void(raft::LogIndex)>;

  LogKeeper(const LogKeeperOptions& options, Executor* lane, Executor* background,
            kv::Engine* engine, Compacted compacted);
  ~LogKeeper();
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;

  void OnApplied(raft::LogIndex index, size_t bytes);

  // True while a flush is under way on the background lane.
  bool flushing() const { return flushing_; }

 private:
  void StartFlush(raft::LogIndex index);

  const LogKeeperOptions options_;
  Executor* const lane_;
  Executor* const background_;
  kv::Engine* const engine_;
  Compacted compacted_;
  raft::LogIndex flushed_;
  size_t bytes_ = 0;
  bool flushing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
