#include "raft/wal/segment_scan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "raft/base/seeded_bug.h"

namespace conclave::raft {
namespace {

// A whole record header that does not follow a whole record.
struct Stray {
  uint64_t offset = 0;
  RecordHeader header;
  uint64_t latest_start = 0;  // the last write start of this one and those after it
};

class Scanner {
 public:
  Scanner(std::string_view segment, uint32_t id_sum, uint64_t durable)
      : segment_(segment), id_sum_(id_sum), durable_(durable) {
    // Most of a last segment is zeros: they go by blocks.
    static constexpr std::array<char, 4096> kZeros{};
    const std::string_view zeros(kZeros.data(), kZeros.size());
    while (segment.ends_with(zeros)) segment.remove_suffix(zeros.size());
    scan_.used = segment.find_last_not_of('\0') + 1;  // npos + 1 is 0
  }

  SegmentScan Run() {
    do {
      TakeRecords();
    } while (SkipDamage());
    return std::move(scan_);
  }

 private:
  void TakeRecords() {
    std::optional<RecordHeader> header;
    while ((header = ReadRecordHeader(segment_, scan_.end, id_sum_)).has_value() &&
           ReadRecordPayload(segment_, scan_.end, *header).has_value()) {
      scan_.records.push_back({scan_.end, *header});
      scan_.end += RecordBytes(header->payload_bytes);
    }
  }

  // False if nothing whole follows.
  bool SkipDamage() {
    const std::optional<RecordHeader> header = ReadRecordHeader(segment_, scan_.end, id_sum_);
    // A whole header tells where the next record is; what looks like one before is payload.
    const uint64_t next =
        scan_.end + (header.has_value() ? RecordBytes(header->payload_bytes) : kRecordAlignment);
    FindStrays(next);
    auto stray = std::find_if(strays_.begin() + static_cast<ptrdiff_t>(passed_), strays_.end(),
                              [next](const Stray& candidate) { return candidate.offset >= next; });
    // A whole header is witness enough, whatever became of its payload.
    const bool leftovers = header.has_value() || stray != strays_.end();
    const bool vouched_for = stray != strays_.end() && stray->latest_start > scan_.end &&
                             !SEEDED_BUG(kDamageTakenForTornTail);
    if (!vouched_for && !(durable_ == kAllDurable ? leftovers : durable_ > scan_.end)) {
      scan_.leftovers = leftovers;
      return false;
    }
    SegmentScan::Damage& damage = scan_.damages.emplace_back();
    damage.offset = damage.end = scan_.end;
    for (auto it = stray; vouched_for && damage.witness == 0; ++it) {
      if (it->header.write_start > scan_.end) damage.witness = it->offset;
    }
    while (stray != strays_.end() &&
           !ReadRecordPayload(segment_, stray->offset, stray->header).has_value()) {
      ++stray;
    }
    passed_ = static_cast<size_t>(stray - strays_.begin());
    scan_.end_lost = stray == strays_.end();
    if (scan_.end_lost) return false;
    scan_.end = damage.end = stray->offset;
    return true;
  }

  // All from `from` on, at the first damage.
  void FindStrays(uint64_t from) {
    if (searched_) return;
    searched_ = true;
    for (uint64_t at = from; at < scan_.used; at += kRecordAlignment) {
      const std::optional<RecordHeader> header = ReadRecordHeader(segment_, at, id_sum_);
      if (header.has_value()) strays_.push_back({at, *header, header->write_start});
    }
    for (size_t i = strays_.size(); i-- > 1;) {
      strays_[i - 1].latest_start = std::max(strays_[i - 1].latest_start, strays_[i].latest_start);
    }
  }

  const std::string_view segment_;
  const uint32_t id_sum_;
  const uint64_t durable_;
  bool searched_ = false;
  std::vector<Stray> strays_;
  size_t passed_ = 0;  // of them
  SegmentScan scan_;
};

}  // namespace

SegmentScan ScanSegment(std::string_view segment, uint32_t id_sum, uint64_t durable) {
  return Scanner(segment, id_sum, durable).Run();
}

}  // namespace conclave::raft
