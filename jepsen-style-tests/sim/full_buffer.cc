#include "jepsen-style-tests/sim/full_buffer.h"

#include <utility>

namespace conclave::sim {

void FullBuffer::OnCommit() {
  if (full_ || options_.one_commit_in == 0 || !random_.OneIn(options_.one_commit_in)) return;
  full_ = true;
  const int64_t time_ms = ToMilliseconds(options_.time_max);
  const Duration time = Milliseconds(1 + static_cast<int64_t>(random_.Below(time_ms)));
  lane_->RunAt(lane_->Now() + time, [this] {
    full_ = false;
    if (awaited_) std::exchange(awaited_, nullptr)();
  });
}

void FullBuffer::AwaitRoom(absl::AnyInvocable<void()> then) {
  if (!full_) return then();
  awaited_ = std::move(then);
}

}  // namespace conclave::sim
