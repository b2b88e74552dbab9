#include "raft/wal/wal_dump.h"

#include <algorithm>
#include <utility>

#include "raft/base/text.h"
#include "raft/wal/log_player.h"
#include "raft/wal/log_scan.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

// A member that writes meanwhile takes segments away, and what it writes while a segment is read
// may look like damage.
constexpr int kTries = 4;

void NoteProblem(const absl::Status& status, DumpedRecord& record) {
  record.problem = std::string(MessageOf(status));
}

void NoteBatch(absl::StatusOr<Batch> batch, DumpedRecord& record) {
  if (!batch.ok()) return NoteProblem(batch.status(), record);
  record.hard_state = batch->hard_state;
  record.last_index = batch->last_index;
  record.lost_through = batch->lost_through;
  record.entries = std::move(batch->entries);
}

void NoteHeader(const absl::StatusOr<SegmentHeader>& header, DumpedRecord& record) {
  if (!header.ok()) return NoteProblem(header.status(), record);
  const LogState& start = header->start;
  record.hard_state = start.hard_state;
  record.last_index = start.last_index;
  record.lost_through = start.lost_through;
  record.after_damage = header->after_damage;
  record.start = {start.snapshot_index, start.snapshot_term, start.configuration};
}

void NoteRelease(const absl::StatusOr<Release>& release, DumpedRecord& record) {
  if (!release.ok()) return NoteProblem(release.status(), record);
  record.hard_state = release->hard_state;
  record.last_index = release->last_index;
  record.lost_through = release->lost_through;
  record.start = release->start;
}

void NoteReset(absl::StatusOr<Reset> reset, DumpedRecord& record) {
  if (!reset.ok()) return NoteProblem(reset.status(), record);
  record.start = std::move(reset->start);
  NoteBatch(std::move(reset->batch), record);
}

void NoteCompletion(const absl::StatusOr<Completion>& completion, DumpedRecord& record) {
  if (!completion.ok()) return NoteProblem(completion.status(), record);
  record.hard_state = completion->hard_state;
  record.last_index = completion->last_index;
}

DumpedRecord DumpRecord(const Bytes& content, const SegmentScan::Record& found) {
  DumpedRecord record;
  record.offset = found.offset;
  record.bytes = RecordBytes(found.header.payload_bytes);
  record.type = found.header.type;
  record.durable_before = found.header.write_start;
  const uint64_t at = found.offset + kRecordHeaderBytes;
  const uint64_t size = found.header.payload_bytes;
  const std::string_view payload = content.view().substr(at, size);
  switch (record.type) {
    case RecordType::kSegmentHeader:
      NoteHeader(DecodeSegmentHeader(payload), record);
      break;
    case RecordType::kBatch:
      NoteBatch(DecodeBatch(content, at, size), record);
      break;
    case RecordType::kLossyBatch:
      NoteBatch(DecodeLossyBatch(content, at, size), record);
      break;
    case RecordType::kRelease:
      NoteRelease(DecodeRelease(payload), record);
      break;
    case RecordType::kReset:
      NoteReset(DecodeReset(content, at, size), record);
      break;
    case RecordType::kComplete:
      NoteCompletion(DecodeCompletion(payload), record);
      break;
  }
  return record;
}

DumpedSegment DumpSegment(const std::string& directory, const FoundSegment& found) {
  const SegmentScan& scan = found.scan;
  DumpedSegment segment;
  segment.sequence = found.sequence;
  segment.file_bytes = found.content.size();
  segment.end = scan.end;
  segment.unused = found.unused;
  segment.unfinished = scan.leftovers;
  const Bytes content = Bytes::Copy(std::string_view(found.content).substr(0, scan.end));
  for (const SegmentScan::Record& record : scan.records) {
    segment.records.push_back(DumpRecord(content, record));
  }
  for (const SegmentScan::Damage& damage : scan.damages) {
    segment.damages.push_back(
        {damage.offset, damage.end, DescribeDamage(directory, found, damage)});
  }
  return segment;
}

// Whose log it is, as the first segment says that can still be read.
absl::StatusOr<SegmentId> FindOwner(FileSystem& fs, const std::string& directory,
                                    const std::vector<uint64_t>& segments) {
  for (const uint64_t sequence : segments) {
    const absl::StatusOr<std::string> content = ReadFile(fs, SegmentPath(directory, sequence));
    if (!content.ok()) return content.status();
    const std::optional<SegmentHeader> header = ReadSegmentHeader(*content);
    if (header.has_value()) return header->id;
  }
  return absl::DataLossError(directory + ": no segment tells whose log it is");
}

absl::StatusOr<WalDump> DumpOnce(FileSystem& fs, const std::string& directory) {
  const absl::StatusOr<LogFiles> files = ListLogFiles(fs, directory);
  if (!files.ok()) return files.status();
  const absl::StatusOr<SegmentId> owner = FindOwner(fs, directory, files->segments);
  if (!owner.ok()) return owner.status();
  WalDump dump{.directory = directory,
               .cluster_id = owner->cluster_id,
               .member = owner->member,
               .segments = {},
               .missing = {},
               .free = files->free,
               .contents = WalContents()};
  LogPlayer player(directory);
  absl::Status contradiction;
  const absl::Status scanned = ScanLog(fs, directory, owner->cluster_id, owner->member,
                                       files->segments, [&](const FoundSegment& found) {
                                         dump.segments.push_back(DumpSegment(directory, found));
                                         if (found.next_missing)
                                           dump.missing.push_back(found.sequence + 1);
                                         if (found.unused || !contradiction.ok())
                                           return absl::OkStatus();
                                         contradiction = player.Play(found).status();
                                         return absl::OkStatus();
                                       });
  if (!scanned.ok()) return scanned;
  absl::StatusOr<Replay::Outcome> outcome = player.Finish();
  if (!contradiction.ok()) {
    dump.contents = contradiction;
  } else if (outcome.ok()) {
    dump.contents = std::move(outcome->contents);
  } else {
    dump.contents = outcome.status();
  }
  return dump;
}

}  // namespace

bool WalDump::damaged() const {
  const auto is_damaged = [](const DumpedSegment& segment) {
    const auto is_bad = [](const DumpedRecord& record) { return !record.problem.empty(); };
    return !segment.damages.empty() ||
           std::any_of(segment.records.begin(), segment.records.end(), is_bad);
  };
  return !contents.ok() || contents->lost_through > LogIndex(0) || !missing.empty() ||
         std::any_of(segments.begin(), segments.end(), is_damaged);
}

absl::StatusOr<WalDump> DumpWal(FileSystem& fs, const std::string& directory) {
  absl::StatusOr<WalDump> dump = DumpOnce(fs, directory);
  for (int tries = 1; tries < kTries; ++tries) {
    if (dump.ok() ? !dump->damaged() : !fs.Exists(directory)) break;
    dump = DumpOnce(fs, directory);
  }
  return dump;
}

}  // namespace conclave::raft
