#include "raft/wal/record.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {
namespace {

constexpr size_t kEntryHeaderBytes = 16;
constexpr size_t kBatchHeaderBytes = 28;

std::string_view AsBytes(const uint64_t& word) {
  return {reinterpret_cast<const char*>(&word), sizeof(word)};
}

// Of a record's place and its header without the sum itself.
uint32_t HeaderSum(uint32_t id_sum, uint64_t offset, std::string_view header) {
  return ExtendCrc32c(ExtendCrc32c(id_sum, AsBytes(offset)), header.substr(sizeof(uint32_t)));
}

void EncodeConfigurationField(const Configuration& configuration, std::string& out) {
  const std::string bytes = EncodeConfiguration(configuration);
  PutFixed32(out, static_cast<uint32_t>(bytes.size()));
  out += bytes;
}

absl::StatusOr<Configuration> DecodeConfigurationField(ByteReader& reader) {
  const std::string_view bytes = reader.Take(reader.Fixed32());
  if (!reader.ok()) return absl::DataLossError("a configuration of the wrong length");
  return DecodeConfiguration(bytes);
}

void EncodeHardState(const HardState& hard_state, std::string& out) {
  PutFixed64(out, hard_state.term.value());
  PutFixed64(out, hard_state.vote.value());
}

HardState DecodeHardState(ByteReader& reader) {
  HardState hard_state;
  hard_state.term = Term(reader.Fixed64());
  hard_state.vote = NodeId(reader.Fixed64());
  return hard_state;
}

void EncodeLogStart(const LogStart& start, std::string& out) {
  PutFixed64(out, start.index.value());
  PutFixed64(out, start.term.value());
  EncodeConfigurationField(start.configuration, out);
}

absl::StatusOr<LogStart> DecodeLogStart(ByteReader& reader) {
  LogStart start;
  start.index = LogIndex(reader.Fixed64());
  start.term = Term(reader.Fixed64());
  absl::StatusOr<Configuration> configuration = DecodeConfigurationField(reader);
  if (!configuration.ok()) return configuration.status();
  start.configuration = *std::move(configuration);
  return start;
}

}  // namespace

const char* ToString(RecordType type) {
  switch (type) {
    case RecordType::kSegmentHeader:
      return "header";
    case RecordType::kBatch:
      return "batch";
    case RecordType::kRelease:
      return "release";
    case RecordType::kReset:
      return "reset";
    case RecordType::kComplete:
      return "complete";
    case RecordType::kLossyBatch:
      return "lossy batch";
  }
  return "unknown";
}

uint32_t SumOf(const SegmentId& id) {
  const uint32_t sum = ExtendCrc32c(0, AsBytes(id.cluster_id));
  const uint64_t sequence = SEEDED_BUG(kRecycledRecordsTaken) ? 0 : id.sequence;
  return ExtendCrc32c(ExtendCrc32c(sum, AsBytes(id.member.value())), AsBytes(sequence));
}

RecordWriter::RecordWriter(std::string& out) : out_(out), begin_(out.size()) {
  out_.append(kRecordHeaderBytes, '\0');
}

void RecordWriter::Finish(RecordType type, uint32_t id_sum, uint64_t offset, uint64_t write_start) {
  const size_t payload = out_.size() - begin_ - kRecordHeaderBytes;
  CHECK(payload <= kRecordPayloadMax && offset % kRecordAlignment == 0 && write_start <= offset);
  out_.resize(begin_ + RecordBytes(payload));
  const std::string_view record = std::string_view(out_).substr(begin_);
  char* const header = out_.data() + begin_;
  StoreFixed32(header + 4, Crc32c(record.substr(kRecordHeaderBytes)));
  StoreFixed32(header + 8, static_cast<uint32_t>(payload));
  StoreFixed32(header + 12, static_cast<uint32_t>(type));
  StoreFixed64(header + 16, write_start);
  StoreFixed32(header, HeaderSum(id_sum, offset, record.substr(0, kRecordHeaderBytes)));
}

