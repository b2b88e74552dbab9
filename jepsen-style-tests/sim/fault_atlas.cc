#include "jepsen-style-tests/sim/fault_atlas.h"

namespace conclave::sim {

FaultAtlas::FaultAtlas(size_t members, Random& random) : damaged_(members, false) {
  for (size_t left = members == 0 ? 0 : (members - 1) / 2; left > 0;) {
    const size_t member = random.Below(members);
    if (damaged_[member]) continue;
    damaged_[member] = true;
    --left;
  }
}

}  // namespace conclave::sim
