#include "raft/wal/log_player.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/text.h"
#include "raft/wal/segment.h"

namespace conclave::raft {

void LogPlayer::Lose(std::string what) {
  replay_.Lose();
  if (damage_.empty()) {
    damage_ = std::move(what);
  } else {
    ++other_damages_;
  }
}

absl::Status LogPlayer::PlayHeader(const SegmentHeader& header) {
  if (header.after_damage) {
    SIM_REACHED("wal.went_on_after_damage");
    damage_.clear();
    other_damages_ = 0;
  }
  return replay_.Add(header);
}

absl::Status LogPlayer::PlayRecord(const Bytes& segment, const SegmentScan::Record& record,
                                   LogIndex& last_index) {
  absl::StatusOr<RecordContent> content = DecodeRecord(segment, record.offset, record.header);
  if (!content.ok()) return content.status();
  if (const auto* header = std::get_if<SegmentHeader>(&*content)) {
    return record.offset == 0 ? PlayHeader(*header)
                              : absl::DataLossError("a second segment header");
  }
  if (const auto* reset = std::get_if<Reset>(&*content)) {
    last_index = std::max(last_index, reset->batch.last_index);
  }
  const auto* batch = std::get_if<Batch>(&*content);
  if (batch != nullptr && !batch->entries.empty()) {
    last_index = std::max(last_index, batch->last_index);
  }
  return std::visit([&](auto&& any) { return replay_.Add(std::move(any)); }, *std::move(content));
}

absl::StatusOr<LogIndex> LogPlayer::Play(const FoundSegment& segment) {
  const SegmentScan& scan = segment.scan;
  // One allocation for all entries of the segment; what follows the records is not kept.
  const Bytes kept = Bytes::Copy(std::string_view(segment.content).substr(0, scan.end));
  LogIndex last_index;
  auto damage = scan.damages.begin();
  for (const SegmentScan::Record& record : scan.records) {
    if (damage != scan.damages.end() && damage->offset < record.offset) {
      Lose(DescribeDamage(directory_, segment, *damage++));
    }
    if (absl::Status status = PlayRecord(kept, record, last_index); !status.ok()) {
      return absl::DataLossError(fmt::format("{}: damaged at offset {}: {}",
                                             SegmentPath(directory_, segment.sequence),
                                             record.offset, MessageOf(status)));
    }
  }
  if (damage != scan.damages.end()) Lose(DescribeDamage(directory_, segment, *damage));
  if (segment.next_missing) Lose(DescribeMissing(directory_, segment.sequence + 1));
  return last_index;
}

absl::StatusOr<Replay::Outcome> LogPlayer::Finish() {
  absl::StatusOr<Replay::Outcome> outcome = replay_.Finish();
  const std::string others =
      other_damages_ == 0 ? "" : fmt::format(" (and {} more)", other_damages_);
  if (!outcome.ok()) {
    return absl::DataLossError(
        fmt::format("{}{}: {}", damage_, others, MessageOf(outcome.status())));
  }
  if (damage_.empty() && outcome->after_damage) {
    damage_ = directory_ + ": the oldest segments are missing";
  } else if (damage_.empty() && outcome->state.lost_through > LogIndex(0)) {
    damage_ = directory_ + ": entries that were lost earlier are not filled up yet";
  } else if (!damage_.empty() && !outcome->after_damage) {
    SIM_REACHED("wal.damage_took_nothing");
  }
  outcome->contents.damage = damage_ + others;
  return outcome;
}

}  // namespace conclave::raft
