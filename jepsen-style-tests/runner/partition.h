// The shapes in which links between members are cut: who still sees whom. Drawn by the nemesis. One
// thread.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "raft/base/random.h"

namespace conclave::sim {

struct PartitionShape {
  std::string name;
  std::vector<std::pair<size_t, size_t>> cuts;  // from, to
};

// Of members 0 to `members` - 1; at least two. Cuts at least one link; now and then only one
// direction of each.
PartitionShape DrawPartition(size_t members, Random& random);

}  // namespace conclave::sim
