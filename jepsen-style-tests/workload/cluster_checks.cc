#include "jepsen-style-tests/workload/cluster_checks.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "jepsen-style-tests/checker/revision_oracle.h"
#include "jepsen-style-tests/workload/requests.h"

namespace conclave::sim {

namespace {

constexpr uint64_t kOkMin = 5;  // of writes, and of reads
constexpr Duration kReadAgain = Milliseconds(200);

etcdserverpb::RangeRequest Everything(bool serializable) {
  etcdserverpb::RangeRequest range;
  range.set_key(std::string(1, '\0'));
  range.set_range_end(std::string(1, '\0'));
  range.set_serializable(serializable);
  return range;
}

Co<checker::FinalState> ReadFinalState(Session& session, size_t member, bool serializable) {
  while (true) {
    session.GoTo(member);
    const auto read = co_await session.Range(Everything(serializable));
    if (read.ok()) {
      checker::FinalState state;
      state.member = fmt::format("m{}{}", member + 1, serializable ? " (serializable)" : "");
      state.revision = read.response.header().revision();
      state.kvs.assign(read.response.kvs().begin(), read.response.kvs().end());
      co_return state;
    }
    co_await session.Sleep(kReadAgain);
  }
}

checker::Report CheckRevisions(const World& world, const History& history) {
  checker::RevisionOracleOptions options;
  options.lease_deletes.emplace();
  for (const checker::LeaseEnd& end : world.lease_ends()) {
    if (end.revision != 0) options.lease_deletes->insert(end.revision);
  }
  options.ok_writes_min = kOkMin;
  options.ok_reads_min = kOkMin;
  return checker::CheckRevisions(history.kv(), world.events(), options);
}

checker::Report CheckLeases(const World& world, const History& history, const RunFacts& facts) {
  checker::LeaseHistory leases = history.leases();
  leases.ends = world.lease_ends();
  leases.healthy = facts.healthy;
  const server::NodeOptions& node = world.options().member.node;
  const auto entries =
      static_cast<int64_t>(1 + leases.grants.size() / node.leases.leases_per_checkpoint_max);
  return checker::CheckLeases(
      leases, world.events(),
      {.clock_drift_ppm = world.options().clock_rate_ppm_max,
       // A new leader adds an election timeout, and scans and commits take their time.
       .expiry_slack_ns = (Seconds(2) + node.core.election_timeout).count(),
       .checkpoint_step_ns = node.leases.checkpoint_step_min.count(),
       .checkpoint_lag_ns = (Seconds(2) + entries * node.leases.checkpoint_pause).count(),
       .leases_min = 0});
}

// Of every running member, and of a fresh replay up to where each stands.
checker::Report CheckStateHashes(World& world) {
  std::vector<checker::StateHash> hashes;
  std::set<uint64_t> replayed;
  for (size_t i = 0; i < world.size(); ++i) {
    Member& member = world.member(i);
    if (!member.running() || member.silent()) continue;
    const uint64_t applied = member.store().applied_index();
    hashes.push_back({member.name(), applied, member.store().Hash()});
    if (replayed.insert(applied).second) {
      hashes.push_back({"replay", applied, world.ReplayHash(applied)});
    }
  }
  return checker::CheckStateHashes(hashes);
}

}  // namespace

bool EnoughForClusterChecks(const History& history) {
  return history.ok_writes() >= kOkMin && history.ok_reads() >= kOkMin;
}

Co<void> ReadFinalStates(Session& session, bool serializable,
                         std::vector<checker::FinalState>& states) {
  World& world = session.world();
  const std::vector<size_t> members = world.Members();
  for (const size_t member : members) {
    if (!world.member(member).running() || !(serializable || world.Serves(member))) continue;
    checker::FinalState state = co_await ReadFinalState(session, member, serializable);
    states.push_back(std::move(state));
  }
}

std::vector<checker::Report> CheckEverything(World& world, const History& history,
                                             const RunFacts& facts) {
  return {CheckRevisions(world, history), CheckLeases(world, history, facts),
          checker::CheckDurability(history.kv(), world.events(), facts.final_states,
                                   {.writes_min = kOkMin}),
          CheckStateHashes(world)};
}

}  // namespace conclave::sim
