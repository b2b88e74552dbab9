// The kernel's clocks: CLOCK_MONOTONIC for instants, CLOCK_REALTIME for people. Made once in main;
// any lane may call it. Instants start at an arbitrary point of each boot, and time spent suspended
// does not count.
#pragma once

#include "raft/base/clock.h"

namespace conclave {

class PosixClock : public Clock {
 public:
  Instant Now() const override;
  int64_t WallMilliseconds() const override;
};

}  // namespace conclave
