// The state of a log as its records are played one after the other, by log_player.h.
//
// Records may be missing where the disk is damaged. What was whole before is kept then, and so is
// what comes after; the two are never joined by guess, since the missing records may have replaced
// any entry. Each record tells the hard state, the last index and what the log lacks, so that these
// are known again with the next one. The entries are known again if nothing before it is needed any
// more, or if a segment begins with the very entry that the log had ended with (the same index and
// term are the same log up to there: thesis 3.5).
//
// Records whose sums are right may still contradict each other if segments are mixed up: every call
// says so (DataLoss) rather than going on.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

class Replay {
 public:
  absl::Status Add(const SegmentHeader& header);
  // Entries replace all from the first one's index on.
  absl::Status Add(Batch batch);
  absl::Status Add(Release release);
  absl::Status Add(Reset reset);
  absl::Status Add(const Completion& completion);
  // One or more records are missing here.
  void Lose();

  struct Outcome {
    WalContents contents;
    LogState state;  // what they amount to
    // It is not what the records amount to, for some are missing: the log must go on with a segment
    // header that says so.
    bool after_damage = false;
  };
  // DataLoss if the hard state or the log's start are not known at the end.
  absl::StatusOr<Outcome> Finish();

 private:
  // A log without a gap from its start on. One of which only the end is known starts with that; the
  // term is 0 then, for it is not known.
  struct WholeLog {
    LogStart start;
    std::vector<Entry> entries;

    // An entry of that term is there, or was the one before its start.
    bool Holds(LogIndex index, Term term) const;
    void KeepThrough(LogIndex index);
    void ForgetThrough(LogIndex index);
  };

  LogStart start() const;
  // No entry after the log's start is missing.
  bool whole() const { return start_known_ && first_index_ <= state_.snapshot_index.Next(); }
  WholeLog TakeWhole();
  // What is known without a gap: what is missing before it may be needed no more in the end.
  void KeepBefore();
  // What a record tells does not go with what is known.
  bool Contradicts(LogIndex last_index, LogIndex lost_through) const;
  bool Contradicts(const LogState& start) const;
  void BeginAt(const LogStart& start);
  // The end of the log is known again, and no entry of it.
  void EndAt(LogIndex last_index);
  void Note(const HardState& hard_state, LogIndex last_index, LogIndex lost_through);
  void AddEntries(std::vector<Entry> entries);
  void Rejoin(LogIndex last_index, Term last_term);
  WholeLog Rest();

  LogState state_;
  bool told_ = false;         // a record after the last missing one has told its end
  bool start_sure_ = false;   // likewise its start
  bool start_known_ = false;  // at all; it may have moved since
  LogIndex first_index_;      // of entries_; they end at state_.last_index
  std::vector<Entry> entries_;
  std::vector<WholeLog> before_;  // each damage
};

}  // namespace conclave::raft
