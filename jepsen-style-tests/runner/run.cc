#include "jepsen-style-tests/runner/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "jepsen-style-tests/runner/divergence.h"
#include "jepsen-style-tests/runner/nemesis.h"
#include "jepsen-style-tests/runner/space.h"
#include "jepsen-style-tests/runner/swarm_options.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/cluster_checks.h"
#include "jepsen-style-tests/workload/health.h"
#include "jepsen-style-tests/workload/workload.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::sim {

namespace {

// What a phase may take in simulated time before something is wrong.
constexpr Duration kIdleMax = Seconds(120);
constexpr Duration kEnoughMax = Seconds(120);
constexpr Duration kFinalReadsMax = Seconds(120);
constexpr Duration kConvergeMax = Seconds(60);
constexpr Duration kDrillMax = Seconds(120);
constexpr Duration kSettleMax = Seconds(20);  // then it is nothing wrong: a change may be late
// More events than any sane run: something goes round in circles.
constexpr uint64_t kEventsMax = 20'000'000;

[[noreturn]] void ThrowProcessEnded(bool bug, std::string_view what) {
  throw ProcessEnded{.bug = bug, .what = std::string(what)};
}

class Run {
 public:
  Run(uint64_t seed, const RunOptions& options)
      : random_(Random(seed).Stream("run")),
        swarm_(DrawSwarmOptions(Random(seed).Stream("options"))),
        trace_(options.print),
        world_(swarm_.world, random_.Stream("world"), &trace_),
        nemesis_(&world_, swarm_.nemesis, random_.Stream("nemesis")),
        leaders_(&world_),
        session_(&world_, &history_, PatientSession(), random_.Stream("final")) {
    MakeWorkloads(options.workloads);
    result_.seed = seed;
    result_.options = swarm_.Describe();
    for (const auto& workload : workloads_) {
      result_.options += fmt::format("workload  {}\n", workload->Describe());
    }
    if (options.print) options.print(result_.options);
  }

  RunResult Execute() {
    try {
      Live();
    } catch (const ProcessEnded& end) {  // outside of every member: in a client or a checker
      world_.Report(fmt::format("check: outside of members: {}", end.what));
    } catch (const std::exception& thrown) {
      world_.Report(fmt::format("check: outside of members: {}", thrown.what()));
    }
    Conclude();
    return std::move(result_);
  }

 private:
  void MakeWorkloads(const std::vector<std::string>& names) {
    Random draws = random_.Stream("workloads");
    if (names.empty()) {
      workloads_ = DrawWorkloads(&world_, &history_, draws);
      return;
    }
    for (const WorkloadEntry& entry : AllWorkloads()) {
      if (std::find(names.begin(), names.end(), entry.name) == names.end()) continue;
      workloads_.push_back(entry.make(&world_, &history_, draws.Stream(entry.name)));
    }
  }

  // All phases, one after the other; ends early when something is wrong.
  void Live() {
    if (!Faults() || !HealedCore() || !Calm() || !FullDisk() || !FullStore() || !WrongState()) {
      return;
    }
    if (!FinalReads() || !PreferredLeads()) return;
    leaders_.End();
    facts_.healthy = leaders_.intervals();
    if (!DeafMemberDisturbsNobody()) return;
    for (const auto& workload : workloads_) AddReports(workload->Check());
    AddReports(CheckEverything(world_, history_, facts_));
  }

  bool Faults() {
    nemesis_.StartMembers(Seconds(1), swarm_.late_start);
    for (const auto& workload : workloads_) workload->Start();
    RunFor(Seconds(1));
    nemesis_.Begin();
    if (swarm_.nemesis.disk_full) {
      lifter_ = std::make_unique<AlarmLifter>(&world_, &history_, random_.Stream("alarms"));
    }
    return RunFor(swarm_.fault_phase);
  }

  // A majority that runs and is connected must serve, whatever the rest does (liveness).
  bool HealedCore() {
    for (const auto& workload : workloads_) {
      if (!workload->changes_members()) continue;
      workload->StopLoad();  // whom a core consists of is decided now
      if (!RunFor(Seconds(3))) return false;
    }
    const std::set<size_t> core = nemesis_.HealCore();
    const std::vector<size_t> members(core.begin(), core.end());
    std::string names;
    for (size_t position : members) names += " " + world_.member(position).name();
    world_.Note("a core is healed:{}", names);
    const LivenessProbe probe(&world_, &history_, members, random_.Stream("probe"));
    if (!RunUntil([&] { return probe.done(); }, ProgressMax())) {
      NoteWhereAllStand();
      if (Sound()) world_.Report("liveness: a healed core does not serve: " + probe.Unserved());
      return false;
    }
    world_.Note("the core serves");
    return Sound() && SteadyCore();
  }

