// An engine's write buffer that is full now and then, because the disk is behind: what a Store says
// of its room. Whoever does not ask writes all the same, as a lane does that has waited. One lane.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "raft/base/executor.h"
#include "raft/base/random.h"

namespace conclave::sim {

struct FullBufferOptions {
  uint32_t one_commit_in = 0;  // after which it is full; 0: never
  Duration time_max{};         // for so long, at least a millisecond
};

class FullBuffer {
 public:
  // The lane's timers must be gone before this.
  FullBuffer(const FullBufferOptions& options, Executor* lane, Random random)
      : options_(options), lane_(lane), random_(random) {}

  void OnCommit();
  bool HasRoom() const { return !full_; }
  // As Store::AwaitRoom.
  void AwaitRoom(absl::AnyInvocable<void()> then);

 private:
  const FullBufferOptions options_;
  Executor* const lane_;
  Random random_;
  bool full_ = false;
  absl::AnyInvocable<void()> awaited_;
};

}  // namespace conclave::sim
