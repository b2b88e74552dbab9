#include "raft/core/compaction.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/core/replication.h"

namespace conclave::raft {

void OnCompacted(CoreState& state, LogIndex index) {
  state.everywhere = HeldEverywhere(state);
  const LogIndex tail =
      state.log.StartOfTail(state.config.tail_entries_max, state.config.tail_bytes_max);
  const LogIndex to = std::min({index, state.applied, std::max(state.everywhere, tail)});
  if (to < index) SIM_REACHED("raft.compaction.tail_kept");
  if (to > state.everywhere) SIM_REACHED("raft.compaction.leaves_member_behind");
  if (to <= state.log.start()) return;
  CHECK(to <= state.durable && to <= state.commit);
  state.log.CompactTo(to);
  state.configurations.CompactTo(to);
  CHECK(state.log.start() == to);
  state.compacted = LogStart{to, *state.log.TermAt(to), state.configurations.At(to)};
}

}  // namespace conclave::raft
