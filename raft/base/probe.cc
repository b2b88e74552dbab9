#include "raft/base/probe.h"

#if CONCLAVE_SIMULATION

#include <algorithm>

namespace conclave {
namespace {

// Filled before main begins, in whatever order the linker chose.
constinit internal::ProbeCounter* first_probe = nullptr;

}  // namespace

namespace internal {

ProbeCounter::ProbeCounter(std::string_view probe_name) : name(probe_name), next(first_probe) {
  first_probe = this;
}

}  // namespace internal

std::vector<ProbeCount> Probes() {
  std::vector<ProbeCount> probes;
  for (const auto* probe = first_probe; probe != nullptr; probe = probe->next) {
    probes.push_back({probe->name, probe->count});
  }
  std::sort(probes.begin(), probes.end(),
            [](const ProbeCount& a, const ProbeCount& b) { return a.name < b.name; });
  return probes;
}

void ResetProbes() {
  for (auto* probe = first_probe; probe != nullptr; probe = probe->next) probe->count = 0;
}

}  // namespace conclave

#endif
