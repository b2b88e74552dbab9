// The processor time that other processes on this machine have used, from /proc/<pid>/stat: so that
// a load can say what each operation cost the servers. Any thread.
#pragma once

#include <chrono>
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

}  // namespace conclave::client
