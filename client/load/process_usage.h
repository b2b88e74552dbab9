// What other processes on this machine have used of it, from /proc: so that a load can say what
// each operation cost the servers. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace conclave::client {

// User plus system time since their start, summed over the processes. The kernel counts in ticks of
// 10 ms. NotFound: a process has ended or never was.
absl::StatusOr<std::chrono::microseconds> CpuTimeOf(const std::vector<int>& pids);

// The same from the text of one stat file; `ticks_per_second` is the kernel's clock tick.
// InvalidArgument: not such a text.
absl::StatusOr<std::chrono::microseconds> ParseCpuTime(std::string_view stat,
                                                       long ticks_per_second);

// Bytes that they caused to be sent to storage (write_bytes of /proc/<pid>/io, see man 5 proc),
// summed: a page counts whole each time it becomes dirty. NotFound: a process has ended, or belongs
// to another user.
absl::StatusOr<std::uint64_t> DeviceBytesOf(const std::vector<int>& pids);

// The same from the text of one io file. InvalidArgument: not such a text.
absl::StatusOr<std::uint64_t> ParseDeviceBytes(std::string_view io);

}  // namespace conclave::client
