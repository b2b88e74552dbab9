#include "jepsen-style-tests/workload/all_workloads.h"

namespace conclave::sim {

std::span<const WorkloadEntry> AllWorkloads() {
  static constexpr WorkloadEntry kAll[] = {
      {.name = "append", .make = MakeAppend},
      {.name = "bank", .make = MakeBank},
      {.name = "compaction", .needs_company = true, .make = MakeCompaction},
      {.name = "election", .make = MakeElection},
      {.name = "leadership", .needs_company = true, .make = MakeLeadership},
      {.name = "lease", .make = MakeLease},
      {.name = "lock", .make = MakeLock},
      {.name = "membership", .needs_company = true, .make = MakeMembership},
      {.name = "reader", .needs_company = true, .make = MakeReader},
      {.name = "register", .make = MakeRegister},
      {.name = "soup", .make = MakeSoup},
      {.name = "watch", .make = MakeWatch},
      {.name = "write-once", .make = MakeWriteOnce},
  };
  return kAll;
}

std::vector<std::unique_ptr<Workload>> DrawWorkloads(World* world, History* history,
                                                     Random& random) {
  std::vector<std::unique_ptr<Workload>> drawn;
  bool alone = true;
  while (alone) {
    drawn.clear();
    for (const WorkloadEntry& entry : AllWorkloads()) {
      const Random stream = random.Stream(entry.name);
      if (!random.OneIn(entry.needs_company ? 2 : 3)) continue;
      drawn.push_back(entry.make(world, history, stream));
      alone = alone && entry.needs_company;
    }
  }
  return drawn;
}

}  // namespace conclave::sim
