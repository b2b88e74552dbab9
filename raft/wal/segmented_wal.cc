#include "raft/wal/segmented_wal.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::raft {
namespace {

// A write that has reached this much takes no more records: the next ones wait for the next write.
constexpr size_t kWriteBytesMax = 4 << 20;

}  // namespace

SegmentedWal::SegmentedWal(FileSystem& fs, const WalOptions& options, Executor* lane,
                           RecoveredLog recovered)
    : fs_(fs),
      options_(options),
      lane_(lane),
      state_(std::move(recovered.state)),
      tail_sequence_(recovered.segments.back().sequence),
      tail_offset_(recovered.end),
      tail_id_sum_(SumOf({options.cluster_id, options.member, tail_sequence_})),
      segments_(std::move(recovered.segments)),
      file_(std::move(recovered.file)),
      supply_(fs, options, lane, std::move(recovered.free_files),
              [this](const absl::Status& status) { OnPrepared(status); }) {
  if (recovered.after_damage) BeginNextSegment(/*after_damage=*/true);
  PrepareNextSegment();
}

SegmentedWal::~SegmentedWal() { *alive_ = false; }

void SegmentedWal::Append(const AppendTask& task, Durable durable) {
  if (!task.hard_state.has_value() && task.entries.empty() && !task.reset.has_value() &&
      !task.complete) {
    return AppendNothing(std::move(durable));
  }
  Write* write = task.reset.has_value() ? &WriteReset(task) : &WriteBatch(task);
  // After the entries: they may be what makes it complete.
  if (task.complete) write = &WriteCompletion();
  if (SEEDED_BUG(kAckedBySyncUnderWay) && in_flight_.has_value()) {
    in_flight_->durable.push_back(std::move(durable));
  } else if (SEEDED_BUG(kHardStateNotSynced) && task.entries.empty()) {
    lane_->Post(std::move(durable));
  } else {
    write->durable.push_back(std::move(durable));
  }
  IssueNext();
}

void SegmentedWal::AppendNothing(Durable durable) {
  // Due as soon as all before it is durable.
  SIM_REACHED("wal.nothing_to_write");
  if (!queue_.empty()) {
    queue_.back().durable.push_back(std::move(durable));
  } else if (in_flight_.has_value()) {
    in_flight_->durable.push_back(std::move(durable));
  } else {
    lane_->Post([alive = alive_, durable = std::move(durable)]() mutable {
      if (*alive) durable();
    });
  }
}

void SegmentedWal::Release(LogIndex index, Term term, const Configuration& configuration) {
  if (index <= state_.snapshot_index) return;
  const LogStart start{index, term, configuration};
  const bool empties = index > state_.last_index;
  std::string payload;
  EncodeRelease(
      {state_.hard_state, empties ? index : state_.last_index, state_.lost_through, start},
      payload);
  Write& write = WritePayload(RecordType::kRelease, payload);
  BeginLogAt(start);
  if (empties) {
    state_.last_index = index;
    state_.last_term = term;
  }
  // Only then: segments may go once the disk knows that they are not needed.
  write.durable.push_back(
      [this, index, sequence = write.sequence] { DropReleased(index, sequence); });
  IssueNext();
}

SegmentedWal::Write& SegmentedWal::WriteBatch(const AppendTask& task) {
  const bool lossy = state_.lost_through > LogIndex(0);
  Write& write =
      WriteFor(RecordBytes(BatchPayloadBytes(task.entries) + (lossy ? kLostThroughBytes : 0)));
  const Term last_term = state_.hard_state.term;
  if (task.hard_state.has_value()) state_.hard_state = *task.hard_state;
  HardState written = state_.hard_state;
  if (SEEDED_BUG(kVoteWrittenApart) && written.term > last_term) written.vote = kNoNode;
  RecordWriter writer(write.bytes);
  if (lossy) EncodeLostThrough(state_.lost_through, write.bytes);
  EncodeBatch(written, state_.last_index.Next(), task.entries, write.bytes);
  FinishRecord(writer, lossy ? RecordType::kLossyBatch : RecordType::kBatch, write);
  NoteEntries(task.entries, write);
  return write;
}