  // Where nothing disturbs the core, nothing may unseat its leader: neither members outside that
  // hear nobody (pre-vote), nor its own followers, nor who was removed and does not know. Changes
  // of membership that are still on their way may: the leader itself may have to go.
  bool SteadyCore() {
    const raft::CoreConfig& core = swarm_.world.member.node.core;
    const bool disturbed = std::any_of(
        workloads_.begin(), workloads_.end(),
        [](const auto& workload) { return workload->disturbs() && !workload->changes_members(); });
    // Leadership may be on its way to who is preferred.
    const bool unequal = !swarm_.world.leader_priorities.empty();
    if (disturbed || unequal || !IsPlacid()) return true;
    if (!RunUntil([&] { return world_.MembersSettled(); }, kSettleMax)) return Sound();
    if (!RunFor(Seconds(1) + 3 * core.election_timeout)) return false;  // what was on its way
    Member* const leader = world_.leader();
    if (leader == nullptr) {
      world_.Report("liveness: an undisturbed core has no leader");
      return false;
    }
    return LeadsOn(*leader);
  }

  // For ten election timeouts.
  bool LeadsOn(Member& leader) {
    const raft::NodeId leads = leader.id();
    const raft::Term term = leader.node().core().term();
    if (!RunFor(10 * swarm_.world.member.node.core.election_timeout)) return false;
    Member* const now = world_.leader();
    if (now == nullptr || now->id() != leads || now->node().core().term() != term) {
      world_.Report("liveness: an undisturbed leader is unseated");
      return false;
    }
    world_.Note("{} leads on", now->name());
    return Sound();
  }

  // A voter that no longer hears the leader, knows all that was written, and is connected to all
  // others, who do hear it: they must not vote for it (thesis 4.2.3, 9.6). Nothing is written
  // meanwhile, or it would be refused for its log alone.
  bool DeafMemberDisturbsNobody() {
    Member* const leader = world_.leader();
    const std::optional<size_t> deaf = SpareFollower(leader);
    // Who is a member has been read already: it must not change any more.
    if (!deaf || !IsPlacid() || !world_.MembersSettled()) return true;
    const size_t leads = leader->position();
    world_.Note("{} does not hear {}", world_.member(*deaf).name(), leader->name());
    world_.CutLink(leads, *deaf);
    if (random_.OneIn(2)) world_.CutLink(*deaf, leads);
    if (!LeadsOn(*leader)) return false;
    world_.HealLinks();
    return Converged();
  }

  // A voter without whom the leader has a quorum, whatever configuration counts.
  std::optional<size_t> SpareFollower(const Member* leader) {
    if (leader == nullptr || !world_.Serves(leader->position()) || !AllVotersServe()) {
      return std::nullopt;
    }
    std::optional<size_t> spare;
    for (const size_t position : world_.Serving()) {
      if (position != leader->position()) spare = position;
    }
    return spare;
  }

  // Three or more, in one configuration: a quorum is left without any one of them.
  bool AllVotersServe() {
    const std::vector<size_t> serving = world_.Serving();
    const raft::Configuration& configuration = world_.configuration();
    return !configuration.joint() && serving.size() >= 3 &&
           serving.size() >= configuration.voters.size() &&
           std::all_of(serving.begin(), serving.end(),
                       [this](size_t position) { return world_.member(position).running(); });
  }

  uint32_t PriorityOf(const Member& member) const {
    const std::vector<uint32_t>& priorities = swarm_.world.leader_priorities;
    return member.position() < priorities.size() ? priorities[member.position()] : 0;
  }

  void NoteWhereAllStand() {
    for (const size_t position : world_.Members()) {
      Member& member = world_.member(position);
      if (!member.running()) {
        world_.Note("{} does not run", member.name());
        continue;
      }
      const raft::CoreStatus status = member.node().core().Status();
      const raft::Configuration& configuration = member.node().core().configuration();
      world_.Note("{} ({}): {} of term {} under {}, log {} to {}, committed {}, voters {}{}{}{}",
                  member.name(), status.id.value(), raft::ToString(status.role),
                  status.term.value(), status.leader.value(), status.first_index.value(),
                  status.last_index.value(), status.commit.value(), Ids(configuration.voters),
                  configuration.joint() ? ", before " + Ids(configuration.outgoing) : "",
                  configuration.IsVoter(status.id) ? "" : ", no voter itself",
                  status.incomplete ? ", has lost entries" : "");
    }
  }

  static std::string Ids(const std::vector<raft::NodeId>& ids) {
    std::string text;
    for (const raft::NodeId id : ids) {
      text += (text.empty() ? "" : "+") + std::to_string(id.value());
    }
    return text;
  }

  // Of the voters that run.
  uint32_t MostPreferred() {
    uint32_t most = 0;
    for (const size_t position : world_.Members()) {
      Member& member = world_.member(position);
      if (!member.running() || !world_.configuration().IsVoter(member.id())) continue;
      most = std::max(most, PriorityOf(member));
    }
    return most;
  }

