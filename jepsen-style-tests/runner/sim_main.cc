// conclave-sim: whole clusters in one thread, by seed (docs/simulation.md).
//
//   conclave-sim --seed 7                     one run, told line by line
//   conclave-sim --seeds 1000 --jobs 2        a swarm of seeds
//   conclave-sim --mutants                    does it find every seeded bug
//
// Exit status: 0 if every verdict is PASS (with --mutants: if every bug was found), 1 if not, 2 for
// a usage error.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "jepsen-style-tests/runner/mutants.h"
#include "jepsen-style-tests/runner/result_json.h"
#include "jepsen-style-tests/runner/run.h"
#include "jepsen-style-tests/runner/swarm.h"
#include "jepsen-style-tests/workload/workload.h"
#include "raft/base/seeded_bug.h"

namespace conclave::sim {
namespace {

struct Arguments {
  std::optional<uint64_t> seed;
  uint64_t seeds = 1;
  uint64_t first_seed = 1;
  bool fresh = false;
  std::string seed_file;
  bool twice = false;
  bool hashes = false;
  std::string program;
  size_t jobs = 1;
  uint64_t time_max_s = 0;
  bool mutants = false;
  bool list_mutants = false;
  std::vector<std::string> mutant;
  std::vector<std::string> workload;
  uint64_t kills = 3;
  bool json = false;
  bool quiet = false;
};

int RunOne(const Arguments& arguments) {
  RunOptions options{.workloads = arguments.workload};
  if (!arguments.json && !arguments.quiet) {
    options.print = [](std::string_view line) { fmt::print("{}\n", line); };
  }
  const RunResult result = RunSeed(*arguments.seed, options);
  if (arguments.json) {
    fmt::print("{}\n", ToJson(result));
    return result.verdict == checker::Verdict::kPass ? 0 : 1;
  }
  fmt::print("\n");
  for (const checker::Report& report : result.reports) {
    fmt::print("{:<8} {:<22} {} {}{}\n", checker::ToString(report.verdict), report.checker,
               report.checked, report.unit,
               report.anomaly.empty() ? "" : fmt::format(" ({})", report.anomaly));
  }
  if (!result.explanation.empty()) fmt::print("\n{}\n", result.explanation);
  if (result.verdict != checker::Verdict::kPass && arguments.quiet) {
    for (const std::string& line : result.last_lines) fmt::print("{}\n", line);
  }
  fmt::print("\nseed {} {}: {:.1f} simulated s, {} events, {} operations, trace {:016x}\n",
             result.seed, checker::ToString(result.verdict), result.simulated_s, result.events,
             result.operations, result.trace_hash);
  if (result.verdict == checker::Verdict::kPass) return 0;
  fmt::print("failed by {}\nreplay: {}\n", result.failed_by,
             ReplayCommand(arguments.program, result.seed, arguments.workload));
  return 1;
}

// Switches one bug on for a run or a swarm, or collects those to try.
bool ReadMutants(const Arguments& arguments, MutantSettings& settings) {
  for (const std::string& name : arguments.mutant) {
    const std::optional<SeededBug> bug = FindSeededBug(name);
    if (!bug) {
      fmt::print(stderr, "conclave-sim: --mutant: unknown '{}' (--list-mutants lists them)\n",
                 name);
      return false;
    }
    settings.bugs.push_back(*bug);
  }
  return true;
}

int ListMutants() {
  for (const SeededBugEntry& bug : SeededBugs()) {
    fmt::print("{:<32} {} (by {})\n", bug.name, bug.description, bug.checker);
  }
  return 0;
}

// The seeds of a file: one a line, with a word or two on what it was; '#' begins a comment. False
// if the file cannot be read or holds none.
bool ReadSeeds(const std::string& path, std::vector<uint64_t>& seeds) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    if (uint64_t seed = 0; words >> seed) seeds.push_back(seed);
  }
  if (!seeds.empty()) return true;
  fmt::print(stderr, "conclave-sim: --seed-file {}: cannot be read, or has no seed\n", path);
  return false;
}

