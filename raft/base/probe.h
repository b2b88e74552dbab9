// Marks on rare paths, by which the simulator knows that it has been there. SIM_REACHED is nothing
// in production. With seeded_bug.h these are the only test hooks in product code.
//
//   SIM_REACHED("raft.vote.refused_stale_log");
//
// In the simulator (CONCLAVE_SIMULATION) each is one increment of a counter that exists from the
// start of the program, whether the path is ever taken or not: Probes() lists them all. Marks of
// the same name share a counter. The counters are plain numbers, for a simulation runs in one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#if CONCLAVE_SIMULATION

namespace conclave {

struct ProbeCount {
  std::string_view name;  // dotted, the layer first
  uint64_t count = 0;     // times reached since the start or the last ResetProbes
};

// Every probe of the program, by name.
std::vector<ProbeCount> Probes();
void ResetProbes();

namespace internal {

// A string literal as a template argument.
template <size_t kSize>
struct ProbeName {
  consteval ProbeName(const char (&literal)[kSize]) {  // NOLINT: it stands for the literal
    for (size_t i = 0; i < kSize; ++i) text[i] = literal[i];
  }
  char text[kSize];
};

struct ProbeCounter {
  explicit ProbeCounter(std::string_view probe_name);  // joins the list behind Probes()

  const std::string_view name;
  uint64_t count = 0;
  ProbeCounter* const next;
};

// One object for each name that stands in the program, made before main begins.
template <ProbeName kName>
inline ProbeCounter probe_counter{std::string_view(kName.text, sizeof(kName.text) - 1)};

}  // namespace internal
}  // namespace conclave

#define SIM_REACHED(name) static_cast<void>(++::conclave::internal::probe_counter<name>.count)

#else

#define SIM_REACHED(name) static_cast<void>(0)

#endif
