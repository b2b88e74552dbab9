// The seam of time. The real one reads the kernel's clocks (posix_clock.h), the simulated one a
// seeded schedule. Any lane may call it.
#pragma once

#include <cstdint>

#include "raft/base/time.h"

namespace conclave {

class Clock {
 public:
  virtual ~Clock() = default;

  // Monotonic time; never goes back within one run of a process.
  virtual Instant Now() const = 0;

  // Milliseconds since the Unix epoch. Only for what people and other systems read (log lines,
  // generated ids): no decision may depend on it.
  virtual int64_t WallMilliseconds() const = 0;
};

}  // namespace conclave
