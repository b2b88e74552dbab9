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

absl::Status LogPlayer::PlayHeader(std::string_view payload) {
  const absl::StatusOr<SegmentHeader> header = DecodeSegmentHeader(payload);
  if (!header.ok()) return header.status();
  if (header->after_damage) {
    SIM_REACHED("wal.went_on_after_damage");
    damage_.clear();
    other_damages_ = 0;
  }
  return replay_.Add(*header);
}

absl::Status LogPlayer::PlayBatch(absl::StatusOr<Batch> batch, LogIndex& last_index) {
  if (!batch.ok()) return batch.status();
  if (!batch->entries.empty()) last_index = std::max(last_index, batch->last_index);
  return replay_.Add(*std::move(batch));
}

absl::Status LogPlayer::PlayRecord(const Bytes& content, const SegmentScan::Record& record,
                                   LogIndex& last_index) {
  const uint64_t at = record.offset + kRecordHeaderBytes;
  const uint64_t size = record.header.payload_bytes;
  const std::string_view payload = content.view().substr(at, size);
  switch (record.header.type) {
    case RecordType::kSegmentHeader:
      return record.offset == 0 ? PlayHeader(payload)
                                : absl::DataLossError("a second segment header");
    case RecordType::kBatch:
      return PlayBatch(DecodeBatch(content, at, size), last_index);
    case RecordType::kLossyBatch:
      return PlayBatch(DecodeLossyBatch(content, at, size), last_index);
    case RecordType::kRelease: {
      absl::StatusOr<Release> release = DecodeRelease(payload);
      return release.ok() ? replay_.Add(*std::move(release)) : release.status();
    }
    case RecordType::kReset: {
      absl::StatusOr<Reset> reset = DecodeReset(content, at, size);
      if (!reset.ok()) return reset.status();
      last_index = std::max(last_index, reset->batch.last_index);
      return replay_.Add(*std::move(reset));
    }
    case RecordType::kComplete: {
      const absl::StatusOr<Completion> completion = DecodeCompletion(payload);
      return completion.ok() ? replay_.Add(*completion) : completion.status();
    }
  }
  return absl::DataLossError("a record of an unknown type");
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