int RunMany(const Arguments& arguments) {
  SwarmSettings settings{.seeds = {},
                         .jobs = arguments.jobs,
                         .time_max = Seconds(static_cast<int64_t>(arguments.time_max_s)),
                         .twice = arguments.twice,
                         .workloads = arguments.workload,
                         .json = arguments.json,
                         .hashes = arguments.hashes,
                         .program = arguments.program};
  if (!arguments.seed_file.empty()) {
    if (!ReadSeeds(arguments.seed_file, settings.seeds)) return 2;
  } else {
    uint64_t first = arguments.first_seed;
    if (arguments.fresh) first = std::random_device()() * uint64_t{1000};
    for (uint64_t i = 0; i < arguments.seeds; ++i) settings.seeds.push_back(first + i);
  }
  return RunSwarm(settings).AllPassed() ? 0 : 1;
}

int Execute(const Arguments& arguments) {
  MutantSettings mutants{.first_seed = arguments.first_seed,
                         .seeds_max = arguments.seeds > 1 ? arguments.seeds : 2000,
                         .kills = arguments.kills,
                         .jobs = arguments.jobs,
                         .bugs = {}};
  if (!ReadMutants(arguments, mutants)) return 2;
  if (arguments.mutants) {
    const std::vector<MutantOutcome> outcomes = RunMutants(mutants, arguments.json);
    return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& o) { return o.killed; })
               ? 0
               : 1;
  }
  if (mutants.bugs.size() > 1) {
    fmt::print(stderr, "conclave-sim: --mutant: one at a time, but with --mutants\n");
    return 2;
  }
#if CONCLAVE_SIMULATION
  if (!mutants.bugs.empty()) SetSeededBug(mutants.bugs.front());
#endif
  if (arguments.seed) return RunOne(arguments);
  return RunMany(arguments);
}

void AddOptions(CLI::App& app, Arguments& arguments) {
  std::vector<std::string> workloads;
  for (const WorkloadEntry& entry : AllWorkloads()) workloads.emplace_back(entry.name);
  CLI::Option* seed = app.add_option("--seed", arguments.seed, "one run, told line by line");
  CLI::Option* seeds = app.add_option("--seeds", arguments.seeds, "how many seeds to run")
                           ->check(CLI::PositiveNumber);
  CLI::Option* first = app.add_option("--first-seed", arguments.first_seed, "the first of them");
  CLI::Option* fresh =
      app.add_flag("--fresh", arguments.fresh, "begin with a seed that nobody has tried");
  CLI::Option* file =
      app.add_option("--seed-file", arguments.seed_file, "run the seeds of this file");
  CLI::Option* twice =
      app.add_flag("--twice", arguments.twice, "run each seed twice; the traces must be equal");
  CLI::Option* hashes =
      app.add_flag("--hashes", arguments.hashes, "print seed, verdict and trace hash only");
  app.add_option("--jobs", arguments.jobs, "processes beside each other")
      ->check(CLI::Range(1, 256));
  CLI::Option* time =
      app.add_option("--time-max", arguments.time_max_s, "begin no seed after so many seconds");
  app.add_option("--workload", arguments.workload, "only these workloads, not what the seed draws")
      ->check(CLI::IsMember(workloads));
  CLI::Option* mutants =
      app.add_flag("--mutants", arguments.mutants, "try whether every seeded bug is found");
  app.add_option("--mutant", arguments.mutant, "switch this bug on; with --mutants: only these");
  app.add_option("--kills", arguments.kills, "seeds to find for each mutant")
      ->check(CLI::PositiveNumber)
      ->needs(mutants);
  app.add_flag("--list-mutants", arguments.list_mutants, "the seeded bugs, and what finds them");
  CLI::Option* json = app.add_flag("--json", arguments.json, "results as JSON");
  app.add_flag("--quiet", arguments.quiet, "the verdict, and the trace if it failed")->needs(seed);
  for (CLI::Option* many : {seeds, first, fresh, file, twice, hashes, time, mutants}) {
    seed->excludes(many);
  }
  for (CLI::Option* swarm : {fresh, file, twice, hashes, time}) mutants->excludes(swarm);
  fresh->excludes(first)->excludes(file);
  hashes->excludes(json);
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Deterministic simulation of whole Conclave clusters"};
  AddOptions(app, arguments);
  arguments.program = argv[0];
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.list_mutants) return ListMutants();
  return Execute(arguments);
}

}  // namespace
}  // namespace conclave::sim

int main(int argc, char** argv) { return conclave::sim::Main(argc, argv); }
