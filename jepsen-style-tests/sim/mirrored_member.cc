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

bool Same(const Disk& a, const Disk& b) {
  return a.hard_state == b.hard_state && a.start.index == b.start.index &&
         a.start.term == b.start.term && a.start.configuration == b.start.configuration &&
         a.entries == b.entries;
}

// What was promised, now that `disk` holds something new: nothing if that is all there, or if other
// entries have taken its place.
std::optional<Disk> StillPromised(const Disk& disk, const Disk& promised) {
  const LogIndex end = disk.last_index();
  if (end >= promised.last_index()) return std::nullopt;
  if (end < promised.start.index) return promised;
  if (promised.TermAt(end) != disk.TermAt(end)) return std::nullopt;
  Disk joined = disk;
  for (LogIndex i = end.Next(); i <= promised.last_index(); ++i) {
    joined.entries.push_back(*promised.Find(i));
  }
  return joined;
}

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

void MirroredDisk::Perform(const AppendTask& task) {
  disk.Write(task);
  if (task.complete) {
    promised.reset();
    lost_through = LogIndex(0);
  }
  if (!promised || (task.entries.empty() && !task.reset)) return;
  promised = StillPromised(disk, *std::exchange(promised, std::nullopt));
}

void MirroredDisk::Perform(const LogStart& release) { disk.Release(release); }

bool MirroredDisk::MayBeFoundAs(const raft::WalContents& recovered,
                                const DamagedLog* damage) const {
  const Disk found = DiskOf(recovered);
  if (Same(disk, found) && recovered.lost_through == lost_through) return true;
  if (damage == nullptr || found.hard_state != disk.hard_state) return false;
  if (!damage->MayLeave(found, disk)) return false;
  const bool whole = found.last_index() == disk.last_index();
  return recovered.lost_through ==
         (whole ? lost_through : std::max(lost_through, disk.last_index()));
}

MirroredMember::MirroredMember(const raft::WalContents& recovered)
    : configurations_(recovered.snapshot_index, recovered.configuration) {
  Begin({.disk = DiskOf(recovered), .lost_through = recovered.lost_through});
}

void MirroredMember::Begin(MirroredDisk durable) {
  durable_ = std::move(durable);
  log_ = durable_.disk;
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
    std::visit([this](const auto& it) { durable_.Perform(it); }, *next);
  }
  writes_.erase(writes_.begin(), end);
  return true;
}

std::optional<raft::WriteId> MirroredMember::OldestWrite() const {
  for (const Write& write : writes_) {
    if (const auto* task = std::get_if<AppendTask>(&write)) return task->write;
  }
  return std::nullopt;
}

bool MirroredMember::ResetUnderWay() const {
  return std::any_of(writes_.begin(), writes_.end(), [](const Write& write) {
    const auto* task = std::get_if<AppendTask>(&write);
    return task != nullptr && task->reset.has_value();
  });
}

std::pair<MirroredDisk, bool> MirroredMember::LeftAs(const raft::WalContents& recovered,
                                                     const DamagedLog* damage) const {
  MirroredDisk possible = durable_;
  bool well = possible.MayBeFoundAs(recovered, damage);
  for (auto next = writes_.begin(); !well && next != writes_.end(); ++next) {
    // That nothing is missing any more has a record of its own, the last of its write.
    const auto* task = std::get_if<AppendTask>(&*next);
    if (task != nullptr && task->complete) {
      AppendTask first = *task;
      first.complete = false;
      possible.Perform(first);
      well = possible.MayBeFoundAs(recovered, damage);
      if (well) break;
    }
    std::visit([&possible](const auto& it) { possible.Perform(it); }, *next);
    well = possible.MayBeFoundAs(recovered, damage);
  }
  return {std::move(possible), well};
}

std::string MirroredMember::Restart(const raft::WalContents& recovered, const DamagedLog* damage) {
  auto [left, well] = LeftAs(recovered, damage);
  std::string wrong = well ? "" : WhatIsWrong(recovered);
  if (Disk found = DiskOf(recovered); !Same(left.disk, found)) {
    const Disk before = left.promised.value_or(std::move(left.disk));
    left.disk = std::move(found);
    left.promised = well ? std::optional(before) : std::nullopt;
  }
  left.lost_through = recovered.lost_through;
  // Equal entries stay those of before, which do not keep whole segments in memory.
  Begin(std::move(left));
  return wrong;
}

std::string MirroredMember::WhatIfFound(const raft::WalContents& recovered) const {
  return LeftAs(recovered, nullptr).second ? "" : WhatIsWrong(recovered);
}

std::string MirroredMember::WhatIsWrong(const raft::WalContents& recovered) const {
  const Disk found = DiskOf(recovered);
  const Disk& disk = durable_.disk;
  if (Older(found.hard_state, disk.hard_state)) {
    return fmt::format("has term {} and vote {}, but term {} and vote {} were durable",
                       found.hard_state.term.value(), found.hard_state.vote.value(),
                       disk.hard_state.term.value(), disk.hard_state.vote.value());
  }
  LogIndex kept = disk.last_index();  // what no write on its way could have replaced
  for (const Write& write : writes_) {
    const LogIndex replaced = std::visit([](const auto& it) { return FirstReplaced(it); }, write);
    kept = std::min(kept, replaced.Prev());
  }
  for (LogIndex i = std::max(disk.start.index, found.start.index).Next(); i <= kept; ++i) {
    const Entry* entry = found.Find(i);
    if (entry != nullptr && *entry == *disk.Find(i)) continue;
    return fmt::format("lacks entry {} of term {}, which was durable", i.value(),
                       disk.TermAt(i).value());
  }
  if (recovered.lost_through < durable_.lost_through) {
    return fmt::format("has forgotten that it lost entries up to {}",
                       durable_.lost_through.value());
  }
  return fmt::format("has a log from {} to {} that its writes cannot have left",
                     found.start.index.value(), found.last_index().value());
}

}  // namespace conclave::sim
