#include "raft/base/posix_removal.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "raft/base/posix_clock.h"

namespace conclave {

// A part takes a quarter of a millisecond or so: the disk is idle again most of the time, and
// 400 MiB a second are more than LevelDB replaces.
constexpr auto kPause = std::chrono::milliseconds(2);

GradualRemoval::GradualRemoval() : lane_("disk-remove", Scheduling::kBulk) {}

GradualRemoval::Nameless::~Nameless() { ::close(fd); }

bool GradualRemoval::Take(int fd, uint64_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (files_.size() < kFilesMax) {
      files_.emplace_back(fd, bytes);
      if (files_.size() == 1) lane_.Post([this] { RemovePart(); });
      return true;
    }
  }
  ::close(fd);
  return false;
}

size_t GradualRemoval::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return files_.size();
}

void GradualRemoval::RemovePart() {
  std::unique_lock<std::mutex> lock(mutex_);
  Nameless& file = files_.front();  // stays where it is while others are added
  lock.unlock();
  file.bytes -= std::min(file.bytes, kPartBytes);
  // One that cannot be cut goes as a whole.
  const bool cut = file.bytes > 0 && ::ftruncate(file.fd, static_cast<off_t>(file.bytes)) == 0;
  if (!cut) {
    lock.lock();
    files_.pop_front();
    if (files_.empty()) return;
  }
  lane_.RunAt(PosixClock().Now() + kPause, [this] { RemovePart(); });
}

}  // namespace conclave
