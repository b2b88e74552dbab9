#include "server/stages/apply_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"
#include "raft/core/configuration.h"

namespace conclave::server {

namespace {

// Entries that are looked at together for what has to be read, and reads that are begun together:
// enough to keep a disk busy, and no more than one turn of this lane should do.
constexpr size_t kEntriesReadAhead = 256;

}  // namespace

ApplyStage::ApplyStage(const ApplyStageOptions& options, Executor* lane, kv::Store* store,
                       DiskReads* disk_reads, Proposer* proposer, Observer observer)
    : options_(options),
      lane_(lane),
      store_(store),
      disk_reads_(disk_reads),
      proposer_(proposer),
      observer_(std::move(observer)),
      removed_told_(store->compacted_physically()) {
  ScheduleCompaction();  // what the last run left unfinished
}

ApplyStage::~ApplyStage() {
  *alive_ = false;
  if (watch_timer_ != 0) lane_->CancelTimer(watch_timer_);
  if (compaction_timer_ != 0) lane_->CancelTimer(compaction_timer_);
}

void ApplyStage::Apply(std::vector<raft::Entry> entries) {
  CHECK(!entries.empty());
  given_ = entries.back().index;
  if (!holding_ && held_.empty() && HasRoom()) return ApplyNow(std::move(entries), Waits::kNone);
  for (raft::Entry& entry : entries) {
    held_bytes_ += raft::EntryBytes(entry);
    held_.push_back(std::move(entry));
  }
  // About as much goes as has come.
  const bool waits = awaiting_room_ || reading_;
  if (!holding_ && waits && held_bytes_ > options_.held_bytes_max) ApplyHeld(Waits::kAll);
}

bool ApplyStage::HasRoom() {
  if (awaiting_room_) return false;
  if (store_->HasRoom()) return true;
  SIM_REACHED("stages.apply.waits_for_room");
  awaiting_room_ = true;
  store_->AwaitRoom([this, lane = lane_, alive = alive_] {
    lane->Post([this, alive] {
      if (*alive) OnRoom();
    });
  });
  return false;
}

void ApplyStage::OnRoom() {
  if (SEEDED_BUG(kFullBufferForgotten)) return;
  awaiting_room_ = false;
  ScheduleSlice();
}

void ApplyStage::Release() {
  holding_ = false;
  ScheduleSlice();
}

void ApplyStage::ScheduleSlice() {
  if (held_.empty() || slice_posted_) return;
  slice_posted_ = true;
  lane_->Post([this, alive = alive_] {
    if (!*alive) return;
    slice_posted_ = false;
    ApplySlice();
  });
}

void ApplyStage::DropHeld() {
  CHECK(holding_);
  held_.clear();
  held_bytes_ = 0;
}

void ApplyStage::ApplySlice() {
  if (holding_ || held_.empty() || reading_ || !HasRoom()) return;
  ApplyHeld(std::exchange(first_may_wait_, false) ? Waits::kFirst : Waits::kNone);
  ScheduleSlice();
}

// As much at a time as raft hands over: there may be very much.
void ApplyStage::ApplyHeld(Waits waits) {
  constexpr size_t kSliceBytesMax = 4 << 20;
  std::vector<raft::Entry> slice;
  size_t bytes = 0;
  while (!held_.empty() && (slice.empty() || bytes < kSliceBytesMax)) {
    bytes += raft::EntryBytes(held_.front());
    slice.push_back(std::move(held_.front()));
    held_.pop_front();
  }
  held_bytes_ -= bytes;
  ApplyNow(std::move(slice), waits);
}

void ApplyStage::ApplyNow(std::vector<raft::Entry> entries, Waits waits) {
  size_t bytes = 0;
  size_t applied = 0;
  for (; applied < entries.size(); ++applied) {
    const bool may_wait = waits == Waits::kAll || (waits == Waits::kFirst && applied == 0);
    if (!ApplyOne(entries[applied], may_wait)) break;
    bytes += raft::EntryBytes(entries[applied]);
  }
  const bool cold = applied < entries.size();
  if (cold) HoldFrom(entries, applied);
  if (applied > 0) EndDrain(entries[applied - 1], bytes);
  if (cold) ReadAhead();
}

void ApplyStage::HoldFrom(std::vector<raft::Entry>& entries, size_t first) {
  for (size_t i = entries.size(); i > first; --i) {
    held_bytes_ += raft::EntryBytes(entries[i - 1]);
    held_.push_front(std::move(entries[i - 1]));
  }
}

void ApplyStage::ReadAhead() {
  if (reading_) return;
  SIM_REACHED("stages.apply.reads_ahead");
  reading_ = true;
  std::vector<kv::ColdRead> reads;
  const size_t looked_at = std::min(held_.size(), kEntriesReadAhead);
  for (size_t i = 0; i < looked_at && reads.size() < kEntriesReadAhead; ++i) {
    if (held_[i].kind != raft::EntryKind::kCommand) continue;
    for (kv::ColdRead& read : store_->ColdReads(held_[i].payload.view())) {
      reads.push_back(std::move(read));
    }
  }
  disk_reads_->Run(std::move(reads), [this, alive = alive_] {
    if (*alive) OnRead();
  });
}

void ApplyStage::OnRead() {
  if (SEEDED_BUG(kColdReadForgotten)) return;
  reading_ = false;
  // Even if it has been forgotten again: it is not to be read for without end.
  first_may_wait_ = true;
  ScheduleSlice();
}

void ApplyStage::EndDrain(const raft::Entry& last, size_t bytes) {
  store_->Commit();
  for (Result& result : results_) {
    if (withholding_) result.result = {.status = kv::ErrTimeout(), .response = {}};
    proposer_->Complete(result.header, std::move(result.result));
  }
  results_.clear();
  observer_.applied(last, bytes);
  ScheduleWatches();
  ScheduleCompaction();
}

bool ApplyStage::ApplyOne(const raft::Entry& entry, bool may_wait) {
  const uint64_t index = entry.index.value();
  // After a restart the engine may already hold the first entries of the log.
  if (index <= store_->applied_index()) return true;
  switch (entry.kind) {
    case raft::EntryKind::kCommand:
      if (!ApplyCommand(entry, may_wait)) return false;
      break;
    case raft::EntryKind::kNoop:
      store_->ApplyNothing(index, entry.term.value());
      break;
    case raft::EntryKind::kConfiguration:
      ApplyConfiguration(entry);
      break;
  }
  observer_.entry();
  return true;
}

bool ApplyStage::ApplyCommand(const raft::Entry& entry, bool may_wait) {
  const std::string_view command = entry.payload.view();
  const std::optional<kv::CommandHeader> waiting = WaitingFor(entry, command);
  const uint64_t index = entry.index.value();
  const uint64_t term = entry.term.value();
  std::optional<kv::ApplyResult> result =
      may_wait ? store_->Apply(index, term, command, waiting.has_value())
               : store_->ApplyIfCached(index, term, command, waiting.has_value());
  if (!result) return false;
  if (waiting) results_.push_back({*waiting, *std::move(result)});
  return true;
}

void ApplyStage::ApplyConfiguration(const raft::Entry& entry) {
  const auto change = raft::DecodeConfigurationEntry(entry.payload.view());
  if (!change.ok()) {
    Fatal(fmt::format("log entry {} is no configuration: {}", entry.index.value(),
                      MessageOf(change.status())));
  }
  std::optional<kv::CommandHeader> waiting;
  if (!change->context.empty()) waiting = WaitingFor(entry, change->context);
  kv::ApplyResult result = store_->ApplyConfiguration(
      entry.index.value(), entry.term.value(), raft::EncodeConfiguration(change->configuration),
      change->context, waiting.has_value());
  if (waiting) results_.push_back({*waiting, std::move(result)});
}

std::optional<kv::CommandHeader> ApplyStage::WaitingFor(const raft::Entry& entry,
                                                        std::string_view bytes) const {
  const absl::StatusOr<kv::Command> command = kv::DecodeCommand(bytes);
  if (!command.ok()) {
    Fatal(fmt::format("log entry {} is no command: {}", entry.index.value(),
                      MessageOf(command.status())));
  }
  if (!proposer_->Waits(command->header)) return std::nullopt;
  return command->header;
}

void ApplyStage::OnInstalled() {
  while (!held_.empty() && held_.front().index.value() <= store_->applied_index()) {
    held_bytes_ -= raft::EntryBytes(held_.front());
    held_.pop_front();
  }
  removed_told_ = store_->compacted_physically();
  if (awaiting_room_) OnRoom();  // of an engine that is gone
  ScheduleWatches();
  ScheduleCompaction();
  AnswerCompactionWaiters();
}

void ApplyStage::WakeWatches() { ScheduleWatches(); }

void ApplyStage::ScheduleWatches() {
  const Instant next = store_->watches().NextRun();
  if (next == kNever || watches_posted_) return;
  if (next <= lane_->Now()) {
    watches_posted_ = true;
    lane_->Post([this, alive = alive_] {
      if (!*alive) return;
      watches_posted_ = false;
      RunWatches();
    });
    return;
  }
  if (next == watch_timer_at_) return;
  if (watch_timer_ != 0) lane_->CancelTimer(watch_timer_);
  watch_timer_at_ = next;
  watch_timer_ = lane_->RunAt(next, [this] {
    watch_timer_ = 0;
    watch_timer_at_ = kNever;
    RunWatches();
  });
}

void ApplyStage::RunWatches() {
  store_->watches().Run(lane_->Now());
  ScheduleWatches();
}

void ApplyStage::WhenCompacted(int64_t revision, absl::AnyInvocable<void()> done) {
  if (store_->compacted_physically() >= revision) {
    done();
    return;
  }
  compaction_waiters_.push_back({revision, std::move(done)});
  ScheduleCompaction();
}

void ApplyStage::ScheduleCompaction() {
  if (compaction_timer_ != 0) return;
  if (store_->compacted_physically() >= store_->compact_revision()) return;
  compaction_timer_ = lane_->RunAt(lane_->Now() + options_.compaction_pause, [this] {
    compaction_timer_ = 0;
    RunCompaction();
  });
}

void ApplyStage::RunCompaction() {
  if (store_->HasRoom()) store_->CompactStep();
  ScheduleCompaction();
  TellRemoved();
  AnswerCompactionWaiters();
}

void ApplyStage::TellRemoved() {
  const int64_t done = store_->compacted_physically();
  if (done < store_->compact_revision()) return;
  if (done - removed_told_ < options_.removed_revisions_min) return;
  removed_told_ = done;
  observer_.removed();
}

void ApplyStage::AnswerCompactionWaiters() {
  const int64_t done = store_->compacted_physically();
  std::vector<CompactionWaiter> ready;
  auto split = std::stable_partition(compaction_waiters_.begin(), compaction_waiters_.end(),
                                     [done](const auto& w) { return w.revision > done; });
  ready.assign(std::make_move_iterator(split), std::make_move_iterator(compaction_waiters_.end()));
  compaction_waiters_.erase(split, compaction_waiters_.end());
  for (CompactionWaiter& waiter : ready) waiter.done();
}

}  // namespace conclave::server
