#include "raft/wal/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/text.h"
#include "raft/wal/log_scan.h"
#include "raft/wal/replay.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

constexpr size_t kFreeFilesMax = 2;

class LogReader {
 public:
  LogReader(FileSystem& fs, const WalOptions& options) : fs_(fs), options_(options) {}

  absl::StatusOr<RecoveredLog> Run();

 private:
  absl::Status Play(const FoundSegment& segment);
  // Adds the greatest index of its entries to `last_index`.
  absl::Status PlayRecord(const Bytes& content, const SegmentScan::Record& record,
                          LogIndex& last_index);
  absl::Status PlayBatch(absl::StatusOr<Batch> batch, LogIndex& last_index);
  absl::Status PlayHeader(std::string_view payload);
  void Lose(std::string what);
  absl::Status Finish();
  absl::Status CutTail();
  absl::Status RemoveSpareFiles();

  FileSystem& fs_;
  const WalOptions& options_;
  LogFiles files_;
  Replay replay_;
  std::string damage_;                 // the first, since the log last went on after some
  uint64_t other_damages_ = 0;         // likewise
  uint64_t used_ = 0;                  // of the last segment in use
  std::optional<uint64_t> torn_file_;  // a last one that holds only an unfinished write
  RecoveredLog log_;
};

void LogReader::Lose(std::string what) {
  replay_.Lose();
  if (damage_.empty()) {
    damage_ = std::move(what);
  } else {
    ++other_damages_;
  }
}

absl::Status LogReader::PlayHeader(std::string_view payload) {
  const absl::StatusOr<SegmentHeader> header = DecodeSegmentHeader(payload);
  if (!header.ok()) return header.status();
  if (header->after_damage) {
    SIM_REACHED("wal.went_on_after_damage");
    damage_.clear();
    other_damages_ = 0;
  }
  return replay_.Add(*header);
}

absl::Status LogReader::PlayBatch(absl::StatusOr<Batch> batch, LogIndex& last_index) {
  if (!batch.ok()) return batch.status();
  if (!batch->entries.empty()) last_index = std::max(last_index, batch->last_index);
  return replay_.Add(*std::move(batch));
}

absl::Status LogReader::PlayRecord(const Bytes& content, const SegmentScan::Record& record,
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

absl::Status LogReader::Play(const FoundSegment& segment) {
  const SegmentScan& scan = segment.scan;
  if (segment.unused) {
    SIM_REACHED("wal.last_segment_unused");
    if (scan.leftovers) torn_file_ = segment.sequence;
    return absl::OkStatus();
  }
  // One allocation for all entries of the segment; what follows the records is not kept.
  const Bytes kept = Bytes::Copy(std::string_view(segment.content).substr(0, scan.end));
  LogIndex last_index;
  auto damage = scan.damages.begin();
  for (const SegmentScan::Record& record : scan.records) {
    if (damage != scan.damages.end() && damage->offset < record.offset) {
      Lose(DescribeDamage(options_.directory, segment, *damage++));
    }
    if (absl::Status status = PlayRecord(kept, record, last_index); !status.ok()) {
      return absl::DataLossError(fmt::format("{}: damaged at offset {}: {}",
                                             SegmentPath(options_.directory, segment.sequence),
                                             record.offset, MessageOf(status)));
    }
  }
  if (damage != scan.damages.end()) Lose(DescribeDamage(options_.directory, segment, *damage));
  if (segment.next_missing) Lose(DescribeMissing(options_.directory, segment.sequence + 1));
  log_.segments.push_back({segment.sequence, last_index});
  log_.end = scan.end;
  log_.contents.torn_tail = scan.leftovers;
  used_ = scan.used;
  return absl::OkStatus();
}

absl::Status LogReader::Finish() {
  absl::StatusOr<Replay::Outcome> outcome = replay_.Finish();
  const std::string others =
      other_damages_ == 0 ? "" : fmt::format(" (and {} more)", other_damages_);
  if (!outcome.ok()) {
    SIM_REACHED("wal.damage_refused");
    return absl::DataLossError(
        fmt::format("{}{}: {}", damage_, others, MessageOf(outcome.status())));
  }
  const bool torn_tail = log_.contents.torn_tail || torn_file_.has_value();
  log_.contents = std::move(outcome->contents);
  log_.contents.torn_tail = torn_tail;
  log_.state = std::move(outcome->state);
  log_.after_damage = outcome->after_damage;
  if (!damage_.empty() && !log_.after_damage) SIM_REACHED("wal.damage_took_nothing");
  if (log_.after_damage) {
    SIM_REACHED("wal.damage_took_entries");
    if (damage_.empty()) damage_ = options_.directory + ": the oldest segments are missing";
  } else if (damage_.empty() && log_.contents.lost_through > LogIndex(0)) {
    damage_ = options_.directory + ": entries that were lost earlier are not filled up yet";
  }
  log_.contents.damage = damage_ + others;
  return absl::OkStatus();
}

// Old bytes after the end go, durably, before anything new is written there: records of the
// unfinished write that did reach the disk would otherwise count again once new ones have filled
// the place before them. (In a recycled file most of them are records of its earlier life, which
// could not count; they are not told apart.)
absl::Status LogReader::CutTail() {
  const std::string path = SegmentPath(options_.directory, log_.segments.back().sequence);
  absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(path, OpenMode::kMustExist);
  if (!file.ok()) return file.status();
  if (log_.contents.torn_tail) SIM_REACHED("wal.torn_tail_cut");
  if (used_ > log_.end) {
    absl::Status status = ZeroAndSync(**file, log_.end, used_);
    if (!status.ok()) return status;
  }
  if (absl::Status status = (*file)->Sync(); !status.ok()) return status;
  log_.file = *std::move(file);
  if (!torn_file_.has_value()) return absl::OkStatus();
  // It would vouch for what is written before it now.
  return fs_.Remove(SegmentPath(options_.directory, *torn_file_));
}

absl::Status LogReader::RemoveSpareFiles() {
  std::vector<uint64_t>& free = files_.free;
  for (; free.size() > kFreeFilesMax; free.pop_back()) {
    const absl::Status status = fs_.Remove(FreePath(options_.directory, free.back()));
    if (!status.ok()) return status;
  }
  log_.free_files = std::move(free);
  return fs_.SyncDirectory(options_.directory);
}

absl::StatusOr<RecoveredLog> LogReader::Run() {
  absl::StatusOr<LogFiles> files = ListLogFiles(fs_, options_.directory);
  if (!files.ok()) return files.status();
  files_ = *std::move(files);
  absl::Status status =
      ScanLog(fs_, options_.directory, options_.cluster_id, options_.member, files_.segments,
              [this](const FoundSegment& segment) { return Play(segment); });
  if (status.ok()) status = Finish();
  if (!status.ok()) return status;
  if (log_.segments.size() > 1) SIM_REACHED("wal.recovered_across_segments");
  if (status = CutTail(); !status.ok()) return status;
  if (status = RemoveSpareFiles(); !status.ok()) return status;
  return std::move(log_);
}

}  // namespace

absl::StatusOr<RecoveredLog> RecoverLog(FileSystem& fs, const WalOptions& options) {
  return LogReader(fs, options).Run();
}

}  // namespace conclave::raft
