// Whose disks may be damaged in a run. Raft survives the loss of what a minority holds and no more:
// every disk of a cluster asks the same atlas before it rots, so that each record keeps a good copy
// on a majority. Drawn once per run; const afterwards.
#pragma once

#include <cstddef>
#include <vector>

#include "raft/base/random.h"

namespace conclave::sim {

class FaultAtlas {
 public:
  // Of members 0 to `members` - 1, the voters of the run, (members - 1) / 2 may be damaged.
  FaultAtlas(size_t members, Random& random);

  bool MayDamage(size_t member) const { return member < damaged_.size() && damaged_[member]; }

 private:
  std::vector<bool> damaged_;  // by member
};

}  // namespace conclave::sim
