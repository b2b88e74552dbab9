#include "raft/wal/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "raft/base/probe.h"

namespace conclave::raft {

absl::Status Replay::BeginSegment(const LogState& start) {
  if (!begun_) {
    begun_ = true;
    state_ = start;
    first_index_ = start.last_index.Next();
    return absl::OkStatus();
  }
  if (state_ == start) return absl::OkStatus();
  return absl::DataLossError("the segment does not go on where the one before it ends");
}

absl::Status Replay::Add(Batch batch) {
  state_.hard_state = batch.hard_state;
  if (batch.entries.empty()) return absl::OkStatus();
  const LogIndex first = batch.entries.front().index;
  if (first <= state_.snapshot_index || first > state_.last_index.Next()) {
    return absl::DataLossError(fmt::format("entry {} after entry {} of a log that starts after {}",
                                           first.value(), state_.last_index.value(),
                                           state_.snapshot_index.value()));
  }
  state_.last_index = batch.entries.back().index;
  if (first <= first_index_) {
    first_index_ = first;
    entries_ = std::move(batch.entries);
    return absl::OkStatus();
  }
  if (first - first_index_ < entries_.size()) SIM_REACHED("wal.replaced_entries_replayed");
  entries_.resize(first - first_index_);
  std::move(batch.entries.begin(), batch.entries.end(), std::back_inserter(entries_));
  return absl::OkStatus();
}

absl::Status Replay::Add(LogStart release) {
  if (release.index <= state_.snapshot_index) {
    return absl::DataLossError("the log's start moves back");
  }
  state_.snapshot_index = release.index;
  state_.snapshot_term = release.term;
  state_.configuration = std::move(release.configuration);
  if (release.index < state_.last_index) return absl::OkStatus();
  state_.last_index = release.index;
  first_index_ = release.index.Next();
  entries_.clear();
  return absl::OkStatus();
}

absl::StatusOr<WalContents> Replay::Finish() {
  const LogIndex wanted = state_.snapshot_index.Next();
  if (first_index_ > wanted) {
    return absl::DataLossError(
        fmt::format("entries {} to {} are missing", wanted.value(), first_index_.Prev().value()));
  }
  const uint64_t released = std::min<uint64_t>(wanted - first_index_, entries_.size());
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(released));
  WalContents contents;
  contents.hard_state = state_.hard_state;
  contents.snapshot_index = state_.snapshot_index;
  contents.snapshot_term = state_.snapshot_term;
  contents.configuration = state_.configuration;
  contents.entries = std::move(entries_);
  return contents;
}

}  // namespace conclave::raft
