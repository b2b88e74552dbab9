#include "raft/wal/recovery.h"

#include <optional>
#include <string>
#include <utility>

#include "raft/base/probe.h"
#include "raft/wal/log_player.h"
#include "raft/wal/log_scan.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

class LogReader {
 public:
  LogReader(FileSystem& fs, const WalOptions& options)
      : fs_(fs), options_(options), player_(options.directory) {}

  absl::StatusOr<RecoveredLog> Run();

 private:
  absl::Status Play(const FoundSegment& segment);
  absl::Status Finish();
  absl::Status CutTail();
  absl::Status RemoveSpareFiles();

  FileSystem& fs_;
  const WalOptions& options_;
  LogFiles files_;
  LogPlayer player_;
  uint64_t used_ = 0;                  // of the last segment in use
  std::optional<uint64_t> torn_file_;  // a last one that holds only an unfinished write
  RecoveredLog log_;
};

absl::Status LogReader::Play(const FoundSegment& segment) {
  if (segment.unused) {
    SIM_REACHED("wal.last_segment_unused");
    if (segment.scan.leftovers) torn_file_ = segment.sequence;
    return absl::OkStatus();
  }
  absl::StatusOr<LogIndex> last_index = player_.Play(segment);
  if (!last_index.ok()) return last_index.status();
  log_.segments.push_back({segment.sequence, *last_index});
  log_.end = segment.scan.end;
  log_.contents.torn_tail = segment.scan.leftovers;
  used_ = segment.scan.used;
  return absl::OkStatus();
}

absl::Status LogReader::Finish() {
  absl::StatusOr<Replay::Outcome> outcome = player_.Finish();
  if (!outcome.ok()) {
    SIM_REACHED("wal.damage_refused");
    return outcome.status();
  }
  if (outcome->after_damage) SIM_REACHED("wal.damage_took_entries");
  const bool torn_tail = log_.contents.torn_tail || torn_file_.has_value();
  log_.contents = std::move(outcome->contents);
  log_.contents.torn_tail = torn_tail;
  log_.state = std::move(outcome->state);
  log_.after_damage = outcome->after_damage;
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
  for (const std::string& name : files_.unfinished) {
    const absl::Status status = fs_.Remove(options_.directory + "/" + name);
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
