// The makers of all workloads, one in each file of that name. Included by the table
// (all_workloads.cc) and by those files.
#pragma once

#include <memory>

#include "jepsen-style-tests/workload/workload.h"

namespace conclave::sim {

std::unique_ptr<Workload> MakeAppend(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeBank(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeCompaction(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeElection(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeLeadership(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeLease(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeLock(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeMembership(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeReader(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeRegister(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeSoup(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeWatch(World* world, History* history, Random random);
std::unique_ptr<Workload> MakeWriteOnce(World* world, History* history, Random random);

}  // namespace conclave::sim
