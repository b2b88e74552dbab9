#include "raft/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace conclave {
namespace {

std::atomic<CrashHook> crash_hook{nullptr};
std::atomic<SimulatedEnd> simulated_end{nullptr};

void EndInSimulation(bool bug, std::string_view what) {
  if (SimulatedEnd end = simulated_end.load(); end != nullptr) end(bug, what);
}

void Report(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::fflush(stderr);
  if (CrashHook hook = crash_hook.load(); hook != nullptr) hook(what);
}

}  // namespace

void SetCrashHook(CrashHook hook) { crash_hook.store(hook); }
void SetSimulatedEnd(SimulatedEnd end) { simulated_end.store(end); }

void Fatal(std::string_view what) {
  EndInSimulation(/*bug=*/false, what);
  Report("fatal: " + std::string(what));
  std::_Exit(1);
}

void CheckFailed(const char* file, int line, const char* condition, std::string_view detail) {
  std::string what = std::string(file) + ":" + std::to_string(line) + ": CHECK(" + condition + ")";
  if (!detail.empty()) what += ": " + std::string(detail);
  EndInSimulation(/*bug=*/true, what);
  Report(what);
  std::abort();
}

}  // namespace conclave
