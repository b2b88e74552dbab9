#include "raft/core/compaction.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/core/replication.h"

namespace conclave::raft {

void OnCompacted(CoreState& state, LogIndex index) {
  state.everywhere = HeldEverywhere(state);
  const LogIndex to = std::min({index, state.applied, state.everywhere});
  if (to < index) SIM_REACHED("raft.compaction.held_back");
  if (to <= state.log.start()) return;
  CHECK(to <= state.durable && to <= state.commit);
  state.log.CompactTo(to);
  state.configurations.CompactTo(to);
  state.compacted = LogStart{to, *state.log.TermAt(to), state.configurations.At(to)};
}

}  // namespace conclave::raft
