// Time as the deterministic code sees it: monotonic instants and durations, in nanoseconds. Nothing
// here reads a clock; instants come from a Clock (clock.h) and are handed in. Used by every folder,
// any lane.
#pragma once

#include <chrono>
#include <cstdint>

namespace conclave {

// The tag of the monotonic time line; it has no now() on purpose.
struct MonotonicLine {};

using Duration = std::chrono::nanoseconds;
// A point of this process's monotonic time. Instants of two processes or of two runs are not
// comparable.
using Instant = std::chrono::time_point<MonotonicLine, Duration>;

inline constexpr Instant kNever = Instant::max();

constexpr Duration Milliseconds(int64_t count) { return std::chrono::milliseconds(count); }
constexpr Duration Seconds(int64_t count) { return std::chrono::seconds(count); }
constexpr int64_t ToMilliseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
constexpr double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace conclave
