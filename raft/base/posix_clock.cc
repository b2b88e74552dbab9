#include "raft/base/posix_clock.h"

#include <chrono>

namespace conclave {

Instant PosixClock::Now() const {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

int64_t PosixClock::WallMilliseconds() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace conclave