// One record for all of it: a log without its entries would be whole with the old hard state.
SegmentedWal::Write& SegmentedWal::WriteReset(const AppendTask& task) {
  SIM_REACHED("wal.reset");
  const LogStart& start = *task.reset;
  // What is released is in the state machine for good, and no snapshot goes back behind it.
  CHECK(start.index >= state_.snapshot_index);
  if (SEEDED_BUG(kResetKeepsConflict)) {
    Release(start.index, start.term, start.configuration);
    return WriteBatch(task);
  }
  const HardState hard_state = task.hard_state.value_or(state_.hard_state);
  std::string payload;
  EncodeReset(start, state_.lost_through, hard_state, task.entries, payload);
  // It may begin a segment, whose header tells the state before.
  Write& write = WritePayload(RecordType::kReset, payload);
  BeginLogAt(start);
  state_.hard_state = hard_state;
  state_.last_index = start.index;
  state_.last_term = start.term;
  NoteEntries(task.entries, write);
  // No segment before this one is needed any more.
  const auto drop = [this, sequence = write.sequence] {
    while (segments_.size() > 1 && segments_.front().sequence < sequence) DropOldest();
  };
  if (SEEDED_BUG(kDroppedBeforeReset)) drop();
  write.durable.push_back(drop);
  return write;
}

void SegmentedWal::BeginLogAt(const LogStart& start) {
  state_.snapshot_index = start.index;
  state_.snapshot_term = start.term;
  state_.configuration = start.configuration;
}

SegmentedWal::Write& SegmentedWal::WriteCompletion() {
  SIM_REACHED("wal.complete");
  std::string payload;
  EncodeCompletion({state_.hard_state, state_.last_index}, payload);
  Write& write = WritePayload(RecordType::kComplete, payload);
  state_.lost_through = LogIndex(0);
  return write;
}

SegmentedWal::Write& SegmentedWal::WritePayload(RecordType type, std::string_view payload) {
  Write& write = WriteFor(RecordBytes(payload.size()));
  RecordWriter writer(write.bytes);
  write.bytes += payload;
  FinishRecord(writer, type, write);
  return write;
}

void SegmentedWal::NoteEntries(const std::vector<Entry>& entries, Write& write) {
  if (entries.empty()) return;
  const LogIndex first = entries.front().index;
  const LogIndex last = entries.back().index;
  CHECK(first > state_.snapshot_index && first <= state_.last_index.Next());
  CHECK(last - first == entries.size() - 1);
  if (first <= state_.last_index) SIM_REACHED("wal.entries_replaced");
  state_.last_index = last;
  state_.last_term = entries.back().term;
  write.last_index = std::max(write.last_index, last);
  write.entries += entries.size();
}

SegmentedWal::Write& SegmentedWal::WriteFor(uint64_t record_bytes) {
  if (tail_offset_ + record_bytes > options_.segment_bytes && tail_offset_ > tail_header_end_) {
    BeginNextSegment(/*after_damage=*/false);
  }
  if (queue_.empty() || queue_.back().sequence != tail_sequence_ ||
      queue_.back().bytes.size() >= kWriteBytesMax) {
    queue_.emplace_back();
    queue_.back().sequence = tail_sequence_;
    queue_.back().offset = tail_offset_;
  } else {
    SIM_REACHED("wal.record_joined_write");
  }
  if (tail_offset_ + record_bytes > options_.segment_bytes) SIM_REACHED("wal.segment_grown");
  Write& write = queue_.back();
  // Grows at least twofold, so that many small records do not move it each time.
  if (write.bytes.capacity() < write.bytes.size() + record_bytes) {
    write.bytes.reserve(std::max(2 * write.bytes.capacity(), write.bytes.size() + record_bytes));
  }
  return write;
}

