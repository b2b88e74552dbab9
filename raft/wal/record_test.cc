#include "raft/wal/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

const SegmentId kId{1, NodeId(2), 3};

std::string RecordOf(std::string_view payload, uint64_t offset, uint64_t write_start) {
  std::string out;
  RecordWriter writer(out);
  out += payload;
  writer.Finish(RecordType::kBatch, SumOf(kId), offset, write_start);
  return out;
}

TEST(RecordTest, AHeaderAndItsPayloadAreReadBack) {
  const std::string segment = std::string(64, '\0') + RecordOf("payload", 64, 24);
  const std::optional<RecordHeader> header = ReadRecordHeader(segment, 64, SumOf(kId));
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->type, RecordType::kBatch);
  EXPECT_EQ(header->payload_bytes, 7u);
  EXPECT_EQ(header->write_start, 24u);
  EXPECT_EQ(ReadRecordPayload(segment, 64, *header), "payload");
  EXPECT_EQ(segment.size(), 64 + RecordBytes(7));
}

TEST(RecordTest, ARecordCountsOnlyInItsPlaceOfItsSegment) {
  const std::string record = RecordOf("payload", 8, 8);
  const std::string moved = std::string(16, '\0') + record;
  const std::string placed = std::string(8, '\0') + record;
  EXPECT_FALSE(ReadRecordHeader(moved, 16, SumOf(kId)).has_value());
  ASSERT_TRUE(ReadRecordHeader(placed, 8, SumOf(kId)).has_value());
  for (const SegmentId& other :
       {SegmentId{9, NodeId(2), 3}, SegmentId{1, NodeId(9), 3}, SegmentId{1, NodeId(2), 9}}) {
    EXPECT_FALSE(ReadRecordHeader(placed, 8, SumOf(other)).has_value());
  }
}

TEST(RecordTest, NothingIsReadBeyondTheSegment) {
  const std::string whole = RecordOf("payload", 0, 0);
  const RecordHeader header = *ReadRecordHeader(whole, 0, SumOf(kId));
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string_view cut = std::string_view(whole).substr(0, size);
    EXPECT_EQ(ReadRecordHeader(cut, 0, SumOf(kId)).has_value(), size >= kRecordHeaderBytes);
    EXPECT_FALSE(size >= kRecordHeaderBytes && ReadRecordPayload(cut, 0, header).has_value());
  }
  EXPECT_FALSE(ReadRecordHeader(whole, 1000, SumOf(kId)).has_value());
}

