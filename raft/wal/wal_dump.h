// A log as somebody who has to look into it wants to see it: every segment and record, what is
// damaged, and what a member would make of it. For the program conclave-wal and its tests. Reads
// only and takes no lock, so that it may look at the log of a running member.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/file_system.h"
#include "raft/wal/record.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

struct DumpedRecord {
  uint64_t offset = 0;
  uint64_t bytes = 0;  // with header and padding
  RecordType type = RecordType::kBatch;
  uint64_t durable_before = 0;  // RecordHeader::write_start
  HardState hard_state;
  LogIndex last_index;  // of the log after it
  LogIndex lost_through;
  bool after_damage = false;
  std::vector<Entry> entries;
  std::optional<LogStart> start;  // of a segment header, release or reset
  std::string problem;            // its sums are right, but not what is in it; else empty
};

struct DumpedDamage {
  uint64_t offset = 0;
  uint64_t end = 0;  // where the next whole record is; `offset` if there is none
  std::string words;
};

struct DumpedSegment {
  uint64_t sequence = 0;
  uint64_t file_bytes = 0;
  uint64_t end = 0;         // of its records
  bool unused = false;      // made ready, without a record
  bool unfinished = false;  // pieces of an unfinished write follow its records
  std::vector<DumpedRecord> records;
  std::vector<DumpedDamage> damages;
};

struct WalDump {
  std::string directory;
  uint64_t cluster_id = 0;
  NodeId member;
  std::vector<DumpedSegment> segments;
  std::vector<uint64_t> missing;  // segments
  std::vector<uint64_t> free;     // files kept to become segments
  // What a member that starts finds, or why it refuses to.
  absl::StatusOr<WalContents> contents;

  // Some record is damaged or missing, though it may not be needed any more.
  bool damaged() const;
};

// Errors are a line for the user: NotFound if the directory is absent or holds no log, DataLoss if
// no segment tells whose log it is.
absl::StatusOr<WalDump> DumpWal(FileSystem& fs, const std::string& directory);

// As a table, one line a record, with `entries` one line an entry as well.
std::string DumpAsText(const WalDump& dump, bool entries);
// As one JSON object.
std::string DumpAsJson(const WalDump& dump, bool entries);

}  // namespace conclave::raft