  // In a healthy cluster leadership comes to those that the operators prefer.
  bool PreferredLeads() {
    if (swarm_.world.leader_priorities.empty() || !IsPlacid()) return true;
    const auto leads = [&] {
      Member* const leader = world_.leader();
      return leader != nullptr && PriorityOf(*leader) == MostPreferred();
    };
    // Ten election timeouts until a new leader looks for its better, and a few tries.
    if (RunUntil(leads, 40 * swarm_.world.member.node.core.election_timeout)) return Sound();
    if (Sound()) world_.Report("leadership: priority: the leader is not who is preferred");
    return false;
  }

  // Messages and syncs take a small part of an election timeout.
  bool IsPlacid() const {
    const Duration election = swarm_.world.member.node.core.election_timeout;
    const NetworkOptions& network = swarm_.world.network;
    const DiskOptions& disk = swarm_.world.member.disk;
    return network.loss_permille <= 5 && 20 * network.delay_max < election &&
           20 * disk.sync_max < election && (disk.slow_one_in == 0 || 4 * disk.slow_max < election);
  }

  // Elections, reconnections and what was queued meanwhile; never more than this.
  Duration ProgressMax() const {
    return Seconds(30) + 40 * swarm_.world.member.node.core.election_timeout +
           4 * swarm_.world.connection_timeout;
  }

  bool Calm() {
    nemesis_.HealAll();
    world_.Note("everything is healed");
    for (const auto& workload : workloads_) {
      if (workload->disturbs()) workload->StopLoad();
    }
    const auto enough = [&] {
      return EnoughForClusterChecks(history_) &&
             std::all_of(workloads_.begin(), workloads_.end(),
                         [](const auto& workload) { return workload->Enough(); });
    };
    RunFor(Seconds(3));  // what piled up is dealt with
    leaders_.Begin();
    RunUntil(enough, kEnoughMax);  // or some verdict is invalid
    for (const auto& workload : workloads_) workload->StopLoad();
    const auto idle = [&] {
      return std::all_of(workloads_.begin(), workloads_.end(),
                         [](const auto& workload) { return workload->idle(); });
    };
    if (!RunUntil(idle, kIdleMax)) {
      if (Sound()) world_.Report("liveness: clients never come to an end in a healthy cluster");
      return false;
    }
    world_.Note("the load is over");
    return Sound();
  }

  // In a healthy cluster one member's disk fills up, and has space again.
  bool FullDisk() {
    if (!swarm_.nemesis.disk_full || world_.Serving().size() < 3) return true;
    lifter_.reset();  // an alarm that is lifted too early would let puts through for a moment
    SpaceDrill drill(&world_, &nemesis_, &history_, random_.Stream("space"));
    if (!RunUntil([&] { return drill.done(); }, kDrillMax)) {
      if (Sound()) world_.Report("space: never over: " + drill.stage());
      return false;
    }
    return Sound();
  }

  // In a healthy cluster the store reaches its quota, and gets below it again. Not where an alarm
  // of a full disk may still come, which nobody would lift.
  bool FullStore() {
    if (swarm_.world.member.node.space.quota_bytes == 0 || swarm_.nemesis.disk_full) return true;
    QuotaDrill drill(&world_, &history_, random_.Stream("quota"));
    if (!RunUntil([&] { return drill.done(); }, kDrillMax)) {
      if (Sound()) world_.Report("space: never over: " + drill.stage());
      return false;
    }
    return Sound();
  }

  // In a healthy cluster one member's state goes wrong, and is made good again. Not where watchers
  // of all keys would be told of the wrong value before the member is fenced: nothing can be done
  // about that (docs/integrity.md).
  bool WrongState() {
    const bool watched =
        std::any_of(workloads_.begin(), workloads_.end(),
                    [](const auto& workload) { return workload->name() == "watch"; });
    // Nor where an alarm of a full disk may still come, which nobody would lift.
    if (!swarm_.divergence || watched || swarm_.nemesis.disk_full) return true;
    if (!RunUntil([&] { return world_.MembersSettled(); }, kSettleMax)) return Sound();
    if (!AllVotersServe()) return true;  // or the sound ones may be no quorum
    const raft::CoreConfig& core = swarm_.world.member.node.core;
    const Duration fenced_within =
        IsPlacid() && swarm_.world.network.slow_permille == 0
            ? std::max<Duration>(Seconds(1), 10 * core.heartbeat_interval)
            : Seconds(30);
    DivergenceDrill drill(&world_, &history_, fenced_within, random_.Stream("divergence"));
    if (!RunUntil([&] { return drill.done(); }, kDrillMax)) {
      if (Sound()) world_.Report("integrity: never over: " + drill.stage());
      return false;
    }
    return Sound();
  }

