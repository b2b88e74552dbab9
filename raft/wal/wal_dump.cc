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

// How the log stands at a record, as most of them say.
template <typename Content>
void NoteEnd(const Content& content, DumpedRecord& record) {
  record.hard_state = content.hard_state;
  record.last_index = content.last_index;
  record.lost_through = content.lost_through;
}

void Note(Batch batch, DumpedRecord& record) {
  NoteEnd(batch, record);
  record.entries = std::move(batch.entries);
}

void Note(SegmentHeader header, DumpedRecord& record) {
  LogState& start = header.start;
  NoteEnd(start, record);
  record.after_damage = header.after_damage;
  record.start = {start.snapshot_index, start.snapshot_term, std::move(start.configuration)};
}

void Note(Release release, DumpedRecord& record) {
  NoteEnd(release, record);
  record.start = std::move(release.start);
}

void Note(Reset reset, DumpedRecord& record) {
  record.start = std::move(reset.start);
  Note(std::move(reset.batch), record);
}

void Note(const Completion& completion, DumpedRecord& record) {
  record.hard_state = completion.hard_state;
  record.last_index = completion.last_index;
}

DumpedRecord DumpRecord(const Bytes& segment, const SegmentScan::Record& found) {
  DumpedRecord record;
  record.offset = found.offset;
  record.bytes = RecordBytes(found.header.payload_bytes);
  record.type = found.header.type;
  record.durable_before = found.header.write_start;
  absl::StatusOr<RecordContent> content = DecodeRecord(segment, found.offset, found.header);
  if (content.ok()) {
    std::visit([&](auto&& any) { Note(std::move(any), record); }, *std::move(content));
  } else {
    record.problem = std::string(MessageOf(content.status()));
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
