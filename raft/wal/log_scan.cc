#include "raft/wal/log_scan.h"

#include <fmt/format.h>

#include <utility>

#include "raft/base/coding.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

class LogScanner {
 public:
  LogScanner(FileSystem& fs, const std::string& directory, uint64_t cluster_id, NodeId member,
             const std::vector<uint64_t>& segments)
      : fs_(fs),
        directory_(directory),
        cluster_id_(cluster_id),
        member_(member),
        segments_(segments) {}

  absl::Status Run(absl::FunctionRef<absl::Status(const FoundSegment&)> visit);

 private:
  absl::StatusOr<FoundSegment> Read(uint64_t sequence) const;
  absl::Status CheckOwner(uint64_t sequence, const SegmentHeader& header) const;
  // `next` is null for the last one.
  void Scan(FoundSegment& segment, const FoundSegment* next) const;
  void ScanWithin(FoundSegment& segment, uint64_t end, uint64_t durable) const;
  void ScanLast(FoundSegment& segment, const FoundSegment* unused) const;

  FileSystem& fs_;
  const std::string& directory_;
  const uint64_t cluster_id_;
  const NodeId member_;
  const std::vector<uint64_t>& segments_;
};

absl::Status LogScanner::CheckOwner(uint64_t sequence, const SegmentHeader& header) const {
  const std::string path = SegmentPath(directory_, sequence);
  if (header.id.cluster_id != cluster_id_ || header.id.member != member_) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: the log of member {:x} of cluster {:x}, not of member {:x} of cluster {:x}", path,
        header.id.member.value(), header.id.cluster_id, member_.value(), cluster_id_));
  }
  if (header.version != kWalFormatVersion) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: written in format version {}, known is {}", path, header.version, kWalFormatVersion));
  }
  return absl::OkStatus();
}

absl::StatusOr<FoundSegment> LogScanner::Read(uint64_t sequence) const {
  absl::StatusOr<std::string> content = ReadFile(fs_, SegmentPath(directory_, sequence));
  if (!content.ok()) return content.status();
  FoundSegment segment;
  segment.sequence = sequence;
  segment.content = *std::move(content);
  std::optional<SegmentHeader> header = ReadSegmentHeader(segment.content);
  if (header.has_value()) {
    if (absl::Status status = CheckOwner(sequence, *header); !status.ok()) return status;
    if (header->id.sequence == sequence) segment.header = std::move(header);
  }
  // The oldest one holds something durable for certain: the first is written before it gets its
  // name, and no segment goes before a later one is in use.
  if (segment.header.has_value() || sequence != segments_.back() || sequence == segments_.front() ||
      segment.content.size() < kSegmentBytesMin) {
    return segment;
  }
  ScanWithin(segment, segment.content.size(), 0);
  segment.unused = segment.scan.damages.empty();
  return segment;
}

void LogScanner::ScanWithin(FoundSegment& segment, uint64_t end, uint64_t durable) const {
  const uint32_t id_sum = SumOf({cluster_id_, member_, segment.sequence});
  segment.scan = ScanSegment(std::string_view(segment.content).substr(0, end), id_sum, durable);
}

// The last one that is in use for certain; `unused` is null if no file follows it.
void LogScanner::ScanLast(FoundSegment& segment, const FoundSegment* unused) const {
  const uint64_t made_of =
      segment.header.has_value() ? segment.header->file_bytes : kSegmentBytesMin;
  const bool cut_off = segment.content.size() < made_of;
  uint64_t durable = unused != nullptr || segment.sequence == segments_.front() ? 1 : 0;
  if (cut_off || (unused != nullptr && unused->scan.leftovers)) durable = kAllDurable;
  ScanWithin(segment, segment.content.size(), durable);
  SegmentScan& scan = segment.scan;
  if (!cut_off || scan.end_lost) return;
  // Where records end there are bytes that are none, or there was one where the file ends now.
  if (scan.end > 0 && scan.end + kRecordHeaderBytes <= segment.content.size()) return;
  scan.damages.push_back({scan.end, scan.end, 0});
  scan.end_lost = true;
}

