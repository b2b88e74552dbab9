// Many seeds one after the other: a progress line meanwhile, a summary table at the end. Main
// thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "jepsen-style-tests/runner/run.h"
#include "raft/base/time.h"

namespace conclave::sim {

struct SwarmSettings {
  std::vector<uint64_t> seeds;
  size_t jobs = 1;
  Duration time_max{};  // no new seeds after so long by the real clock; zero is no limit
  // Every seed runs twice, and fails if the two differ anywhere.
  bool twice = false;
  std::vector<std::string> workloads = {};  // as RunOptions
  bool json = false;                        // the summary as one JSON object
  bool hashes = false;  // a line for each seed and nothing else: seed, verdict, trace hash
  std::string program = "conclave-sim";  // as said in replay commands
};

// What many runs add up to.
struct SwarmSummary {
  uint64_t seeds = 0;
  std::map<std::string, uint64_t> verdicts;
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> probes;
  double simulated_s = 0;
  double cpu_s = 0;  // of all processes
  double real_s = 0;
  uint64_t operations = 0;
  uint64_t events = 0;
  uint64_t slowest_seed = 0;
  double slowest_s = 0;
  std::vector<RunResult> failed;  // every verdict but PASS, at most kFailedKept

  static constexpr size_t kFailedKept = 50;

  void Add(const RunResult& result, double seconds);
  bool AllPassed() const;
  size_t probes_hit() const;
};

// Runs them and prints.
SwarmSummary RunSwarm(const SwarmSettings& settings);

// The command that runs the seed again.
std::string ReplayCommand(const std::string& program, uint64_t seed,
                          const std::vector<std::string>& workloads);

}  // namespace conclave::sim
