#include "raft/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace conclave {
namespace {

std::atomic<CrashHook> crash_hook{nullptr};

void Report(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::fflush(stderr);
  if (CrashHook hook = crash_hook.load(); hook != nullptr) hook(what);
}

}  // namespace

void SetCrashHook(CrashHook hook) { crash_hook.store(hook); }

void Fatal(std::string_view what) {
  Report("fatal: " + std::string(what));
  std::_Exit(1);
}

void CheckFailed(const char* file, int line, const char* condition, std::string_view detail) {
  std::string what = std::string(file) + ":" + std::to_string(line) + ": CHECK(" + condition + ")";
  if (!detail.empty()) what += ": " + std::string(detail);
  Report(what);
  std::abort();
}

}  // namespace conclave
