// The Wal over segment files. Records are encoded as they are appended, straight into the next
// write, so where each will stand is decided at once; a write goes out when the one before it is
// durable. The next segment's file is made ready as soon as the present one is in use
// (segment_supply.h), and writes queue up in the rare case that it is late. Made by Wal::Open;
// everything on the lane.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/wal/record.h"
#include "raft/wal/recovery.h"
#include "raft/wal/segment_supply.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

class SegmentedWal : public Wal {
 public:
  SegmentedWal(FileSystem& fs, const WalOptions& options, Executor* lane, RecoveredLog recovered);
  ~SegmentedWal() override;

  void Append(const AppendTask& task, Durable durable) override;
  void Release(LogIndex index, Term term, const Configuration& configuration) override;
  WalStats Stats() const override;
  void SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) override;
  void SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t entries)> observer) override;

 private:
  // Records that go to the disk together, and who waits for them.
  struct Write {
    uint64_t sequence = 0;
    uint64_t offset = 0;
    std::string bytes;
    uint64_t entries = 0;
    LogIndex last_index;  // the greatest in it
    std::vector<Durable> durable;
  };

  // Each adds a record and returns the write it is in.
  Write& WriteBatch(const AppendTask& task);
  Write& WriteReset(const AppendTask& task);
  Write& WriteCompletion();
  Write& WritePayload(RecordType type, std::string_view payload);
  void BeginLogAt(const LogStart& start);
  // The entries that a record brings to the log.
  void NoteEntries(const std::vector<Entry>& entries, Write& write);
  // A task without a record of its own.
  void AppendNothing(Durable durable);

  // The write that takes the next record of so many bytes. Goes over to the next segment if this
  // one has no room.
  Write& WriteFor(uint64_t record_bytes);
  // `after_damage`: SegmentHeader::after_damage.
  void BeginNextSegment(bool after_damage);
  void FinishRecord(RecordWriter& writer, RecordType type, Write& write);

  // Hands the oldest write to the disk unless one is under way or its segment is not ready.
  void IssueNext();
  bool UsePreparedSegment();
  void OnSynced(absl::Status status);
  void PrepareNextSegment() { supply_.Prepare(segments_.back().sequence + 1); }
  void OnPrepared(const absl::Status& status);
  // The release of all up to `released` is durable; its record is in segment `in_segment`.
  void DropReleased(LogIndex released, uint64_t in_segment);
  void DropOldest();

  FileSystem& fs_;
  const WalOptions options_;
  Executor* const lane_;

  // Where the next record goes, and what the log amounts to there.
  LogState state_;
  uint64_t tail_sequence_ = 0;
  uint64_t tail_offset_ = 0;
  uint64_t tail_header_end_ = 0;  // of the segment header there; 0 if it is long past
  uint32_t tail_id_sum_ = 0;

  std::deque<Write> queue_;
  std::optional<Write> in_flight_;
  Instant issued_;

  std::deque<LiveSegment> segments_;  // the last one is file_
  std::unique_ptr<File> file_;
  SegmentSupply supply_;
  bool prepare_failed_ = false;

  WalStats stats_;
  absl::AnyInvocable<void(Duration, uint64_t entries)> sync_observer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::raft