std::optional<RecordHeader> ReadRecordHeader(std::string_view segment, uint64_t offset,
                                             uint32_t id_sum) {
  if (offset > segment.size() || segment.size() - offset < kRecordHeaderBytes) return std::nullopt;
  const std::string_view bytes = segment.substr(offset, kRecordHeaderBytes);
  const uint32_t type = LoadFixed32(bytes.data() + 12);
  // First what is cheap: the search for a later record asks at every aligned offset.
  if (type < static_cast<uint32_t>(RecordType::kSegmentHeader) ||
      type > static_cast<uint32_t>(kLastRecordType) ||
      LoadFixed32(bytes.data()) != HeaderSum(id_sum, offset, bytes)) {
    return std::nullopt;
  }
  RecordHeader header;
  header.type = static_cast<RecordType>(type);
  header.payload_sum = LoadFixed32(bytes.data() + 4);
  header.payload_bytes = LoadFixed32(bytes.data() + 8);
  header.write_start = LoadFixed64(bytes.data() + 16);
  return header;
}

std::optional<std::string_view> ReadRecordPayload(std::string_view segment, uint64_t offset,
                                                  const RecordHeader& header) {
  const uint64_t record = RecordBytes(header.payload_bytes);
  if (segment.size() - offset < record) return std::nullopt;
  const std::string_view padded =
      segment.substr(offset + kRecordHeaderBytes, record - kRecordHeaderBytes);
  if (Crc32c(padded) != header.payload_sum) return std::nullopt;
  return padded.substr(0, header.payload_bytes);
}

void EncodeSegmentHeader(const SegmentHeader& header, std::string& out) {
  PutFixed32(out, header.version);
  PutFixed64(out, header.id.cluster_id);
  PutFixed64(out, header.id.member.value());
  PutFixed64(out, header.id.sequence);
  PutFixed64(out, header.previous_end);
  PutFixed64(out, header.file_bytes);
  PutFixed32(out, header.after_damage ? 1 : 0);
  EncodeHardState(header.start.hard_state, out);
  PutFixed64(out, header.start.last_index.value());
  PutFixed64(out, header.start.last_term.value());
  PutFixed64(out, header.start.lost_through.value());
  EncodeLogStart(
      {header.start.snapshot_index, header.start.snapshot_term, header.start.configuration}, out);
}

absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view payload) {
  ByteReader reader(payload);
  SegmentHeader header;
  header.version = reader.Fixed32();
  header.id.cluster_id = reader.Fixed64();
  header.id.member = NodeId(reader.Fixed64());
  header.id.sequence = reader.Fixed64();
  // A later version keeps the fields up to here, so that it can be named.
  if (reader.ok() && header.version != kWalFormatVersion) return header;
  header.previous_end = reader.Fixed64();
  header.file_bytes = reader.Fixed64();
  const uint32_t after_damage = reader.Fixed32();
  header.after_damage = after_damage == 1;
  header.start.hard_state = DecodeHardState(reader);
  header.start.last_index = LogIndex(reader.Fixed64());
  header.start.last_term = Term(reader.Fixed64());
  header.start.lost_through = LogIndex(reader.Fixed64());
  absl::StatusOr<LogStart> start = DecodeLogStart(reader);
  if (!start.ok()) return start.status();
  if (!reader.finished() || after_damage > 1) return absl::DataLossError("not a segment header");
  header.start.snapshot_index = start->index;
  header.start.snapshot_term = start->term;
  header.start.configuration = std::move(start->configuration);
  return header;
}

uint64_t BatchPayloadBytes(const std::vector<Entry>& entries) {
  uint64_t bytes = kBatchHeaderBytes + entries.size() * kEntryHeaderBytes;
  for (const Entry& entry : entries) bytes += entry.payload.size();
  return bytes;
}

void EncodeBatch(const HardState& hard_state, LogIndex next, const std::vector<Entry>& entries,
                 std::string& out) {
  EncodeHardState(hard_state, out);
  PutFixed64(out, entries.empty() ? next.value() : entries.front().index.value());
  PutFixed32(out, static_cast<uint32_t>(entries.size()));
  for (const Entry& entry : entries) {
    PutFixed64(out, entry.term.value());
    PutFixed32(out, static_cast<uint32_t>(entry.payload.size()));
    PutFixed32(out, static_cast<uint32_t>(entry.kind));
    out += entry.payload.view();
  }
}

