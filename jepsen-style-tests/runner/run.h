// One run of the simulator: the world that a seed draws, its workloads and its nemesis, from the
// first start of the members to the verdicts of all checkers. The phases: faults; a healed core,
// which must make progress; everything healed and calm; final reads; checks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::sim {

struct RunOptions {
  // Gets every line of the trace as it comes; may be empty.
  std::function<void(std::string_view line)> print = {};
  // These and no others (workload/all_workloads.cc has the names); empty: what the seed draws.
  std::vector<std::string> workloads = {};
};

struct RunResult {
  uint64_t seed = 0;
  checker::Verdict verdict = checker::Verdict::kPass;
  // Unless passed: what was broken first, by the stable name of its checker and its rule.
  std::string failed_by;
  std::string explanation;  // for people, of all that went wrong
  std::vector<checker::Report> reports;
  std::string options;                  // as SwarmOptions::Describe
  std::vector<std::string> last_lines;  // of the trace

  uint64_t trace_hash = 0;
  double simulated_s = 0;
  uint64_t events = 0;
  uint64_t operations = 0;  // of clients
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> probes;  // rare paths, 0 if not reached
};

RunResult RunSeed(uint64_t seed, const RunOptions& options);

}  // namespace conclave::sim
