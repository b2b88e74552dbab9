// The queue in front of a stage. Many threads push, the stage's lane takes everything at once: the lane is woken only when
// the mailbox turns from empty to non-empty, so a hand-off costs per batch and not per item (design section 4).
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "raft/base/executor.h"

namespace conclave {

template <typename T>
class Mailbox {
 public:
  using Drain = absl::AnyInvocable<void(std::vector<T>& batch)>;

  // `drain` runs on `lane` with all that was pushed since its last run; it may leave the batch in any state.
  // The mailbox may be destroyed only on `lane`; a wake-up under way then finds nothing.
  Mailbox(Executor* lane, Drain drain)
      : lane_(lane), shared_(std::make_shared<Shared>()), drain_(std::move(drain)) {}
  ~Mailbox() { *alive_ = false; }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Any thread.
  void Push(T item) {
    bool wake = false;
    {
      absl::MutexLock lock(&shared_->mutex);
      wake = shared_->items.empty();
      shared_->items.push_back(std::move(item));
    }
    if (wake) {
      lane_->Post([this, alive = alive_] {
        if (*alive) Run();
      });
    }
  }

  // Items waiting now; a hint for bounds and metrics. Any thread.
  size_t size() const {
    absl::MutexLock lock(&shared_->mutex);
    return shared_->items.size();
  }

 private:
  struct Shared {
    mutable absl::Mutex mutex;
    std::vector<T> items ABSL_GUARDED_BY(mutex);
  };

  void Run() {
    batch_.clear();
    {
      absl::MutexLock lock(&shared_->mutex);
      batch_.swap(shared_->items);
    }
    if (!batch_.empty()) drain_(batch_);
  }

  Executor* const lane_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // touched on the lane only
  std::vector<T> batch_;                                        // kept for its capacity
  Drain drain_;
};

}  // namespace conclave
