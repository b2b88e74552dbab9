#include "raft/wal/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "raft/base/coding.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"
#include "raft/wal/replay.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

constexpr size_t kFreeFilesMax = 2;

uint64_t EndOfUse(std::string_view segment) {
  const size_t last = segment.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

// The segment header at the front, right by the identity that it names itself; nothing if there is
// none. It may be that of an earlier life of the file, or somebody else's.
std::optional<SegmentHeader> ReadSegmentHeader(std::string_view segment) {
  if (segment.size() < kRecordHeaderBytes) return std::nullopt;
  const uint64_t payload_bytes = LoadFixed32(segment.data() + 8);
  const std::string_view payload = segment.substr(kRecordHeaderBytes, payload_bytes);
  const absl::StatusOr<SegmentHeader> claimed = DecodeSegmentHeader(payload);
  if (!claimed.ok()) return std::nullopt;
  const std::optional<RecordHeader> header = ReadRecordHeader(segment, 0, SumOf(claimed->id));
  if (!header.has_value() || header->type != RecordType::kSegmentHeader ||
      !ReadRecordPayload(segment, 0, *header).has_value()) {
    return std::nullopt;
  }
  return *claimed;
}

class LogReader {
 public:
  LogReader(FileSystem& fs, const WalOptions& options) : fs_(fs), options_(options) {}

  absl::StatusOr<RecoveredLog> Run();

 private:
  absl::Status ListFiles();
  // Reads and plays one segment, if the file holds one.
  absl::Status PlaySegment(uint64_t sequence);
  // False if it holds none: it was made ready and never used for certain. The next segment's file
  // takes its place.
  absl::StatusOr<bool> CheckHeader(uint64_t sequence, const std::string& content,
                                   const std::optional<SegmentHeader>& header);
  absl::Status CheckPreviousEnd(const SegmentHeader& header) const;
  absl::Status PlayRecords(uint64_t sequence, const std::string& content);
  absl::Status PlayRecord(const Bytes& content, const SegmentScan::Record& record,
                          LogIndex& last_index);
  absl::Status CheckTail() const;
  absl::Status CutTail();
  absl::Status RemoveSpareFiles();

  std::string PathOf(uint64_t sequence) const { return SegmentPath(options_.directory, sequence); }
  absl::Status Damage(uint64_t sequence, uint64_t offset, std::string_view how) const {
    SIM_REACHED("wal.damage_refused");
    return absl::DataLossError(
        fmt::format("{}: damaged at offset {}: {}", PathOf(sequence), offset, how));
  }

  FileSystem& fs_;
  const WalOptions& options_;
  std::vector<uint64_t> sequences_;
  std::vector<uint64_t> spare_;  // free files too many, in names
  Replay replay_;
  SegmentHeader last_header_;  // of the segment played last
  SegmentScan last_scan_;      // likewise
  RecoveredLog log_;
};

absl::Status LogReader::ListFiles() {
  absl::StatusOr<std::vector<std::string>> names = fs_.List(options_.directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (const std::optional<uint64_t> sequence = SequenceOfSegment(name); sequence.has_value()) {
      if (!sequences_.empty() && *sequence != sequences_.back() + 1) {
        return absl::DataLossError(
            fmt::format("{}: missing, but {} is there", PathOf(sequences_.back() + 1), name));
      }
      sequences_.push_back(*sequence);
    }
    if (const std::optional<uint64_t> sequence = SequenceOfFree(name); sequence.has_value()) {
      (log_.free_files.size() < kFreeFilesMax ? log_.free_files : spare_).push_back(*sequence);
    }
  }
  if (sequences_.empty()) return absl::NotFoundError(options_.directory + ": holds no log");
  return absl::OkStatus();
}

absl::StatusOr<bool> LogReader::CheckHeader(uint64_t sequence, const std::string& content,
                                            const std::optional<SegmentHeader>& header) {
  const SegmentId id{options_.cluster_id, options_.member, sequence};
  if (header.has_value() &&
      (header->id.cluster_id != id.cluster_id || header->id.member != id.member)) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: the log of member {:x} of cluster {:x}, not of member {:x} of cluster {:x}",
        PathOf(sequence), header->id.member.value(), header->id.cluster_id, id.member.value(),
        id.cluster_id));
  }
  if (header.has_value() && header->version != kWalFormatVersion) {
    return absl::FailedPreconditionError(
        fmt::format("{}: written in format version {}, known is {}", PathOf(sequence),
                    header->version, kWalFormatVersion));
  }
  if (header.has_value() && header->id == id) return true;
  // Only the last file may be without a header, and not if it is the only one: the first is written
  // before it gets its name.
  if (sequence != sequences_.back() || sequences_.size() == 1) {
    return Damage(sequence, 0, "no header of this segment");
  }
  SIM_REACHED("wal.last_segment_unused");
  const SegmentScan scan = ScanSegment(content, SumOf(id));
  if (scan.damaged) {
    return Damage(
        sequence, 0,
        fmt::format("no header, but the record at {} was written after it", scan.witness));
  }
  log_.contents.torn_tail = scan.leftovers;
  return false;
}

// The segment played before must end where this one, written after it was durable, says that it
// does.
absl::Status LogReader::CheckPreviousEnd(const SegmentHeader& header) const {
  if (log_.segments.empty() || last_scan_.end == header.previous_end) return absl::OkStatus();
  return Damage(log_.segments.back().sequence, last_scan_.end,
                fmt::format("its records should end at {}", header.previous_end));
}

