#include "raft/wal/wal.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/wal/record.h"
#include "raft/wal/recovery.h"
#include "raft/wal/reserve.h"
#include "raft/wal/segment.h"
#include "raft/wal/segmented_wal.h"

namespace conclave::raft {

bool Wal::Exists(FileSystem& fs, const WalOptions& options) {
  const absl::StatusOr<std::vector<std::string>> names = fs.List(options.directory);
  return names.ok() && std::any_of(names->begin(), names->end(), [](const std::string& name) {
           return SequenceOfSegment(name).has_value();
         });
}

absl::Status Wal::Create(FileSystem& fs, const WalOptions& options, const Configuration& initial) {
  CHECK(options.segment_bytes >= kSegmentBytesMin);
  if (absl::Status status = fs.CreateDirectory(options.directory); !status.ok()) return status;
  if (Exists(fs, options)) return absl::AlreadyExistsError(options.directory + ": holds a log");

  if (options.reserve_bytes > 0) {
    const absl::Status status = KeepReserve(fs, options.directory, options.reserve_bytes);
    if (!status.ok()) return status;
  }
  SegmentHeader header;
  header.id = {options.cluster_id, options.member, 1};
  header.file_bytes = options.segment_bytes;
  header.start.configuration = initial;
  std::string bytes;
  RecordWriter writer(bytes);
  EncodeSegmentHeader(header, bytes);
  writer.Finish(RecordType::kSegmentHeader, SumOf(header.id), 0, 0);

  // The file gets its name when it is complete: a crash before leaves no log, and a log never lacks
  // its first header.
  const std::string path = SegmentPath(options.directory, header.id.sequence);
  const std::string temporary = path + ".tmp";
  {
    absl::StatusOr<std::unique_ptr<File>> file = fs.Open(temporary, OpenMode::kCreateOrKeep);
    if (!file.ok()) return file.status();
    absl::Status status = (*file)->Truncate(0);
    if (status.ok()) status = ZeroAndSync(**file, 0, options.segment_bytes);
    if (status.ok()) status = (*file)->WriteAt(0, bytes);
    if (status.ok()) status = (*file)->Sync();
    if (!status.ok()) return status;
  }
  if (absl::Status status = fs.Rename(temporary, path); !status.ok()) return status;
  return fs.SyncDirectory(options.directory);
}

absl::StatusOr<Wal::Opened> Wal::Open(FileSystem& fs, const WalOptions& options, Executor* lane) {
  CHECK(options.segment_bytes >= kSegmentBytesMin);
  absl::StatusOr<RecoveredLog> recovered = RecoverLog(fs, options);
  if (!recovered.ok()) return recovered.status();
  Opened opened;
  opened.contents = std::move(recovered->contents);
  opened.wal = std::make_unique<SegmentedWal>(fs, options, lane, *std::move(recovered));
  return opened;
}

}  // namespace conclave::raft
