// The two ways to end the process: CHECK, when our own code is wrong, and Fatal, when the machine
// betrayed us (a failed fsync, an unreadable log). Both are on in every build, run the crash hook
// (which flushes the logs) and never return. Any lane.
#pragma once

#include <functional>
#include <string_view>

namespace conclave {

// Ends the process with status 1 after writing `what` to the crash hook, or to standard error if
// there is none.
[[noreturn]] void Fatal(std::string_view what);

// Called with the text of a failed CHECK or Fatal before the process ends. Set once at start-up.
using CrashHook = void (*)(std::string_view what);
void SetCrashHook(CrashHook hook);

// In a simulation, where many members share a process: runs instead of all that when one of them
// ends itself, and must throw. `bug` tells a failed CHECK from a Fatal.
using SimulatedEnd = void (*)(bool bug, std::string_view what);
void SetSimulatedEnd(SimulatedEnd end);

// Reports a failed CHECK and aborts, so that a core file shows where.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view detail = {});

}  // namespace conclave

#ifdef CHECK
#error "another CHECK macro is in scope"
#endif

// Ends the process unless `condition` holds. For our own bugs only; bad input gets a Status.
#define CHECK(condition)                                       \
  do {                                                         \
    if (__builtin_expect(!(condition), 0))                     \
      ::conclave::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

// As CHECK, with a string that says more.
#define CHECK_MSG(condition, detail)                                     \
  do {                                                                   \
    if (__builtin_expect(!(condition), 0))                               \
      ::conclave::CheckFailed(__FILE__, __LINE__, #condition, (detail)); \
  } while (false)