void LogScanner::Scan(FoundSegment& segment, const FoundSegment* next) const {
  if (segment.unused) return;
  segment.next_missing = next != nullptr && next->sequence != segment.sequence + 1;
  if (next == nullptr || (next->unused && !segment.next_missing)) {
    ScanLast(segment, next);
  } else if (next->header.has_value() && !segment.next_missing) {
    ScanWithin(segment, next->header->previous_end, next->header->previous_end);
  } else {
    ScanWithin(segment, segment.content.size(), kAllDurable);
  }
}

absl::Status LogScanner::Run(absl::FunctionRef<absl::Status(const FoundSegment&)> visit) {
  std::optional<FoundSegment> segment;
  for (const uint64_t sequence : segments_) {
    absl::StatusOr<FoundSegment> next = Read(sequence);
    if (!next.ok()) return next.status();
    if (segment.has_value()) {
      Scan(*segment, &*next);
      if (absl::Status status = visit(*segment); !status.ok()) return status;
    }
    segment = *std::move(next);
  }
  if (!segment.has_value()) return absl::OkStatus();
  Scan(*segment, nullptr);
  return visit(*segment);
}

}  // namespace

absl::StatusOr<LogFiles> ListLogFiles(FileSystem& fs, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = fs.List(directory);
  if (!names.ok()) return names.status();
  LogFiles files;
  for (const std::string& name : *names) {
    if (const auto sequence = SequenceOfSegment(name)) files.segments.push_back(*sequence);
    if (const auto sequence = SequenceOfFree(name)) files.free.push_back(*sequence);
    if (IsUnfinishedSegment(name)) files.unfinished.push_back(name);
  }
  if (files.segments.empty()) return absl::NotFoundError(directory + ": holds no log");
  return files;
}

absl::Status ScanLog(FileSystem& fs, const std::string& directory, uint64_t cluster_id,
                     NodeId member, const std::vector<uint64_t>& segments,
                     absl::FunctionRef<absl::Status(const FoundSegment&)> visit) {
  return LogScanner(fs, directory, cluster_id, member, segments).Run(visit);
}

std::optional<SegmentHeader> ReadSegmentHeader(std::string_view segment) {
  if (segment.size() < kRecordHeaderBytes) return std::nullopt;
  const uint64_t payload_bytes = LoadFixed32(segment.data() + 8);
  const std::string_view payload = segment.substr(kRecordHeaderBytes, payload_bytes);
  absl::StatusOr<SegmentHeader> claimed = DecodeSegmentHeader(payload);
  if (!claimed.ok()) return std::nullopt;
  const std::optional<RecordHeader> header = ReadRecordHeader(segment, 0, SumOf(claimed->id));
  if (!header.has_value() || header->type != RecordType::kSegmentHeader ||
      !ReadRecordPayload(segment, 0, *header).has_value()) {
    return std::nullopt;
  }
  return *std::move(claimed);
}

std::string DescribeDamage(const std::string& directory, const FoundSegment& segment,
                           const SegmentScan::Damage& damage) {
  std::string how = "what follows in the log was written after it was durable";
  if (damage.witness > 0) {
    how = fmt::format("the record at {} was written after it was durable", damage.witness);
  } else if (segment.header.has_value() && segment.content.size() < segment.header->file_bytes) {
    how = fmt::format("the file has {} bytes and was made of {}", segment.content.size(),
                      segment.header->file_bytes);
  }
  return fmt::format("{}: damaged at offset {}: {}{}", SegmentPath(directory, segment.sequence),
                     damage.offset, damage.offset == 0 ? "no header of this segment; " : "", how);
}

std::string DescribeMissing(const std::string& directory, uint64_t sequence) {
  return SegmentPath(directory, sequence) + ": missing";
}

}  // namespace conclave::raft
