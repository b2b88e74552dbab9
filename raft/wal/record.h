// The records of a segment file and what is in them: bytes in, bytes out, no files
// (docs/wal-format.md has the layout). A record's sum covers which segment it is in, where, and
// what the disk held for certain when it was written. So bytes of another life of the same file are
// never taken for records, and an unfinished write is told apart from damage. Used by the WAL on
// its lane and by recovery.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/bytes.h"
#include "raft/core/configuration.h"
#include "raft/core/core.h"
#include "raft/core/entry.h"

namespace conclave::raft {

// Whose segment it is, and which in the sequence of that log.
struct SegmentId {
  uint64_t cluster_id = 0;
  NodeId member;
  uint64_t sequence = 0;

  friend bool operator==(const SegmentId&, const SegmentId&) = default;
};

// The sum of an identity, from which the sums of the segment's records start.
uint32_t SumOf(const SegmentId& id);

enum class RecordType : uint8_t {
  kSegmentHeader = 1,  // the first of a segment
  kBatch = 2,          // hard state and entries
  kRelease = 3,        // the log starts later from here on
  kReset = 4,          // the log starts anew, with what a batch holds
  kComplete = 5,       // lost entries were filled up
  kLossyBatch = 6,     // a batch of a log that lacks entries
};
inline constexpr RecordType kLastRecordType = RecordType::kLossyBatch;
const char* ToString(RecordType type);

inline constexpr size_t kRecordHeaderBytes = 24;
inline constexpr size_t kRecordAlignment = 8;
inline constexpr uint32_t kRecordPayloadMax = 1u << 30;

// Bytes that a record with so much payload takes in the file.
constexpr uint64_t RecordBytes(uint64_t payload) {
  return (kRecordHeaderBytes + payload + kRecordAlignment - 1) / kRecordAlignment *
         kRecordAlignment;
}

// Puts one record together at the end of `out`: make it, append the payload to `out`, then Finish.
class RecordWriter {
 public:
  explicit RecordWriter(std::string& out);

  // `offset` is where the record begins in its segment; `write_start`, where the write begins that
  // it is part of.
  void Finish(RecordType type, uint32_t id_sum, uint64_t offset, uint64_t write_start);

 private:
  std::string& out_;
  const size_t begin_;
};

struct RecordHeader {
  RecordType type = RecordType::kBatch;
  uint32_t payload_bytes = 0;
  uint32_t payload_sum = 0;
  // Everything before this offset of the segment was durable before the record was written.
  uint64_t write_start = 0;
};

// The header at `offset` of a segment, if there is a whole one with the right sum. Says nothing of
// the payload.
std::optional<RecordHeader> ReadRecordHeader(std::string_view segment, uint64_t offset,
                                             uint32_t id_sum);
// Its payload, if all of it is there with the right sum.
std::optional<std::string_view> ReadRecordPayload(std::string_view segment, uint64_t offset,
                                                  const RecordHeader& header);

// ---- Payloads. Decoders of what a right sum has vouched for still check every length: DataLoss.
// Every record tells the hard state, where the log ends and what it lacks, so that the last one on
// a disk does, whatever became of those before it. ----

// What a log amounts to at one point, but for its entries.
struct LogState {
  HardState hard_state;
  LogIndex last_index;
  Term last_term;
  LogIndex lost_through;  // WalContents::lost_through
  LogIndex snapshot_index;
  Term snapshot_term;
  Configuration configuration;  // as of snapshot_index

  friend bool operator==(const LogState&, const LogState&) = default;
};

inline constexpr uint32_t kWalFormatVersion = 2;

struct SegmentHeader {
  uint32_t version = kWalFormatVersion;
  SegmentId id;
  uint64_t previous_end = 0;  // where the records of the segment before end; 0 in the first
  uint64_t file_bytes = 0;    // the file had so many when the header was written: fewer is damage
  // Damage was found before this segment was begun: the log goes on from `start`, whatever its
  // records amounted to.
  bool after_damage = false;
  LogState start;  // as of the end of the segment before
};
void EncodeSegmentHeader(const SegmentHeader& header, std::string& out);
absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view payload);

struct Batch {
  HardState hard_state;
  LogIndex last_index;    // of the log with it
  LogIndex lost_through;  // 0 but in a log that lacks entries
  std::vector<Entry> entries;
};
uint64_t BatchPayloadBytes(const std::vector<Entry>& entries);
// `next` is the index after the log's last, for a batch without entries.
void EncodeBatch(const HardState& hard_state, LogIndex next, const std::vector<Entry>& entries,
                 std::string& out);
// The payload is `size` bytes at `offset` of `segment`; the entries' payloads share it.
absl::StatusOr<Batch> DecodeBatch(const Bytes& segment, uint64_t offset, uint64_t size);

// A kLossyBatch is a number, then a batch.
inline constexpr size_t kLostThroughBytes = 8;
void EncodeLostThrough(LogIndex lost_through, std::string& out);
absl::StatusOr<Batch> DecodeLossyBatch(const Bytes& segment, uint64_t offset, uint64_t size);

struct Release {
  HardState hard_state;
  LogIndex last_index;
  LogIndex lost_through;
  LogStart start;
};
void EncodeRelease(const Release& release, std::string& out);
absl::StatusOr<Release> DecodeRelease(std::string_view payload);

// Says all that a log amounts to.
struct Reset {
  LogStart start;
  Batch batch;
};
void EncodeReset(const LogStart& start, LogIndex lost_through, const HardState& hard_state,
                 const std::vector<Entry>& entries, std::string& out);
absl::StatusOr<Reset> DecodeReset(const Bytes& segment, uint64_t offset, uint64_t size);

struct Completion {
  HardState hard_state;
  LogIndex last_index;
};
void EncodeCompletion(const Completion& completion, std::string& out);
absl::StatusOr<Completion> DecodeCompletion(std::string_view payload);

// The payload of any record; both kinds of batches are one.
using RecordContent = std::variant<SegmentHeader, Batch, Release, Reset, Completion>;
// Of the record at `offset` of `segment`, whose sum was right; entries share the segment's bytes.
absl::StatusOr<RecordContent> DecodeRecord(const Bytes& segment, uint64_t offset,
                                           const RecordHeader& header);

}  // namespace conclave::raft
