#include "client/load/process_cpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace conclave::client {

absl::StatusOr<std::chrono::microseconds> ParseCpuTime(std::string_view stat,
                                                       long ticks_per_second) {
  // The second field is the program's name in parentheses and may itself hold spaces and
  // parentheses (man 5 proc).
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return absl::InvalidArgumentError("no program name");
  std::istringstream fields{std::string(stat.substr(name_end + 1))};
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  long user_ticks = 0;
  long system_ticks = 0;
  if (!(fields >> user_ticks >> system_ticks))
    return absl::InvalidArgumentError("no fields 14 and 15");
  return std::chrono::microseconds((user_ticks + system_ticks) * (1'000'000 / ticks_per_second));
}

absl::StatusOr<std::chrono::microseconds> CpuTimeOf(const std::vector<int>& pids) {
  std::chrono::microseconds total{0};
  for (const int pid : pids) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    if (stat.empty()) return absl::NotFoundError(fmt::format("no process {}", pid));
    absl::StatusOr<std::chrono::microseconds> used = ParseCpuTime(stat, sysconf(_SC_CLK_TCK));
    if (!used.ok()) return used.status();
    total += *used;
  }
  return total;
}

}  // namespace conclave::client
