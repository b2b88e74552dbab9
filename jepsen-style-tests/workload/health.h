// Judges of a cluster's health over time, for whoever runs a world: is it serving (LivenessProbe),
// and since when has it had the same leader (LeaderWatch). One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/lease_rules.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "jepsen-style-tests/workload/session.h"
#include "raft/base/random.h"

namespace conclave::sim {

// Writes and then reads linearizably through each of some members, again and again until both have
// succeeded. Destroyed before its world.
class LivenessProbe {
 public:
  // `members` are positions. Starts at once.
  LivenessProbe(World* world, History* history, const std::vector<size_t>& members, Random random);

  // Every member has served, but for those that have left the voters meanwhile.
  bool done() const;
  // When the last of them had.
  int64_t served_ns() const;
  // The members that have not served, and their last errors, in words.
  std::string Unserved() const;

 private:
  struct Probed {
    size_t member = 0;
    std::unique_ptr<Session> session;
    std::optional<int64_t> served_ns = {};
    std::string last_error = {};
  };

  static Co<void> Probe(Probed& probed);
  bool Waits(const Probed& probed) const;

  World* const world_;
  std::vector<Probed> probed_;
  std::vector<Co<void>> probes_;
};

// Records the intervals in which one leader led without a break, while it is told that there are no
// faults. Destroyed before its world.
class LeaderWatch {
 public:
  explicit LeaderWatch(World* world);
  ~LeaderWatch();
  LeaderWatch(const LeaderWatch&) = delete;
  LeaderWatch& operator=(const LeaderWatch&) = delete;

  // From now on there are no faults, until End.
  void Begin() { healthy_ = true; }
  void End();
  // Those that are over.
  const std::vector<checker::HealthyInterval>& intervals() const { return intervals_; }

 private:
  void LookLater();
  void Look();
  void Close();

  World* const world_;
  EventId next_look_ = 0;
  bool healthy_ = false;
  std::optional<checker::HealthyInterval> present_;
  raft::Term term_;  // of the present leader
  std::vector<checker::HealthyInterval> intervals_;
};

}  // namespace conclave::sim
