#include "server/metrics/process_metrics.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace conclave::server {
namespace {

// The first number of the line of a /proc file that starts with `key`; 0 if there is none.
double NumberAfter(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!std::string_view(line).starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    double number = 0;
    return rest >> number ? number : 0;
  }
  return 0;
}

double OpenFiles() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  double count = 0;
  for (const std::filesystem::directory_iterator end; !error && files != end;
       files.increment(error)) {
    ++count;
  }
  return count;
}

double ProcessorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr double kKibibyte = 1024;  // the unit of /proc/self/status

}  // namespace

void AddProcessMetrics(MetricRegistry& registry) {
  registry.AddGauge("process_start_time_seconds", "Start of the process, in Unix time.")
      ->Set(WallSeconds());
  Gauge* resident =
      registry.AddGauge("process_resident_memory_bytes", "Memory of the process that is in RAM.");
  Gauge* virtual_bytes =
      registry.AddGauge("process_virtual_memory_bytes", "Address space of the process.");
  Gauge* open_files = registry.AddGauge("process_open_fds", "Open file descriptors.");
  Gauge* files_max = registry.AddGauge("process_max_fds", "Limit of open file descriptors.");
  Gauge* used = registry.AddGauge("os_fd_used", "Open file descriptors.");
  Gauge* limit = registry.AddGauge("os_fd_limit", "Limit of open file descriptors.");
  Counter* processor = registry.AddCounter("process_cpu_seconds_total",
                                           "Processor time of the process, user and system.");
  registry.BeforeRender([=] {
    resident->Set(NumberAfter("/proc/self/status", "VmRSS:") * kKibibyte);
    virtual_bytes->Set(NumberAfter("/proc/self/status", "VmSize:") * kKibibyte);
    const double open = OpenFiles();
    const double most = NumberAfter("/proc/self/limits", "Max open files");
    open_files->Set(open);
    used->Set(open);
    files_max->Set(most);
    limit->Set(most);
    processor->SetTotal(ProcessorSeconds());
  });
}

}  // namespace conclave::server
