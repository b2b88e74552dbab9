#include "jepsen-style-tests/runner/mutants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "jepsen-style-tests/runner/jobs.h"
#include "jepsen-style-tests/runner/result_json.h"

namespace conclave::sim {

namespace {

// The seeds of one bug's kills, with who killed.
using Kills = std::map<uint64_t, std::string>;

Kills FindKills(const MutantSettings& settings) {
  Kills kills;
  RunJobs(
      {.jobs = settings.jobs}, settings.first_seed,
      [&](uint64_t next) {
        return kills.size() < settings.kills && next < settings.first_seed + settings.seeds_max;
      },
      [](uint64_t seed) { return ToJson(RunSeed(seed, {})); },
      [&](uint64_t seed, std::optional<std::string> text) {
        // A simulator that crashed has named no checker: that is no kill.
        const absl::StatusOr<RunResult> result = ResultFromJson(text.value_or(""));
        if (result.ok() && result->verdict == checker::Verdict::kFail) {
          kills[seed] = result->failed_by;
        }
      });
  return kills;
}

// Some bugs only unit tests can show; the story of each says which (raft/base/seeded_bug.cc).
bool IsForSimulation(const SeededBugEntry& bug) { return !bug.checker.starts_with("unit test: "); }

// The seeds tried from one kill to the next; the middle one.
uint64_t MedianSeeds(const Kills& kills, uint64_t first_seed) {
  std::vector<uint64_t> tried;
  uint64_t from = first_seed;
  for (const auto& [seed, by] : kills) {
    tried.push_back(seed - from + 1);
    from = seed + 1;
  }
  std::sort(tried.begin(), tried.end());
  return tried[tried.size() / 2];
}

std::vector<std::string> Killers(const Kills& kills) {
  std::map<std::string, int> counts;
  for (const auto& [seed, by] : kills) ++counts[by];
  std::vector<std::string> names;
  for (const auto& [name, count] : counts) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return counts[a] > counts[b];
  });
  return names;
}

MutantOutcome TryMutant(const MutantSettings& settings, SeededBug bug) {
#if CONCLAVE_SIMULATION
  SetSeededBug(bug);
#endif
  const Kills kills = FindKills(settings);
  MutantOutcome outcome{.bug = bug, .killed = !kills.empty(), .killed_by = Killers(kills)};
  if (outcome.killed) {
    outcome.median_seeds = MedianSeeds(kills, settings.first_seed);
    outcome.a_seed = kills.begin()->first;
  }
  return outcome;
}

std::string Join(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : "; ") + name;
  return joined;
}

nlohmann::json ToJsonObject(const SeededBugEntry& bug, const MutantOutcome& outcome) {
  return {{"mutant", std::string(bug.name)},
          {"killed", outcome.killed},
          {"killed_by", outcome.killed_by},
          {"median_seeds", outcome.median_seeds},
          {"seed", outcome.a_seed}};
}

void PrintRow(const MutantSettings& settings, const SeededBugEntry& bug,
              const MutantOutcome& outcome) {
  fmt::print("| {} | {} | {} |\n", bug.name,
             outcome.killed ? Join(outcome.killed_by) : "**survived**",
             outcome.killed ? fmt::format("{}", outcome.median_seeds)
                            : fmt::format("> {}", settings.seeds_max));
  std::fflush(stdout);
}

}  // namespace

std::vector<MutantOutcome> RunMutants(const MutantSettings& settings, bool json) {
  std::vector<MutantOutcome> outcomes;
  nlohmann::json rows = nlohmann::json::array();
  if (!json) fmt::print("| mutant | killed by | median seeds |\n|---|---|---|\n");
  for (const SeededBugEntry& bug : SeededBugs()) {
    const bool named =
        std::find(settings.bugs.begin(), settings.bugs.end(), bug.bug) != settings.bugs.end();
    if (!settings.bugs.empty() && !named) continue;
    if (!named && !IsForSimulation(bug)) {
      if (!json) fmt::print("| {} | {} | - |\n", bug.name, bug.checker);
      continue;
    }
    const MutantOutcome& outcome = outcomes.emplace_back(TryMutant(settings, bug.bug));
    if (json) {
      rows.push_back(ToJsonObject(bug, outcome));
    } else {
      PrintRow(settings, bug, outcome);
    }
  }
  if (json) fmt::print("{}\n", rows.dump(2));
  return outcomes;
}

}  // namespace conclave::sim