void SegmentedWal::BeginNextSegment(bool after_damage) {
  SegmentHeader header;
  header.id = {options_.cluster_id, options_.member, tail_sequence_ + 1};
  header.previous_end = tail_offset_;
  header.file_bytes = options_.segment_bytes;
  header.after_damage = after_damage;
  header.start = state_;
  ++tail_sequence_;
  tail_offset_ = 0;
  tail_id_sum_ = SumOf(header.id);
  queue_.emplace_back();
  Write& write = queue_.back();
  write.sequence = tail_sequence_;
  RecordWriter writer(write.bytes);
  EncodeSegmentHeader(header, write.bytes);
  FinishRecord(writer, RecordType::kSegmentHeader, write);
  tail_header_end_ = tail_offset_;
}

void SegmentedWal::FinishRecord(RecordWriter& writer, RecordType type, Write& write) {
  // Everything before the write's own start is durable when it is issued: that is what its records
  // may vouch for.
  writer.Finish(type, tail_id_sum_, tail_offset_, write.offset);
  tail_offset_ = write.offset + write.bytes.size();
}

void SegmentedWal::IssueNext() {
  if (in_flight_.has_value() || queue_.empty()) return;
  if (queue_.front().sequence != segments_.back().sequence && !UsePreparedSegment()) return;
  in_flight_ = std::move(queue_.front());
  queue_.pop_front();
  segments_.back().last_index = std::max(segments_.back().last_index, in_flight_->last_index);
  issued_ = lane_->Now();
  stats_.bytes += in_flight_->bytes.size();
  file_->WriteAndSync(in_flight_->offset, std::move(in_flight_->bytes), lane_,
                      [this, alive = alive_](absl::Status status) {
                        if (*alive) OnSynced(std::move(status));
                      });
}

bool SegmentedWal::UsePreparedSegment() {
  std::unique_ptr<File> prepared = supply_.Take();
  if (prepared == nullptr) {
    SIM_REACHED("wal.waits_for_segment");
    PrepareNextSegment();
    return false;
  }
  file_ = std::move(prepared);
  segments_.push_back({segments_.back().sequence + 1, LogIndex()});
  return true;
}

void SegmentedWal::OnSynced(absl::Status status) {
  if (!status.ok()) Fatal("the log could not be written: " + std::string(MessageOf(status)));
  Write done = *std::move(in_flight_);
  in_flight_.reset();
  stats_.last_sync = lane_->Now() - issued_;
  ++stats_.syncs;
  stats_.entries += done.entries;
  // Only now that something in the present segment is durable: at most one file without a header
  // may follow the log.
  if (!prepare_failed_) PrepareNextSegment();
  // The disk goes on while the callbacks run.
  IssueNext();
  const std::shared_ptr<bool> alive = alive_;
  if (sync_observer_) sync_observer_(stats_.last_sync, done.entries);
  for (Durable& durable : done.durable) {
    if (!*alive) return;
    durable();
  }
}

void SegmentedWal::OnPrepared(const absl::Status& status) {
  prepare_failed_ = !status.ok();
  const bool awaited = !in_flight_.has_value() && !queue_.empty();
  // A disk that is full now may have room again when the file is needed: it is tried once more
  // then. One that fails a write or a sync is not asked again.
  if (prepare_failed_ && (awaited || !absl::IsResourceExhausted(status))) {
    Fatal("the log could not be continued: " + std::string(MessageOf(status)));
  }
  IssueNext();
}

void SegmentedWal::DropReleased(LogIndex released, uint64_t in_segment) {
  // Not that segment itself, even if the next one is in use: nothing in that one may be durable
  // yet.
  while (segments_.front().sequence < in_segment && segments_.front().last_index <= released) {
    DropOldest();
  }
}

void SegmentedWal::DropOldest() {
  CHECK(segments_.size() > 1);
  supply_.GiveBack(segments_.front().sequence);
  segments_.pop_front();
}

WalStats SegmentedWal::Stats() const {
  WalStats stats = stats_;
  stats.segments = segments_.size() + supply_.files();
  return stats;
}

void SegmentedWal::SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) {
  supply_.SetSpaceObserver(std::move(observer));
}

void SegmentedWal::SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t entries)> observer) {
  sync_observer_ = std::move(observer);
}

}  // namespace conclave::raft