absl::StatusOr<Batch> DecodeBatch(const Bytes& segment, uint64_t offset, uint64_t size) {
  ByteReader reader(segment.view().substr(offset, size));
  Batch batch;
  batch.hard_state = DecodeHardState(reader);
  LogIndex index(reader.Fixed64());
  const uint32_t count = reader.Fixed32();
  batch.entries.reserve(std::min<uint64_t>(count, reader.remaining() / kEntryHeaderBytes));
  for (uint32_t i = 0; i < count && reader.ok(); ++i, ++index) {
    const Term term(reader.Fixed64());
    const uint32_t payload_bytes = reader.Fixed32();
    const uint32_t kind = reader.Fixed32();
    if (kind > static_cast<uint32_t>(EntryKind::kConfiguration)) {
      return absl::DataLossError("an entry of an unknown kind");
    }
    const size_t payload_at = reader.offset();
    reader.Take(payload_bytes);
    if (!reader.ok()) break;
    batch.entries.push_back({term, index, static_cast<EntryKind>(kind),
                             segment.Slice(offset + payload_at, payload_bytes)});
  }
  if (!reader.finished() || index == LogIndex(0)) {
    return absl::DataLossError("a batch of the wrong length");
  }
  batch.last_index = index.Prev();
  return batch;
}

void EncodeLostThrough(LogIndex lost_through, std::string& out) {
  PutFixed64(out, lost_through.value());
}

absl::StatusOr<Batch> DecodeLossyBatch(const Bytes& segment, uint64_t offset, uint64_t size) {
  if (size < kLostThroughBytes) return absl::DataLossError("a batch of the wrong length");
  absl::StatusOr<Batch> batch =
      DecodeBatch(segment, offset + kLostThroughBytes, size - kLostThroughBytes);
  if (batch.ok()) batch->lost_through = LogIndex(LoadFixed64(segment.view().data() + offset));
  return batch;
}

void EncodeRelease(const Release& release, std::string& out) {
  EncodeHardState(release.hard_state, out);
  PutFixed64(out, release.last_index.value());
  PutFixed64(out, release.lost_through.value());
  EncodeLogStart(release.start, out);
}

absl::StatusOr<Release> DecodeRelease(std::string_view payload) {
  ByteReader reader(payload);
  Release release;
  release.hard_state = DecodeHardState(reader);
  release.last_index = LogIndex(reader.Fixed64());
  release.lost_through = LogIndex(reader.Fixed64());
  absl::StatusOr<LogStart> start = DecodeLogStart(reader);
  if (!start.ok()) return start.status();
  if (!reader.finished()) return absl::DataLossError("a release of the wrong length");
  release.start = *std::move(start);
  return release;
}

void EncodeReset(const LogStart& start, LogIndex lost_through, const HardState& hard_state,
                 const std::vector<Entry>& entries, std::string& out) {
  EncodeLogStart(start, out);
  EncodeLostThrough(lost_through, out);
  EncodeBatch(hard_state, start.index.Next(), entries, out);
}

absl::StatusOr<Reset> DecodeReset(const Bytes& segment, uint64_t offset, uint64_t size) {
  ByteReader reader(segment.view().substr(offset, size));
  absl::StatusOr<LogStart> start = DecodeLogStart(reader);
  if (!start.ok()) return start.status();
  absl::StatusOr<Batch> batch =
      DecodeLossyBatch(segment, offset + reader.offset(), reader.remaining());
  if (!batch.ok()) return batch.status();
  return Reset{*std::move(start), *std::move(batch)};
}

void EncodeCompletion(const Completion& completion, std::string& out) {
  EncodeHardState(completion.hard_state, out);
  PutFixed64(out, completion.last_index.value());
}

absl::StatusOr<Completion> DecodeCompletion(std::string_view payload) {
  ByteReader reader(payload);
  Completion completion;
  completion.hard_state = DecodeHardState(reader);
  completion.last_index = LogIndex(reader.Fixed64());
  if (!reader.finished()) return absl::DataLossError("a completion of the wrong length");
  return completion;
}

absl::StatusOr<RecordContent> DecodeRecord(const Bytes& segment, uint64_t offset,
                                           const RecordHeader& header) {
  const uint64_t at = offset + kRecordHeaderBytes;
  const uint64_t size = header.payload_bytes;
  const std::string_view payload = segment.view().substr(at, size);
  switch (header.type) {
    case RecordType::kSegmentHeader:
      return DecodeSegmentHeader(payload);
    case RecordType::kBatch:
      return DecodeBatch(segment, at, size);
    case RecordType::kLossyBatch:
      return DecodeLossyBatch(segment, at, size);
    case RecordType::kRelease:
      return DecodeRelease(payload);
    case RecordType::kReset:
      return DecodeReset(segment, at, size);
    case RecordType::kComplete:
      return DecodeCompletion(payload);
  }
  return absl::DataLossError("a record of an unknown type");
}

}  // namespace conclave::raft