TEST(RecordTest, NoPartOfAPayloadIsAPayload) {
  const Configuration configuration{{NodeId(1)}, {}, {}};
  std::string header, release, reset, complete, batch, lossy;
  SegmentHeader of_segment;
  of_segment.id = kId;
  of_segment.start.configuration = configuration;
  EncodeSegmentHeader(of_segment, header);
  EncodeRelease({{}, LogIndex(1), LogIndex(0), {LogIndex(1), Term(1), configuration}}, release);
  EncodeCompletion({}, complete);
  const std::vector<Entry> entries = {
      {Term(1), LogIndex(1), EntryKind::kCommand, Bytes::Copy("one")},
      {Term(1), LogIndex(2), EntryKind::kNoop, Bytes()}};
  EncodeReset({LogIndex(0), Term(0), configuration}, LogIndex(9), {}, entries, reset);
  EncodeBatch({}, LogIndex(1), entries, batch);
  EXPECT_EQ(batch.size(), BatchPayloadBytes(entries));
  EncodeLostThrough(LogIndex(9), lossy);
  EXPECT_EQ(lossy.size(), kLostThroughBytes);
  lossy += batch;
  EXPECT_EQ(DecodeLossyBatch(Bytes::Copy(lossy), 0, lossy.size())->lost_through, LogIndex(9));
  ASSERT_TRUE(DecodeSegmentHeader(header).ok());
  ASSERT_TRUE(DecodeRelease(release).ok());
  ASSERT_TRUE(DecodeCompletion(complete).ok());
  ASSERT_EQ(DecodeReset(Bytes::Copy(reset), 0, reset.size())->batch.entries, entries);
  ASSERT_EQ(DecodeBatch(Bytes::Copy(batch), 0, batch.size())->entries, entries);
  const auto decoded = [](RecordType type, const std::string& bytes) -> absl::Status {
    switch (type) {
      case RecordType::kSegmentHeader:
        return DecodeSegmentHeader(bytes).status();
      case RecordType::kBatch:
        return DecodeBatch(Bytes::Copy(bytes), 0, bytes.size()).status();
      case RecordType::kLossyBatch:
        return DecodeLossyBatch(Bytes::Copy(bytes), 0, bytes.size()).status();
      case RecordType::kRelease:
        return DecodeRelease(bytes).status();
      case RecordType::kReset:
        return DecodeReset(Bytes::Copy(bytes), 0, bytes.size()).status();
      case RecordType::kComplete:
        return DecodeCompletion(bytes).status();
    }
    return absl::OkStatus();
  };
  for (const auto& [type, payload] :
       {std::pair(RecordType::kSegmentHeader, header), std::pair(RecordType::kBatch, batch),
        std::pair(RecordType::kRelease, release), std::pair(RecordType::kReset, reset),
        std::pair(RecordType::kComplete, complete)}) {
    SCOPED_TRACE(static_cast<int>(type));
    EXPECT_TRUE(decoded(type, payload).ok());
    for (size_t size = 0; size < payload.size(); ++size) {
      EXPECT_TRUE(absl::IsDataLoss(decoded(type, payload.substr(0, size)))) << size;
    }
    EXPECT_TRUE(absl::IsDataLoss(decoded(type, payload + "x")));
  }
}

// The bytes of the example in docs/wal-format.md: what stands in the first columns of its lines.
std::string DocumentedExample() {
  std::ifstream page(CONCLAVE_SOURCE_DIR "/docs/wal-format.md");
  std::string line, bytes;
  while (std::getline(page, line) && line != "## Example") continue;
  while (std::getline(page, line)) {
    std::istringstream words(line.substr(0, 28));
    for (std::string word; words >> word && word.size() == 2;) {
      if (word.find_first_not_of("0123456789abcdef") != std::string::npos) break;
      bytes += static_cast<char>(std::stoul(word, nullptr, 16));
    }
  }
  return bytes;
}

// An entry "hi" of term 7 and index 300, appended at offset 160 of segment 3 by a write that begins
// at 136.
TEST(RecordTest, TheDocumentedExample) {
  std::string record;
  RecordWriter writer(record);
  EncodeBatch({Term(7), NodeId(2)}, LogIndex(300),
              {{Term(7), LogIndex(300), EntryKind::kCommand, Bytes::Copy("hi")}}, record);
  writer.Finish(RecordType::kBatch, SumOf(kId), 160, 136);
  EXPECT_EQ(record, DocumentedExample());
  // The sums, from what the page says of them.
  const std::string identity(
      "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"
      "\x03\x00\x00\x00\x00\x00\x00\x00\xa0\x00\x00\x00\x00\x00\x00\x00",
      32);
  EXPECT_EQ(LoadFixed32(record.data()), Crc32c(identity + record.substr(4, 20)));
  EXPECT_EQ(LoadFixed32(record.data() + 4), Crc32c(record.substr(24)));
}

TEST(SegmentNameTest, OnlyTheExactFormIsASegment) {
  EXPECT_EQ(SegmentPath("d", 0x1a), "d/000000000000001a.wal");
  EXPECT_EQ(SequenceOfSegment("000000000000001a.wal"), 0x1au);
  EXPECT_EQ(SequenceOfFree("000000000000001a.free"), 0x1au);
  for (const char* name : {"", ".wal", "1a.wal", "000000000000001a.wal.tmp", "000000000000001g.wal",
                           "-00000000000001a.wal", "000000000000001a.free"}) {
    EXPECT_FALSE(SequenceOfSegment(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace conclave::raft
