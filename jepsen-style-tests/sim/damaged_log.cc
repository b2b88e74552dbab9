#include "jepsen-style-tests/sim/damaged_log.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/manual_executor.h"
#include "raft/wal/log_scan.h"
#include "raft/wal/segment.h"
#include "raft/wal/segment_scan.h"

namespace conclave::sim {
namespace {

using raft::Disk;
using raft::LogIndex;

// One record of the log as it was.
struct Record {
  uint64_t sequence = 0;  // of its segment
  uint64_t offset = 0;
  raft::RecordType type = raft::RecordType::kBatch;
  bool touched = false;
};

bool IsWhole(std::string_view segment, uint64_t offset, uint32_t id_sum) {
  const std::optional<raft::RecordHeader> header = raft::ReadRecordHeader(segment, offset, id_sum);
  return header.has_value() && raft::ReadRecordPayload(segment, offset, *header).has_value();
}

bool TellsStart(raft::RecordType type) {
  return type == raft::RecordType::kSegmentHeader || type == raft::RecordType::kRelease ||
         type == raft::RecordType::kReset;
}

std::vector<uint64_t> Segments(MemoryFileSystem& disk, const raft::WalOptions& options) {
  const absl::StatusOr<raft::LogFiles> files = raft::ListLogFiles(disk, options.directory);
  CHECK(files.ok());
  return files->segments;
}

std::vector<Record> ReadRecords(MemoryFileSystem& sound, const MemoryFileSystem& damaged,
                                const raft::WalOptions& options) {
  std::vector<Record> records;
  const absl::Status status = raft::ScanLog(
      sound, options.directory, options.cluster_id, options.member, Segments(sound, options),
      [&](const raft::FoundSegment& segment) {
        const uint32_t id_sum = raft::SumOf({options.cluster_id, options.member, segment.sequence});
        const std::string now =
            damaged.Contents(raft::SegmentPath(options.directory, segment.sequence));
        for (const raft::SegmentScan::Record& record : segment.scan.records) {
          records.push_back({segment.sequence, record.offset, record.header.type,
                             !IsWhole(now, record.offset, id_sum)});
        }
        return absl::OkStatus();
      });
  CHECK_MSG(status.ok(), std::string(status.message()));
  return records;
}

// As if nothing had been written from `first` on.
void CutFrom(const Record& first, const raft::WalOptions& options, MemoryFileSystem& disk) {
  for (const uint64_t sequence : Segments(disk, options)) {
    const std::string path = raft::SegmentPath(options.directory, sequence);
    if (sequence > first.sequence || (sequence == first.sequence && first.offset == 0)) {
      CHECK(disk.Remove(path).ok());
    } else if (sequence == first.sequence) {
      const std::string zeros(disk.Contents(path).size() - first.offset, '\0');
      CHECK((*disk.Open(path, OpenMode::kMustExist))->WriteAt(first.offset, zeros).ok());
    }
  }
}

// What the log amounted to before `first` was written.
std::optional<raft::WalContents> ReadBefore(const Record& first, const raft::WalOptions& options,
                                            MemoryFileSystem& disk) {
  CutFrom(first, options, disk);
  ManualExecutor lane;
  absl::StatusOr<raft::Wal::Opened> opened = raft::Wal::Open(disk, options, &lane);
  if (!opened.ok()) return std::nullopt;
  return std::move(opened->contents);
}

bool SameStart(const Disk& a, const Disk& b) {
  return a.start.index == b.start.index && a.start.term == b.start.term &&
         a.start.configuration == b.start.configuration;
}

// The whole log, but that some of what was let go of is there again.
bool IsWholeLog(const Disk& found, const Disk& whole) {
  if (found.start.index > whole.start.index || found.last_index() != whole.last_index()) {
    return false;
  }
  if (found.start.index == whole.start.index && !SameStart(found, whole)) return false;
  for (LogIndex i = whole.start.index.Next(); i <= whole.last_index(); ++i) {
    if (*found.Find(i) != *whole.Find(i)) return false;
  }
  return true;
}

// What `before` leaves of a log that was `whole`: it starts where the log is known to have started
// last, and is shorter than the whole one.
bool IsRest(const Disk& found, const Disk& before, const Disk& whole) {
  if (found.start.index > whole.start.index) return false;
  if (found.start.index == whole.start.index && !SameStart(found, whole)) return false;
  if (before.TermAt(found.start.index) != found.start.term) return found.entries.empty();
  const LogIndex end =
      std::max(std::min(before.last_index(), whole.last_index().Prev()), found.start.index);
  if (found.last_index() != end) return false;
  for (LogIndex i = found.start.index.Next(); i <= end; ++i) {
    if (*found.Find(i) != *before.Find(i)) return false;
  }
  return true;
}

// `found` is what `whole` begins with, or began with before entries were replaced by what is lost
// now, as far as both can be compared.
bool IsBeginning(const Disk& found, const Disk& whole) {
  if (found.last_index() >= whole.last_index() || found.start.index > whole.start.index) {
    return false;
  }
  for (LogIndex i = whole.start.index.Next(); i <= found.last_index(); ++i) {
    if (found.TermAt(i) < whole.TermAt(i)) return true;
    if (*found.Find(i) != *whole.Find(i)) return false;
  }
  return true;
}

}  // namespace

Disk DiskOf(const raft::WalContents& contents) {
  return {.hard_state = contents.hard_state,
          .start = {contents.snapshot_index, contents.snapshot_term, contents.configuration},
          .entries = contents.entries};
}

// Nothing that was missing is needed any more, or the log goes on from what was there before.
bool DamagedLog::MustLeaveWhole(const Disk& whole) const {
  if (!next_segment || before.size() != 1 || damaged_before) return false;
  return whole.start.index >= next_segment->last_index ||
         (next_segment->last_index >= before[0].start.index &&
          before[0].TermAt(next_segment->last_index) == next_segment->last_term);
}

bool DamagedLog::MayLeave(const Disk& rest, const Disk& whole) const {
  if (IsWholeLog(rest, whole)) return true;
  if (MustLeaveWhole(whole)) return false;
  if (damaged_before) return IsBeginning(rest, whole);
  return std::any_of(before.begin(), before.end(),
                     [&](const Disk& log) { return IsRest(rest, log, whole); });
}

std::optional<DamagedLog> FindDamage(std::unique_ptr<MemoryFileSystem> sound,
                                     const MemoryFileSystem& damaged,
                                     const raft::WalOptions& options) {
  const std::vector<Record> records = ReadRecords(*sound, damaged, options);
  DamagedLog found;
  const auto touched = [](const Record& record) { return record.touched; };
  const auto first = std::find_if(records.begin(), records.end(), touched);
  if (first == records.end()) return std::nullopt;
  // From the back, for each is cut from what the one before it left.
  for (auto run = records.rbegin(); run != records.rend(); ++run) {
    const bool begins =
        run->touched && (std::next(run) == records.rend() || !std::next(run)->touched);
    if (!begins) continue;
    const std::optional<raft::WalContents> contents = ReadBefore(*run, options, *sound);
    found.before.push_back(contents ? DiskOf(*contents) : Disk());
    // What was there before must open, unless earlier damage is in it, too.
    const bool anything_before = std::next(run) != records.rend();
    found.damaged_before |= contents ? !contents->damage.empty() : anything_before;
  }
  // Earlier damage may have left a log without the header that it began with.
  found.start_told = std::any_of(records.begin(), first,
                                 [](const Record& record) { return TellsStart(record.type); });
  for (auto record = std::next(first); record != records.end(); ++record) {
    if (record->touched || !TellsStart(record->type)) continue;
    found.start_told = true;
    if (record->type != raft::RecordType::kSegmentHeader || found.next_segment) continue;
    const std::string path = raft::SegmentPath(options.directory, record->sequence);
    const auto header = raft::ReadSegmentHeader(damaged.Contents(path));
    CHECK(header.has_value());
    found.next_segment = header->start;
  }
  return found;
}

}  // namespace conclave::sim