absl::Status LogReader::PlayRecord(const Bytes& content, const SegmentScan::Record& record,
                                   LogIndex& last_index) {
  const uint64_t payload_at = record.offset + kRecordHeaderBytes;
  switch (record.header.type) {
    case RecordType::kSegmentHeader:
      return record.offset == 0 ? replay_.BeginSegment(last_header_.start)
                                : absl::DataLossError("a second segment header");
    case RecordType::kBatch: {
      absl::StatusOr<Batch> batch = DecodeBatch(content, payload_at, record.header.payload_bytes);
      if (!batch.ok()) return batch.status();
      if (!batch->entries.empty()) last_index = std::max(last_index, batch->entries.back().index);
      return replay_.Add(*std::move(batch));
    }
    case RecordType::kRelease: {
      absl::StatusOr<LogStart> release =
          DecodeRelease(content.view().substr(payload_at, record.header.payload_bytes));
      return release.ok() ? replay_.Add(*std::move(release)) : release.status();
    }
  }
  return absl::DataLossError("a record of an unknown type");
}

absl::Status LogReader::PlayRecords(uint64_t sequence, const std::string& content) {
  const SegmentId id{options_.cluster_id, options_.member, sequence};
  last_scan_ = ScanSegment(content, SumOf(id));
  // One allocation for all entries of the segment; what follows the records is not kept.
  const Bytes kept = Bytes::Copy(std::string_view(content).substr(0, last_scan_.end));
  LogIndex last_index;
  for (const SegmentScan::Record& record : last_scan_.records) {
    if (absl::Status status = PlayRecord(kept, record, last_index); !status.ok()) {
      return Damage(sequence, record.offset, MessageOf(status));
    }
  }
  log_.segments.push_back({sequence, last_index});
  return absl::OkStatus();
}

absl::Status LogReader::PlaySegment(uint64_t sequence) {
  absl::StatusOr<std::string> content = ReadFile(fs_, PathOf(sequence));
  if (!content.ok()) return content.status();
  const std::optional<SegmentHeader> header = ReadSegmentHeader(*content);
  absl::StatusOr<bool> headed = CheckHeader(sequence, *content, header);
  if (!headed.ok() || !*headed) return headed.status();
  if (absl::Status status = CheckPreviousEnd(*header); !status.ok()) return status;
  last_header_ = *header;
  return PlayRecords(sequence, *content);
}

absl::Status LogReader::CheckTail() const {
  if (!last_scan_.damaged || SEEDED_BUG(kDamageTakenForTornTail)) return absl::OkStatus();
  return Damage(
      log_.segments.back().sequence, last_scan_.end,
      fmt::format("the record at {} was written after it was durable", last_scan_.witness));
}

// Old bytes after the end go, durably, before anything new is written there: records of the
// unfinished write that did reach the disk would otherwise count again once new ones have filled
// the place before them. (In a recycled file most of them are records of its earlier life, which
// could not count; they are not told apart.)
absl::Status LogReader::CutTail() {
  const std::string path = PathOf(log_.segments.back().sequence);
  absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(path, OpenMode::kMustExist);
  if (!file.ok()) return file.status();
  if (last_scan_.leftovers) {
    SIM_REACHED("wal.torn_tail_cut");
    log_.contents.torn_tail = true;
  }
  if (last_scan_.used > last_scan_.end) {
    absl::Status status = ZeroAndSync(**file, last_scan_.end, last_scan_.used);
    if (!status.ok()) return status;
  }
  if (absl::Status status = (*file)->Sync(); !status.ok()) return status;
  log_.file = *std::move(file);
  log_.end = last_scan_.end;
  return absl::OkStatus();
}

absl::Status LogReader::RemoveSpareFiles() {
  for (const uint64_t sequence : spare_) {
    const absl::Status status = fs_.Remove(FreePath(options_.directory, sequence));
    if (!status.ok()) return status;
  }
  return fs_.SyncDirectory(options_.directory);
}

absl::StatusOr<RecoveredLog> LogReader::Run() {
  if (absl::Status status = ListFiles(); !status.ok()) return status;
  for (const uint64_t sequence : sequences_) {
    if (absl::Status status = PlaySegment(sequence); !status.ok()) return status;
  }
  if (log_.segments.size() > 1) SIM_REACHED("wal.recovered_across_segments");
  if (absl::Status status = CheckTail(); !status.ok()) return status;
  log_.state = replay_.state();
  absl::StatusOr<WalContents> contents = replay_.Finish();
  if (!contents.ok()) {
    return absl::DataLossError(
        fmt::format("{}: {}", options_.directory, MessageOf(contents.status())));
  }
  contents->torn_tail = log_.contents.torn_tail;
  log_.contents = *std::move(contents);
  if (absl::Status status = CutTail(); !status.ok()) return status;
  if (absl::Status status = RemoveSpareFiles(); !status.ok()) return status;
  return std::move(log_);
}

}  // namespace

SegmentScan ScanSegment(std::string_view segment, uint32_t id_sum) {
  SegmentScan scan;
  scan.used = EndOfUse(segment);
  std::optional<RecordHeader> header;
  while ((header = ReadRecordHeader(segment, scan.end, id_sum)).has_value() &&
         ReadRecordPayload(segment, scan.end, *header).has_value()) {
    scan.records.push_back({scan.end, *header});
    scan.end += RecordBytes(header->payload_bytes);
  }
  // A whole header is witness enough, whatever became of its payload.
  scan.leftovers = header.has_value();
  for (uint64_t at = scan.end + kRecordAlignment; at < scan.used; at += kRecordAlignment) {
    header = ReadRecordHeader(segment, at, id_sum);
    if (!header.has_value()) continue;
    scan.leftovers = true;
    if (header->write_start <= scan.end) continue;
    scan.damaged = true;
    scan.witness = at;
    break;
  }
  return scan;
}

absl::StatusOr<RecoveredLog> RecoverLog(FileSystem& fs, const WalOptions& options) {
  return LogReader(fs, options).Run();
}

}  // namespace conclave::raft
