#include "client/load/process_usage.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace conclave::client {
namespace {

// A file of /proc/<pid>. NotFound: no such process, or not one that we may look into.
absl::StatusOr<std::string> ReadProcFile(int pid, std::string_view name) {
  std::ifstream file(fmt::format("/proc/{}/{}", pid, name));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) return absl::NotFoundError(fmt::format("no process {}", pid));
  return text;
}

}  // namespace

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
    const absl::StatusOr<std::string> stat = ReadProcFile(pid, "stat");
    if (!stat.ok()) return stat.status();
    absl::StatusOr<std::chrono::microseconds> used = ParseCpuTime(*stat, sysconf(_SC_CLK_TCK));
    if (!used.ok()) return used.status();
    total += *used;
  }
  return total;
}

absl::StatusOr<std::uint64_t> ParseDeviceBytes(std::string_view io) {
  constexpr std::string_view kName = "\nwrite_bytes: ";
  const std::size_t at = io.find(kName);
  if (at == std::string_view::npos) return absl::InvalidArgumentError("no write_bytes");
  std::uint64_t bytes = 0;
  if (std::from_chars(io.data() + at + kName.size(), io.data() + io.size(), bytes).ec !=
      std::errc()) {
    return absl::InvalidArgumentError("write_bytes is no number");
  }
  return bytes;
}

absl::StatusOr<std::uint64_t> DeviceBytesOf(const std::vector<int>& pids) {
  std::uint64_t total = 0;
  for (const int pid : pids) {
    const absl::StatusOr<std::string> io = ReadProcFile(pid, "io");
    if (!io.ok()) return io.status();
    const absl::StatusOr<std::uint64_t> bytes = ParseDeviceBytes(*io);
    if (!bytes.ok()) return bytes.status();
    total += *bytes;
  }
  return total;
}

}  // namespace conclave::client
