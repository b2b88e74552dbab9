// The checks that no workload owns: of the cluster as a whole, over everything that all clients did
// and all members hold in the end. Called by whoever runs a world, once everything has come to
// rest. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "jepsen-style-tests/checker/durability.h"
#include "jepsen-style-tests/checker/lease_rules.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "jepsen-style-tests/workload/session.h"

namespace conclave::sim {

// Whether the history of the run holds enough for CheckEverything to judge.
bool EnoughForClusterChecks(const History& history);

// Reads the whole key space through each running member into `states`, serializably or through each
// that serves linearizable reads. Serializable ones show everything only once the members have come
// to hold the same. Goes on trying: the caller sets a limit.
Co<void> ReadFinalStates(Session& session, bool serializable,
                         std::vector<checker::FinalState>& states);

// What only whoever runs the world knows.
struct RunFacts {
  // Times without faults and with one leader (health.h).
  std::vector<checker::HealthyInterval> healthy;
  std::vector<checker::FinalState> final_states;
};

// Revisions, leases, durability, and equal state hashes of running members and of a fresh replay.
// The members must stand still: no event may run meanwhile.
std::vector<checker::Report> CheckEverything(World& world, const History& history,
                                             const RunFacts& facts);

}  // namespace conclave::sim
