// Does the simulator find what it is there to find? Each seeded bug (raft/base/seeded_bug.h) is
// switched on, and seeds are run until one fails: by which checker, and after how many. A bug that
// only a unit test finds is listed with that test, and tried if it is asked for by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "raft/base/seeded_bug.h"

namespace conclave::sim {

struct MutantSettings {
  uint64_t first_seed = 1;
  uint64_t seeds_max = 2000;  // then it has survived
  uint64_t kills = 3;         // as many, for the median
  size_t jobs = 1;
  std::vector<SeededBug> bugs;  // empty: all
};

struct MutantOutcome {
  SeededBug bug = SeededBug::kNone;
  bool killed = false;
  uint64_t median_seeds = 0;           // to a kill
  std::vector<std::string> killed_by;  // checkers and rules, the most frequent first
  uint64_t a_seed = 0;                 // that kills
};

// Prints a row as soon as it is known; `json` prints an array at the end instead.
std::vector<MutantOutcome> RunMutants(const MutantSettings& settings, bool json);

}  // namespace conclave::sim
