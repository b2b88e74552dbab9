// What the clients of a run do, and what must hold of it: the interface of all workloads. A
// workload is a few coroutines against Session (session.h), a history of its own, and the checkers
// that judge it. Several run together in one cluster, each on keys of its own. register.cc is the
// one to copy; docs/simulation.md is the guide.
//
// The life of a workload, as whoever runs the world leads it:
//   Start                 while faults go on
//   ... until Enough      the cluster is whole again by then
//   StopLoad, until idle  nothing new begins; every call has a timeout, so this ends
//   FinalReads            through a whole cluster
//   Check
// A workload is destroyed before its world, at any moment. One thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "jepsen-style-tests/workload/session.h"
#include "raft/base/random.h"

namespace conclave::sim {

class Workload {
 public:
  // `random` is its own; options are drawn from it.
  Workload(std::string name, World* world, History* history, Random random);
  virtual ~Workload() = default;
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  const std::string& name() const { return name_; }
  // One line for the run's log: what was drawn.
  std::string Describe() const;

  // Spawns the clients.
  virtual void Start() = 0;
  // Whether so much has happened that the checkers can judge. The load goes on until then, but not
  // for ever: a run that does not get there is invalid.
  virtual bool Enough() const { return true; }
  // It keeps others from getting anywhere (no lease runs out while leadership moves all the time):
  // to be stopped first, once the cluster is whole.
  virtual bool disturbs() const { return false; }
  // It changes who is in the cluster: to be stopped before that must be known.
  virtual bool changes_members() const { return false; }
  // Asks the clients to finish.
  void StopLoad() { loading_ = false; }
  // Whether all clients have finished.
  bool idle() const;
  // What is to be read once nothing else goes on any more; `session` is a patient one. Also the
  // time for what has to come to rest.
  virtual Co<void> FinalReads(Session& session);
  // The verdicts on this workload's own history. The checks of the whole cluster are
  // CheckEverything's (cluster_checks.h).
  virtual std::vector<checker::Report> Check() = 0;

 protected:
  World& world() { return *world_; }
  const World& world() const { return *world_; }
  History& history() { return *history_; }
  const History& history() const { return *history_; }
  Random& random() { return random_; }
  // Clients go on while this holds.
  bool loading() const { return loading_; }

  size_t clients() const { return clients_; }
  // The pause of a client between two operations. Longer the more calls have failed on end: clients
  // that see nothing but errors do not hammer, or a slow cluster would never get out from under
  // what they have given up.
  Co<void> Think(Session& session);

  // One more client; lives as long as the workload.
  Session& NewSession();
  Session& NewSession(const SessionOptions& options);
  // Starts a coroutine of this workload. Its locals must not touch the workload when they are
  // destroyed: they outlive the members of derived classes.
  void Spawn(Co<void> coroutine);
  // Spawns (this->*client)(session) once for each of clients().
  template <typename Derived>
  void SpawnClients(Co<void> (Derived::*client)(Session& session)) {
    for (size_t i = 0; i < clients_; ++i) {
      Spawn((static_cast<Derived*>(this)->*client)(NewSession()));
    }
  }

 private:
  const std::string name_;
  World* const world_;
  History* const history_;
  Random random_;
  size_t clients_ = 1;
  Duration think_time_{};
  bool loading_ = true;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Co<void>> coroutines_;  // destroyed before their sessions
};

struct WorkloadEntry {
  std::string_view name;
  // Says something only together with others: it changes no key.
  bool needs_company = false;
  std::unique_ptr<Workload> (*make)(World* world, History* history, Random random);
};

// Every workload there is, by name.
std::span<const WorkloadEntry> AllWorkloads();

// A few of them, at least one of which needs no company.
std::vector<std::unique_ptr<Workload>> DrawWorkloads(World* world, History* history,
                                                     Random& random);

}  // namespace conclave::sim
