#include "kvstore/engine/snapshot.h"

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

constexpr size_t kSumBytes = 4;
enum class ChunkKind : uint8_t { kMoreFollow = 0, kLast = 1 };

void PutPiece(std::string& out, std::string_view piece) {
  PutVarint(out, piece.size());
  out.append(piece);
}

struct Row {
  std::string_view key;
  std::string_view value;
};

// One row as it lies in a chunk, which is also how it enters the totals.
void AddRow(std::string_view encoded, SnapshotTotals& totals) {
  ++totals.rows;
  totals.crc32c = ExtendCrc32c(totals.crc32c, encoded);
}

// What a chunk says; points into it.
struct Chunk {
  std::string_view after_key;
  std::string_view rows;
  std::optional<SnapshotTotals> totals;  // of the last one
};

// nullopt at the end of the rows, and where there is none.
std::optional<Row> ReadRow(ByteReader& in) {
  Row row;
  row.key = in.Take(in.Varint());
  if (row.key.empty()) return std::nullopt;
  row.value = in.Take(in.Varint());
  if (!in.ok()) return std::nullopt;
  return row;
}

absl::Status Damaged() { return absl::DataLossError("a chunk of a snapshot is damaged"); }

absl::StatusOr<Chunk> Parse(std::string_view bytes) {
  ByteReader in(bytes);
  const uint32_t sum = in.Fixed32();
  if (!in.ok() || Crc32c(bytes.substr(kSumBytes)) != sum) return Damaged();
  const auto kind = static_cast<ChunkKind>(in.Byte());
  Chunk chunk;
  chunk.after_key = in.Take(in.Varint());
  const size_t begin = in.offset();
  size_t end = begin;
  std::string_view previous = chunk.after_key;
  while (const std::optional<Row> row = ReadRow(in)) {
    if (row->key <= previous) return Damaged();
    previous = row->key;
    end = in.offset();
  }
  chunk.rows = bytes.substr(begin, end - begin);
  if (kind == ChunkKind::kLast) {
    const uint64_t rows = in.Fixed64();
    chunk.totals = {.rows = rows, .crc32c = in.Fixed32()};
  }
  if (!in.finished() || kind > ChunkKind::kLast) return Damaged();
  return chunk;
}

}  // namespace

// ---- Reading. ----

std::string SnapshotReader::Next(std::string_view after_key, size_t bytes_max) {
  if (after_key < handed_out_) SIM_REACHED("kv.snapshot.resumed");
  const std::string after(std::min(after_key, std::string_view(handed_out_)));
  std::string body(1, '\0');
  PutPiece(body, after);

  const std::unique_ptr<Iterator> it = view_->NewIterator();
  it->Seek(after);
  if (it->Valid() && it->key() == after) it->Next();
  const bool resumed = after < handed_out_;
  if (SEEDED_BUG(kSnapshotResumeSkipsRow) && resumed && it->Valid()) it->Next();
  for (bool first = true; it->Valid() && (first || body.size() < bytes_max); it->Next()) {
    if (SEEDED_BUG(kResultsNotInSnapshot) && it->key().starts_with('q')) continue;
    const size_t begin = body.size();
    PutPiece(body, it->key());
    PutPiece(body, it->value());
    if (it->key() > handed_out_) {
      handed_out_ = it->key();
      AddRow(std::string_view(body).substr(begin), totals_);
    }
    first = false;
  }
  PutVarint(body, 0);
  if (!it->Valid()) {
    body.front() = static_cast<char>(ChunkKind::kLast);
    PutFixed64(body, totals_.rows);
    PutFixed32(body, totals_.crc32c);
  }
  std::string chunk;
  chunk.reserve(kSumBytes + body.size());
  PutFixed32(chunk, Crc32c(body));
  return chunk.append(body);
}

// ---- Writing. ----

absl::Status SnapshotWriter::Write(std::string_view chunk) {
  const absl::StatusOr<Chunk> parsed = Parse(chunk);
  if (!parsed.ok()) return parsed.status();
  if (finished_ || parsed->after_key != last_key_) {
    SIM_REACHED("kv.snapshot.chunk_out_of_turn");
    return absl::FailedPreconditionError("a chunk of a snapshot comes out of its turn");
  }

  WriteBatch batch;
  SnapshotTotals totals = totals_;
  std::string_view last = last_key_;
  ByteReader in(parsed->rows);
  for (size_t begin = 0; begin < parsed->rows.size(); begin = in.offset()) {
    const std::optional<Row> row = ReadRow(in);
    CHECK(row);
    batch.Put(row->key, row->value);
    AddRow(parsed->rows.substr(begin, in.offset() - begin), totals);
    last = row->key;
  }
  if (parsed->totals && *parsed->totals != totals) {
    return absl::DataLossError("a snapshot arrived with other rows than were sent");
  }
  if (!batch.empty()) engine_->Write(batch);
  if (absl::Status status = engine_->CheckSpace(); !status.ok()) return status;
  last_key_ = last;
  totals_ = totals;
  finished_ = parsed->totals.has_value();
  return absl::OkStatus();
}

}  // namespace conclave::kv
