#include "raft/wal/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {
namespace {

constexpr LogIndex kNoIndex{UINT64_MAX};

}  // namespace

// ---- A whole log. ----

bool Replay::WholeLog::Holds(LogIndex index, Term term) const {
  if (index == start.index) return term == start.term;
  return index > start.index && index <= start.index + entries.size() &&
         entries[index - start.index - 1].term == term;
}

void Replay::WholeLog::KeepThrough(LogIndex index) {
  CHECK(index >= start.index);
  if (index - start.index < entries.size()) entries.resize(index - start.index);
}

void Replay::WholeLog::ForgetThrough(LogIndex index) {
  const auto count = std::min<uint64_t>(index - start.index, entries.size());
  entries.erase(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
}

LogStart Replay::start() const {
  return {state_.snapshot_index, state_.snapshot_term, state_.configuration};
}

Replay::WholeLog Replay::TakeWhole() {
  const LogIndex first = std::exchange(first_index_, state_.last_index.Next());
  WholeLog log{start(), std::exchange(entries_, {})};
  // Entries that were released since are still among them.
  const auto released =
      std::min<uint64_t>(state_.snapshot_index.Next() - first, log.entries.size());
  log.entries.erase(log.entries.begin(), log.entries.begin() + static_cast<ptrdiff_t>(released));
  return log;
}

void Replay::KeepBefore() {
  if (whole()) {
    before_.push_back(TakeWhole());
  } else if (told_ && !entries_.empty()) {
    SIM_REACHED("wal.part_before_damage_kept");
    before_.push_back({{first_index_.Prev(), Term(0), {}}, std::exchange(entries_, {})});
  }
}

// ---- Records. ----

bool Replay::Contradicts(LogIndex last_index, LogIndex lost_through) const {
  return told_ && (last_index != state_.last_index || lost_through != state_.lost_through);
}

bool Replay::Contradicts(const LogState& start) const {
  if (Contradicts(start.last_index, start.lost_through)) return true;
  if (told_ && start.hard_state != state_.hard_state) return true;
  if (!entries_.empty() && entries_.back().term != start.last_term) return true;
  if (start.snapshot_index < state_.snapshot_index) return true;
  return start_sure_ && (start.snapshot_index != state_.snapshot_index ||
                         start.snapshot_term != state_.snapshot_term ||
                         start.configuration != state_.configuration);
}

void Replay::BeginAt(const LogStart& start) {
  state_.snapshot_index = start.index;
  state_.snapshot_term = start.term;
  state_.configuration = start.configuration;
  start_sure_ = true;
  start_known_ = true;
}

void Replay::EndAt(LogIndex last_index) {
  entries_.clear();
  first_index_ = last_index.Next();
}

void Replay::Note(const HardState& hard_state, LogIndex last_index, LogIndex lost_through) {
  if (!SEEDED_BUG(kHardStateBeforeDamage) || before_.empty()) state_.hard_state = hard_state;
  state_.last_index = last_index;
  state_.lost_through = lost_through;
  told_ = true;
}

absl::Status Replay::Add(const SegmentHeader& header) {
  const LogState& start = header.start;
  if (header.after_damage) {
    KeepBefore();
    EndAt(start.last_index);
  } else if (Contradicts(start)) {
    return absl::DataLossError("the segment does not go on where the one before it ends");
  }
  if (!told_) EndAt(start.last_index);
  BeginAt({start.snapshot_index, start.snapshot_term, start.configuration});
  Note(start.hard_state, start.last_index, start.lost_through);
  if (!whole()) Rejoin(start.last_index, start.last_term);
  return absl::OkStatus();
}

void Replay::Rejoin(LogIndex last_index, Term last_term) {
  auto longest = before_.end();
  for (auto log = before_.begin(); log != before_.end(); ++log) {
    if (!log->Holds(last_index, last_term)) continue;
    if (longest == before_.end() || log->start.index < longest->start.index) longest = log;
  }
  if (longest == before_.end()) return;
  SIM_REACHED("wal.rejoined_after_damage");
  longest->KeepThrough(last_index);
  first_index_ = longest->start.index.Next();
  entries_ = std::move(longest->entries);
  before_.erase(longest);
  // While the beginning is missing, a shorter log may be all that can be vouched for in the end.
  if (whole()) before_.clear();
}

absl::Status Replay::Add(Batch batch) {
  if (batch.entries.empty()) {
    if (Contradicts(batch.last_index, batch.lost_through)) {
      return absl::DataLossError(fmt::format("the log ends at {}, not at {}",
                                             state_.last_index.value(), batch.last_index.value()));
    }
    if (!told_) EndAt(batch.last_index);
  } else {
    const LogIndex first = batch.entries.front().index;
    if (first <= state_.snapshot_index || (told_ && first > state_.last_index.Next())) {
      return absl::DataLossError(
          fmt::format("entry {} after entry {} of a log that starts after {}", first.value(),
                      state_.last_index.value(), state_.snapshot_index.value()));
    }
    if (Contradicts(state_.last_index, batch.lost_through)) {
      return absl::DataLossError("the log lacks other entries");
    }
    AddEntries(std::move(batch.entries));
  }
  Note(batch.hard_state, batch.last_index, batch.lost_through);
  return absl::OkStatus();
}

void Replay::AddEntries(std::vector<Entry> entries) {
  const LogIndex first = entries.front().index;
  if (!told_ || first <= first_index_) {
    first_index_ = first;
    entries_ = std::move(entries);
    return;
  }
  if (first - first_index_ < entries_.size()) SIM_REACHED("wal.replaced_entries_replayed");
  entries_.resize(first - first_index_);
  std::move(entries.begin(), entries.end(), std::back_inserter(entries_));
}

absl::Status Replay::Add(Release release) {
  const LogIndex index = release.start.index;
  if (index <= state_.snapshot_index) return absl::DataLossError("the log's start moves back");
  state_.last_index = std::max(state_.last_index, index);
  if (Contradicts(release.last_index, release.lost_through)) {
    return absl::DataLossError("a log of another length is released");
  }
  BeginAt(release.start);
  if (!told_ || index == release.last_index) EndAt(release.last_index);
  Note(release.hard_state, release.last_index, release.lost_through);
  return absl::OkStatus();
}

absl::Status Replay::Add(Reset reset) {
  const LogIndex index = reset.start.index;
  if (index < state_.snapshot_index) {
    return absl::DataLossError("the log is started anew before its start");
  }
  BeginAt(reset.start);
  EndAt(index);
  Note(reset.batch.hard_state, index, reset.batch.lost_through);
  return Add(std::move(reset.batch));
}

absl::Status Replay::Add(const Completion& completion) {
  if (Contradicts(completion.last_index, state_.lost_through)) {
    return absl::DataLossError("a log of another length is complete");
  }
  if (!told_) EndAt(completion.last_index);
  Note(completion.hard_state, completion.last_index, LogIndex(0));
  return absl::OkStatus();
}

void Replay::Lose() {
  if (SEEDED_BUG(kDamagedRecordsSkipped)) return;
  KeepBefore();
  EndAt(kNoIndex.Prev());
  told_ = false;
  start_sure_ = false;
}

// ---- The end. ----

absl::StatusOr<Replay::Outcome> Replay::Finish() {
  if (!told_) return absl::DataLossError("what was written last is lost");
  if (!start_known_) return absl::DataLossError("where the log starts is lost");
  Outcome outcome;
  outcome.after_damage = !whole();
  outcome.state = state_;
  WholeLog log = outcome.after_damage ? Rest() : TakeWhole();
  if (outcome.after_damage) {
    LogIndex& lost_through = outcome.state.lost_through;
    lost_through = std::max(lost_through, state_.last_index);
    if (SEEDED_BUG(kDamageTakenForComplete)) lost_through = LogIndex(0);
  }
  outcome.state.last_index = log.start.index + log.entries.size();
  outcome.state.last_term = log.entries.empty() ? log.start.term : log.entries.back().term;
  outcome.contents = {.hard_state = outcome.state.hard_state,
                      .snapshot_index = log.start.index,
                      .snapshot_term = log.start.term,
                      .configuration = std::move(log.start.configuration),
                      .entries = std::move(log.entries),
                      .torn_tail = false,
                      .lost_through = outcome.state.lost_through,
                      .damage = {}};
  if (SEEDED_BUG(kLossNotKept) && !outcome.after_damage) {
    outcome.contents.lost_through = LogIndex(0);
  }
  return outcome;
}

// The log before the damage, as far as it may still be the log: it starts where it is known to have
// started last, if that is the same log, and it is shorter than the whole one was. So nobody can
// take what is left of it for what was lost (RecoveredState::lost_through).
Replay::WholeLog Replay::Rest() {
  CHECK(state_.last_index > state_.snapshot_index);
  WholeLog rest{start(), {}};
  const auto newest = std::find_if(before_.rbegin(), before_.rend(), [&](const WholeLog& log) {
    return log.Holds(rest.start.index, rest.start.term);
  });
  if (newest == before_.rend()) return rest;
  newest->ForgetThrough(rest.start.index);
  rest.entries = std::move(newest->entries);
  rest.KeepThrough(state_.last_index.Prev());
  return rest;
}

}  // namespace conclave::raft