  bool FinalReads() {
    for (const auto& workload : workloads_) {
      if (!RunToEnd(workload->FinalReads(session_), workload->name())) return false;
    }
    // A member that lags behind answers a linearizable read all the same.
    return ReadAll(/*serializable=*/false) && Converged() && ReadAll(/*serializable=*/true);
  }

  // Every member of the last configuration, learners too, comes to hold what the leader holds.
  bool Converged() {
    const auto equal = [&] {
      std::set<uint64_t> applied;
      for (const size_t position : world_.Members()) {
        Member& member = world_.member(position);
        applied.insert(member.running() ? member.store().applied_index() : 0);
      }
      return applied.size() == 1;
    };
    if (RunUntil(equal, kConvergeMax)) return Sound();
    if (Sound()) world_.Report("liveness: members do not converge");
    return false;
  }

  bool ReadAll(bool serializable) {
    return RunToEnd(ReadFinalStates(session_, serializable, facts_.final_states), "final states");
  }

  bool RunToEnd(Co<void> reads, const std::string& whose) {
    reads.Start();
    if (RunUntil([&] { return reads.done(); }, kFinalReadsMax)) return Sound();
    if (Sound()) {
      world_.Report(fmt::format("liveness: the final reads of {} never end", whose));
    }
    return false;
  }

  // Nothing is known to be wrong. Looked at now and then.
  bool Sound() const { return world_.Problems().empty(); }

  bool RunFor(Duration duration) {
    RunUntil([] { return false; }, duration);
    return Sound();
  }

  // Until `condition` holds; false if something is wrong or it does not hold within `most`.
  bool RunUntil(const std::function<bool()>& condition, Duration most) {
    constexpr uint64_t kEventsPerLook = 64;
    Scheduler& scheduler = world_.scheduler();
    const Instant end = scheduler.Now() + most;
    while (!condition()) {
      for (uint64_t i = 0; i < kEventsPerLook; ++i) {
        if (!scheduler.RunNext(end)) return condition();
      }
      if (!Sound()) return false;
      if (scheduler.events_run() > kEventsMax) {
        world_.Report("liveness: events without end");
        return false;
      }
    }
    return true;
  }

  void AddReports(std::vector<checker::Report> reports) {
    for (checker::Report& report : reports) result_.reports.push_back(std::move(report));
  }

  void Fail(checker::Verdict verdict, const std::string& by, const std::string& explanation) {
    // FAIL outweighs the rest, and what was found first stands for all.
    const bool worse = result_.verdict == checker::Verdict::kPass ||
                       (verdict == checker::Verdict::kFail && result_.verdict != verdict);
    if (worse) {
      result_.verdict = verdict;
      result_.failed_by = by;
    }
    result_.explanation += explanation + "\n";
  }

  void Conclude() {
    for (const std::string& problem : world_.Problems()) {
      // "checker: rule: what happened"
      Fail(checker::Verdict::kFail, problem.substr(0, problem.find(':', problem.find(':') + 1)),
           problem);
    }
    for (const checker::Report& report : result_.reports) {
      if (report.verdict == checker::Verdict::kPass) continue;
      Fail(report.verdict, fmt::format("{}: {}", report.checker, report.anomaly),
           fmt::format("{} {} {}\n{}", checker::ToString(report.verdict), report.checker,
                       report.anomaly, report.explanation));
    }
    for (size_t i = 0; i < world_.size(); ++i) trace_.Mix(world_.member(i).disk().trace());
    trace_.Mix(static_cast<uint64_t>(result_.verdict));
    result_.trace_hash = trace_.hash();
    result_.last_lines = {trace_.last_lines().begin(), trace_.last_lines().end()};
    result_.simulated_s = ToSeconds(world_.scheduler().Now() - Instant{Seconds(1)});
    result_.events = world_.scheduler().events_run();
    result_.operations = history_.kv().size();
    result_.faults = nemesis_.faults();
  }

  Random random_;
  const SwarmOptions swarm_;
  Trace trace_;
  History history_;
  World world_;
  Nemesis nemesis_;
  LeaderWatch leaders_;
  Session session_;
  std::unique_ptr<AlarmLifter> lifter_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  RunFacts facts_;
  RunResult result_;
};

}  // namespace

RunResult RunSeed(uint64_t seed, const RunOptions& options) {
  SetSimulatedEnd(&ThrowProcessEnded);
#if CONCLAVE_SIMULATION
  ResetProbes();
#endif
  RunResult result = std::make_unique<Run>(seed, options)->Execute();
#if CONCLAVE_SIMULATION
  for (const ProbeCount& probe : Probes()) result.probes[std::string(probe.name)] = probe.count;
#endif
  SetSimulatedEnd(nullptr);
  return result;
}

}  // namespace conclave::sim
