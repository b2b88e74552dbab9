#include "kvstore/engine/memory_home.h"

#include <utility>

#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {

// Each engine has a MemoryDisk, so that what is not flushed is lost with it; which of them is the
// live one is a pointer.
class MemoryHome : public EngineHome {
 public:
  explicit MemoryHome(MemoryHomeDisk* disk) : disk_(disk), live_(disk->live_) {
    disk_->home_ = this;
  }
  ~MemoryHome() override {
    if (disk_->home_ == this) disk_->home_ = nullptr;
  }

  absl::StatusOr<std::unique_ptr<Engine>> Open() override {
    if (damaged()) return absl::DataLossError("storage engine: it is damaged");
    return std::make_unique<MemoryEngine>(live_.get());
  }
  bool damaged() const override { return live_ == disk_->damaged_; }

  absl::StatusOr<std::unique_ptr<Engine>> StartIncoming() override {
    incoming_ = std::make_shared<MemoryDisk>(disk_->random_.Next(), disk_->options_);
    return std::make_unique<MemoryEngine>(incoming_.get());
  }

  absl::Status Adopt() override {
    CHECK_MSG(incoming_ != nullptr, "no incoming engine to adopt");
    old_ = std::exchange(live_, std::exchange(incoming_, nullptr));
    if (SEEDED_BUG(kSnapshotSwapUnsynced)) return absl::OkStatus();
    if (disk_->home_ == this) disk_->live_ = live_;
    return absl::OkStatus();
  }

  absl::Status DropIncoming() override {
    incoming_ = nullptr;
    return absl::OkStatus();
  }

  absl::Status RemoveOld() override {
    old_ = nullptr;
    return absl::OkStatus();
  }

 private:
  MemoryHomeDisk* const disk_;
  std::shared_ptr<MemoryDisk> live_;
  std::shared_ptr<MemoryDisk> incoming_;
  std::shared_ptr<MemoryDisk> old_;  // its engine may be open still
};

void MemoryHomeDisk::Detach() {
  home_ = nullptr;
  live_->Detach();
}

std::unique_ptr<EngineHome> NewMemoryHome(MemoryHomeDisk* disk) {
  return std::make_unique<MemoryHome>(disk);
}

}  // namespace conclave::kv
