// Damage at rest to the log of a member. The log can tell damage from an unfinished last write only
// where a later record says so; damage that it cannot tell would silently take back what the member
// has promised, and no protocol survives that. So damage keeps to what is vouched for.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/sim/sim_disk.h"
#include "raft/base/coding.h"
#include "raft/wal/record.h"
#include "raft/wal/segment.h"
#include "raft/wal/segment_scan.h"

namespace conclave::sim {
namespace {

constexpr uint64_t kRotBytesMax = 16;

struct Segment {
  std::string path;
  std::string content;
  raft::SegmentScan scan;

  // Everything before it was durable when the last `writes_back` + 1 writes were issued.
  uint64_t VouchedFor(size_t writes_back) const {
    uint64_t end = scan.end;
    for (auto record = scan.records.rbegin(); record != scan.records.rend(); ++record) {
      if (record->header.write_start == end) continue;
      end = record->header.write_start;
      if (writes_back-- == 0) return end;
    }
    return 0;
  }
};

// The segment in the file, if it holds the one that its name says and nothing of it is unsynced.
std::optional<Segment> ReadSegment(const SimDisk& disk, const std::string& path,
                                   uint64_t sequence) {
  if (!disk.IsSynced(path)) return std::nullopt;
  Segment segment{path, disk.Contents(path), {}};
  if (segment.content.size() < raft::kRecordHeaderBytes) return std::nullopt;
  const uint32_t payload_bytes = LoadFixed32(segment.content.data() + 8);
  const auto header = raft::DecodeSegmentHeader(
      std::string_view(segment.content).substr(raft::kRecordHeaderBytes, payload_bytes));
  if (!header.ok() || header->id.sequence != sequence) return std::nullopt;
  segment.scan = raft::ScanSegment(segment.content, raft::SumOf(header->id));
  if (segment.scan.records.empty()) return std::nullopt;
  return segment;
}

std::vector<Segment> ReadSegments(SimDisk& disk, const std::string& log_directory) {
  std::vector<Segment> segments;
  const absl::StatusOr<std::vector<std::string>> names = disk.List(log_directory);
  if (!names.ok()) return segments;
  for (const std::string& name : *names) {
    const std::optional<uint64_t> sequence = raft::SequenceOfSegment(name);
    if (!sequence.has_value()) continue;
    std::optional<Segment> segment = ReadSegment(disk, log_directory + "/" + name, *sequence);
    if (segment.has_value()) segments.push_back(*std::move(segment));
  }
  return segments;
}

}  // namespace

bool SimDisk::MayDamage() const { return atlas_ != nullptr && atlas_->MayDamage(member_); }

bool SimDisk::Rot(const std::string& log_directory, Random& random) {
  if (!MayDamage()) return false;
  std::vector<Segment> segments = ReadSegments(*this, log_directory);
  std::erase_if(segments, [](const Segment& segment) { return segment.VouchedFor(0) == 0; });
  if (segments.empty()) return false;
  const Segment& segment = segments[random.Below(segments.size())];
  const uint64_t vouched = segment.VouchedFor(0);
  const uint64_t size = random.Between(1, std::min(vouched, kRotBytesMax));
  const uint64_t offset = random.Below(vouched - size + 1);
  std::string bytes = segment.content.substr(offset, size);
  for (char& byte : bytes) byte = static_cast<char>(byte ^ (1 << random.Below(8)));
  Damage(segment.path, offset, bytes);
  NoteDamage(segment.path, offset, bytes);
  return true;
}

bool SimDisk::Misdirect(const std::string& log_directory, Random& random) {
  if (!MayDamage()) return false;
  const std::vector<Segment> segments = ReadSegments(*this, log_directory);
  if (segments.empty()) return false;
  const Segment& segment = segments.back();
  constexpr uint64_t kSector = MemoryFileContent::kSectorBytes;
  // The sectors of the write before the last, and where they can land before it: the last one is
  // whole and vouches for both places. Nobody could miss a last write.
  const uint64_t write_start = segment.VouchedFor(1);
  const uint64_t write_end = segment.VouchedFor(0);
  const uint64_t from = write_start / kSector * kSector;
  const std::string sectors = segment.content.substr(from, write_end - from);
  const uint64_t vouched = write_start;
  if (sectors.size() > vouched) return false;
  const uint64_t to = random.Below((vouched - sectors.size()) / kSector + 1) * kSector;
  if (segment.content.compare(to, sectors.size(), sectors) == 0) return false;
  Damage(segment.path, to, sectors);
  // It never reached its own place.
  Damage(segment.path, write_start, std::string(write_end - write_start, '\0'));
  NoteDamage(segment.path, to, sectors);
  return true;
}

}  // namespace conclave::sim
