#include "jepsen-style-tests/runner/swarm.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "jepsen-style-tests/runner/jobs.h"
#include "jepsen-style-tests/runner/result_json.h"
#include "raft/base/seeded_bug.h"

namespace conclave::sim {

namespace {

using RealClock = std::chrono::steady_clock;

double SecondsSince(RealClock::time_point start) {
  return std::chrono::duration<double>(RealClock::now() - start).count();
}

double ChildrenCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

RunResult CrashedRun(uint64_t seed) {
  RunResult result;
  result.seed = seed;
  result.verdict = checker::Verdict::kFail;
  result.failed_by = "process: crashed or hung";
  result.explanation = "the simulator's process died over this seed, or took too long";
  return result;
}

RunResult RunTwice(uint64_t seed, const RunOptions& options) {
  RunResult result = RunSeed(seed, options);
  const uint64_t again = RunSeed(seed, options).trace_hash;
  if (again == result.trace_hash) return result;
  result.verdict = checker::Verdict::kFail;
  result.failed_by = "determinism: two runs differ";
  result.explanation =
      fmt::format("trace {:016x} the first time, {:016x} the second", result.trace_hash, again);
  return result;
}

void PrintFailure(const SwarmSettings& settings, const RunResult& result) {
  constexpr size_t kLinesMax = 20;
  fmt::print("\n{} seed {} by {}\n", checker::ToString(result.verdict), result.seed,
             result.failed_by);
  const size_t skipped = result.last_lines.size() - std::min(result.last_lines.size(), kLinesMax);
  for (size_t i = skipped; i < result.last_lines.size(); ++i) {
    fmt::print("  {}\n", result.last_lines[i]);
  }
  fmt::print("{}\n  replay: {}\n", result.explanation,
             ReplayCommand(settings.program, result.seed, settings.workloads));
  std::fflush(stdout);
}

class Progress {
 public:
  void Print(const SwarmSummary& summary, uint64_t of) {
    const double now = SecondsSince(start_);
    if (now < next_) return;
    // A terminal is told twice a second in one line, a log now and then.
    const bool terminal = isatty(STDERR_FILENO) != 0;
    next_ = now + (terminal ? 0.5 : 15);
    fmt::print(
        stderr, "{}{}/{} seeds, {} not passed, {:.1f} simulated hours, {:.0f} s{}",
        terminal ? "\r" : "", summary.seeds, of,
        summary.seeds - (summary.verdicts.contains("PASS") ? summary.verdicts.at("PASS") : 0),
        summary.simulated_s / 3600, now, terminal ? "  " : "\n");
    std::fflush(stderr);
  }
  double seconds() const { return SecondsSince(start_); }

