#include "raft/core/durability.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {

void AppendEntry(CoreState& state, Entry entry) {
  CHECK(state.unwritten <= entry.index);
  state.configurations.OnAppend(entry);
  state.log.Append(std::move(entry));
  CHECK(state.unwritten <= state.log.last_index());
}

void TruncateLog(CoreState& state, LogIndex index) {
  CHECK_MSG(index > state.commit, "a committed entry must never be replaced");
  if (index < state.unwritten && !state.writes.empty() && state.writes.back().last >= index) {
    SIM_REACHED("raft.durable.truncated_in_flight");
  }
  if (index <= state.durable) SIM_REACHED("raft.durable.truncated");
  state.log.TruncateFrom(index);
  CHECK(state.log.last_index() == index.Prev());
  state.configurations.TruncateFrom(index);
  state.unwritten = std::min(state.unwritten, index);
  if (SEEDED_BUG(kDurableKeptOnTruncation)) return;
  state.durable = std::min(state.durable, index.Prev());
}

std::optional<AppendTask> TakeAppendTask(CoreState& state) {
  if (state.installing.has_value()) return std::nullopt;
  const LogIndex last = state.log.last_index();
  const bool to_write = state.unwritten <= last || state.hard_state_dirty ||
                        state.log_reset.has_value() || state.log_completed;
  if (!to_write && state.writes.empty()) {
    // All that the messages depend on is durable already.
    std::move(state.after_durable.begin(), state.after_durable.end(),
              std::back_inserter(state.messages));
    state.after_durable.clear();
    return std::nullopt;
  }
  if (!to_write && state.after_durable.empty()) return std::nullopt;
  if (!to_write) SIM_REACHED("raft.durable.messages_wait_for_write");
  AppendTask task;
  task.write = ++state.last_write;
  if (state.hard_state_dirty) task.hard_state = HardState{state.term, state.vote};
  task.reset = std::exchange(state.log_reset, std::nullopt);
  task.complete = std::exchange(state.log_completed, false);
  CHECK(state.unwritten <= last.Next());
  task.entries = state.log.Slice(state.unwritten, last);
  CHECK(task.entries.empty() || task.entries.front().index == state.unwritten);
  CHECK(task.entries.empty() || task.entries.back().index == last);
  // A log that starts anew has nothing of the old one.
  CHECK(!task.reset.has_value() || last == task.reset->index + task.entries.size());
  task.must_sync = to_write;
  task.after_durable.swap(state.after_durable);
  CHECK(state.writes.empty() || state.writes.back().write < task.write);
  if (state.writes.empty()) state.disk_moved = state.now;
  state.writes.push_back({task.write, state.unwritten, last});
  state.hard_state_dirty = false;
  state.unwritten = last.Next();
  return task;
}

bool DiskStalls(const CoreState& state) { return state.now >= StallDeadline(state); }

Instant StallDeadline(const CoreState& state) {
  CHECK(state.disk_moved <= state.now);
  if (state.writes.empty() || SEEDED_BUG(kDiskStallIgnored)) return kNever;
  return state.disk_moved + state.config.election_timeout;
}

bool OnAppended(CoreState& state, WriteId write) {
  CHECK(write <= state.last_write);
  state.disk_moved = state.now;
  LogIndex reached;
  while (!state.writes.empty() && state.writes.front().write <= write) {
    reached = state.writes.front().last;
    state.writes.pop_front();
  }
  // An entry at or after the first index of a later write has been replaced by it, or is about to
  // be.
  for (const WriteUnderWay& later : state.writes) {
    if (SEEDED_BUG(kDurableBehindRewrite)) break;
    if (reached >= later.first) SIM_REACHED("raft.durable.clamped_by_later_write");
    reached = std::min(reached, later.first.Prev());
  }
  if (state.installing.has_value()) return false;  // of a log that is no more
  reached = std::min(reached, state.unwritten.Prev());
  if (reached <= state.durable) return false;
  CHECK(reached <= state.log.last_index());
  state.durable = reached;
  CHECK(state.durable < state.unwritten);
  return true;
}

}  // namespace conclave::raft
