#include "jepsen-style-tests/sim/mirrored_member.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace conclave::sim {
namespace {

using raft::AppendTask;
using raft::Disk;
using raft::Entry;
using raft::HardState;
using raft::LogIndex;
using raft::LogStart;

Disk DiskOf(const raft::WalContents& contents) {
  return {.hard_state = contents.hard_state,
          .start = {contents.snapshot_index, contents.snapshot_term, contents.configuration},
          .entries = contents.entries};
}

bool Same(const Disk& a, const Disk& b) {
  return a.hard_state == b.hard_state && a.start.index == b.start.index &&
         a.start.term == b.start.term && a.start.configuration == b.start.configuration &&
         a.entries == b.entries;
}

void Perform(const AppendTask& task, Disk& disk) { disk.Write(task); }
void Perform(const LogStart& release, Disk& disk) { disk.Release(release); }

// The first index that the write replaces; past every log if it replaces none.
LogIndex FirstReplaced(const AppendTask& task) {
  if (task.reset) return LogIndex(1);
  return task.entries.empty() ? LogIndex(UINT64_MAX) : task.entries.front().index;
}
LogIndex FirstReplaced(const LogStart&) { return LogIndex(UINT64_MAX); }

bool Older(const HardState& found, const HardState& durable) {
  if (found.term != durable.term) return found.term < durable.term;
  return durable.vote != raft::kNoNode && found.vote != durable.vote;
}

}  // namespace

MirroredMember::MirroredMember(const raft::WalContents& recovered)
    : configurations_(recovered.snapshot_index, recovered.configuration) {
  Begin(DiskOf(recovered));
}

void MirroredMember::Begin(Disk disk) {
  disk_ = std::move(disk);
  log_ = disk_;
  writes_.clear();
  configurations_ = raft::Configurations(log_.start.index, log_.start.configuration);
  for (const Entry& entry : log_.entries) configurations_.OnAppend(entry);
}

void MirroredMember::Append(const AppendTask& task) {
  if (task.reset) {
    configurations_ = raft::Configurations(task.reset->index, task.reset->configuration);
  } else if (FirstReplaced(task) <= log_.last_index()) {
    configurations_.TruncateFrom(FirstReplaced(task));
  }
  for (const Entry& entry : task.entries) configurations_.OnAppend(entry);
  log_.Write(task);
  writes_.emplace_back(task);
}

void MirroredMember::Release(const LogStart& to) {
  log_.Release(to);
  configurations_.CompactTo(to.index);
  writes_.emplace_back(to);
}

bool MirroredMember::Done(raft::WriteId write) {
  const auto done = std::find_if(writes_.begin(), writes_.end(), [write](const Write& other) {
    const auto* task = std::get_if<AppendTask>(&other);
    return task != nullptr && task->write == write;
  });
  if (done == writes_.end()) return false;
  const auto end = std::next(done);
  for (auto next = writes_.begin(); next != end; ++next) {
    std::visit([this](const auto& it) { Perform(it, disk_); }, *next);
  }
  writes_.erase(writes_.begin(), end);
  return true;
}

std::string MirroredMember::Restart(const raft::WalContents& recovered) {
  const Disk found = DiskOf(recovered);
  if (recovered.lost_through > found.last_index()) {
    return RestartWithLoss(found, recovered.lost_through);
  }
  Disk possible = disk_;
  auto next = writes_.begin();
  while (!Same(possible, found) && next != writes_.end()) {
    std::visit([&possible](const auto& it) { Perform(it, possible); }, *next++);
  }
  const bool well = Same(possible, found);
  std::string wrong = well ? "" : WhatIsWrong(found);
  // Equal entries, but those here do not keep whole segments in memory.
  Begin(well ? std::move(possible) : found);
  return wrong;
}

// Damage took a part of what was durable. The others count on it all the same: the member must not
// say anything that it could not say if it had it.
std::string MirroredMember::RestartWithLoss(const Disk& found, LogIndex lost_through) {
  std::string wrong;
  if (Older(found.hard_state, disk_.hard_state)) {
    wrong = WhatIsWrong(found);
  } else if (disk_.last_index() > lost_through) {
    wrong = fmt::format("has lost entry {} and believes to have lost no more than those to {}",
                        disk_.last_index().value(), lost_through.value());
  }
  const Disk before = std::move(disk_);
  Begin(found);
  for (LogIndex i = found.last_index().Next(); i <= before.last_index(); ++i) {
    const Entry* lost = before.Find(i);
    if (lost == nullptr) break;
    disk_.entries.push_back(*lost);
  }
  return wrong;
}

std::string MirroredMember::WhatIsWrong(const Disk& found) const {
  if (Older(found.hard_state, disk_.hard_state)) {
    return fmt::format("has term {} and vote {}, but term {} and vote {} were durable",
                       found.hard_state.term.value(), found.hard_state.vote.value(),
                       disk_.hard_state.term.value(), disk_.hard_state.vote.value());
  }
  LogIndex kept = disk_.last_index();  // what no write on its way could have replaced
  for (const Write& write : writes_) {
    const LogIndex replaced = std::visit([](const auto& it) { return FirstReplaced(it); }, write);
    kept = std::min(kept, replaced.Prev());
  }
  for (LogIndex i = std::max(disk_.start.index, found.start.index).Next(); i <= kept; ++i) {
    const Entry* entry = found.Find(i);
    if (entry != nullptr && *entry == *disk_.Find(i)) continue;
    return fmt::format("lacks entry {} of term {}, which was durable", i.value(),
                       disk_.TermAt(i).value());
  }
  return fmt::format("has a log from {} to {} that its writes cannot have left",
                     found.start.index.value(), found.last_index().value());
}

}  // namespace conclave::sim