 private:
  const RealClock::time_point start_ = RealClock::now();
  double next_ = 0;
};

void PrintSummary(const SwarmSummary& summary) {
  fmt::print("\n");
  const auto row = [](std::string_view name, const std::string& value) {
    fmt::print("{:<22} {}\n", name, value);
  };
  row("seeds", fmt::format("{}", summary.seeds));
  for (const auto& [verdict, count] : summary.verdicts)
    row("  " + verdict, fmt::format("{}", count));
  row("simulated hours", fmt::format("{:.2f}", summary.simulated_s / 3600));
  row("client operations", fmt::format("{}", summary.operations));
  row("events", fmt::format("{}", summary.events));
  row("seconds", fmt::format("{:.1f} ({:.1f} of CPU)", summary.real_s, summary.cpu_s));
  row("simulated s per CPU s", fmt::format("{:.0f}", summary.simulated_s / summary.cpu_s));
  row("slowest seed", fmt::format("{} ({:.2f} s)", summary.slowest_seed, summary.slowest_s));
  std::string faults;
  for (const auto& [fault, count] : summary.faults) faults += fmt::format("{} {}  ", fault, count);
  row("faults", faults);
  row("rare paths reached", fmt::format("{} of {}", summary.probes_hit(), summary.probes.size()));
  for (const auto& [probe, count] : summary.probes) {
    if (count == 0) row("  never", probe);
  }
}

void PrintJson(const SwarmSummary& summary) {
  nlohmann::json object = {{"seeds", summary.seeds},
                           {"verdicts", summary.verdicts},
                           {"simulated_s", summary.simulated_s},
                           {"cpu_s", summary.cpu_s},
                           {"real_s", summary.real_s},
                           {"operations", summary.operations},
                           {"events", summary.events},
                           {"slowest_seed", summary.slowest_seed},
                           {"slowest_s", summary.slowest_s},
                           {"faults", summary.faults},
                           {"probes", summary.probes}};
  for (const RunResult& failed : summary.failed) {
    object["failed"].push_back({{"seed", failed.seed}, {"by", failed.failed_by}});
  }
  fmt::print("{}\n", object.dump(2));
}

}  // namespace

void SwarmSummary::Add(const RunResult& result, double seconds) {
  ++seeds;
  ++verdicts[std::string(checker::ToString(result.verdict))];
  for (const auto& [fault, count] : result.faults) faults[fault] += count;
  for (const auto& [probe, count] : result.probes) probes[probe] += count;
  simulated_s += result.simulated_s;
  operations += result.operations;
  events += result.events;
  if (seconds > slowest_s) {
    slowest_s = seconds;
    slowest_seed = result.seed;
  }
  if (result.verdict != checker::Verdict::kPass && failed.size() < kFailedKept) {
    failed.push_back(result);
  }
}

bool SwarmSummary::AllPassed() const {
  return seeds > 0 && verdicts.size() == 1 && verdicts.contains("PASS");
}

size_t SwarmSummary::probes_hit() const {
  return static_cast<size_t>(
      std::count_if(probes.begin(), probes.end(), [](const auto& probe) { return probe.second; }));
}

std::string ReplayCommand(const std::string& program, uint64_t seed,
                          const std::vector<std::string>& workloads) {
  std::string command = fmt::format("{} --seed {}", program, seed);
  for (const std::string& workload : workloads) command += " --workload " + workload;
#if CONCLAVE_SIMULATION  // else there are none to switch on
  for (const SeededBugEntry& bug : SeededBugs()) {
    if (IsSeeded(bug.bug)) command += fmt::format(" --mutant {}", bug.name);
  }
#endif
  return command;
}

SwarmSummary RunSwarm(const SwarmSettings& settings) {
  SwarmSummary summary;
  Progress progress;
  std::map<uint64_t, RealClock::time_point> begun;
  const auto more = [&](uint64_t next) {
    const bool in_time =
        settings.time_max == Duration::zero() || progress.seconds() < ToSeconds(settings.time_max);
    if (!in_time || next >= settings.seeds.size()) return false;
    begun[next] = RealClock::now();
    return true;
  };
  const auto work = [&](uint64_t task) {
    const uint64_t seed = settings.seeds[task];
    const RunOptions options{.workloads = settings.workloads};
    return ToJson(settings.twice ? RunTwice(seed, options) : RunSeed(seed, options));
  };
  const auto done = [&](uint64_t task, std::optional<std::string> text) {
    absl::StatusOr<RunResult> parsed = ResultFromJson(text.value_or(""));
    const RunResult result = parsed.ok() ? *std::move(parsed) : CrashedRun(settings.seeds[task]);
    summary.Add(result, SecondsSince(begun.extract(task).mapped()));
    if (settings.hashes) {
      fmt::print("{} {} {:016x}\n", result.seed, checker::ToString(result.verdict),
                 result.trace_hash);
    } else if (!settings.json) {
      if (result.verdict != checker::Verdict::kPass) PrintFailure(settings, result);
      progress.Print(summary, settings.seeds.size());
    }
  };
  RunJobs({.jobs = settings.jobs}, 0, more, work, done);
  summary.real_s = progress.seconds();
  summary.cpu_s = ChildrenCpuSeconds();
  if (settings.json) {
    PrintJson(summary);
  } else if (!settings.hashes) {
    PrintSummary(summary);
  }
  return summary;
}

}  // namespace conclave::sim
