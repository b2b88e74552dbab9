#include "kvstore/result_table.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <variant>

#include "kvstore/mvcc/keys.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

// What a row and its place take up in the engine beside the id and the body.
constexpr uint64_t kRowOverhead = 64;
constexpr size_t kPlacesReadAhead = 256;

struct Row {
  uint64_t index = 0;
  uint64_t fingerprint = 0;
  CommandKind kind = CommandKind::kPut;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string_view body;
};

std::string ResultKey(std::string_view id) { return std::string(1, kResultPrefix).append(id); }

std::string PlaceKey(uint64_t index) {
  std::string key(1, kResultOrderPrefix);
  AppendOrdered64(index, key);
  return key;
}

void SetRow(const Row& row, std::string& out) {
  out.clear();
  PutFixed64(out, row.index);
  PutFixed64(out, row.fingerprint);
  PutByte(out, static_cast<uint8_t>(row.kind));
  PutByte(out, static_cast<uint8_t>(row.code));
  out.append(row.body);
}

Row ReadRow(std::string_view bytes) {
  ByteReader in(bytes);
  Row row;
  row.index = in.Fixed64();
  row.fingerprint = in.Fixed64();
  row.kind = static_cast<CommandKind>(in.Byte());
  row.code = static_cast<absl::StatusCode>(in.Byte());
  row.body = in.Take(in.remaining());
  if (!in.finished()) Fatal("a result of the store is damaged");
  return row;
}

template <typename R>
Response ParseAs(std::string_view body) {
  Response response(std::in_place_type<R>);
  const bool parsed =
      std::get<R>(response).ParseFromArray(body.data(), static_cast<int>(body.size()));
  if (!parsed) Fatal("a response that the store has kept is damaged");
  return response;
}

Response ParseResponse(CommandKind kind, std::string_view body) {
  switch (kind) {
    case CommandKind::kPut:
      return ParseAs<etcdserverpb::PutResponse>(body);
    case CommandKind::kDeleteRange:
      return ParseAs<etcdserverpb::DeleteRangeResponse>(body);
    case CommandKind::kTxn:
      return ParseAs<etcdserverpb::TxnResponse>(body);
    case CommandKind::kCompact:
      return ParseAs<etcdserverpb::CompactionResponse>(body);
    case CommandKind::kLeaseGrant:
      return ParseAs<etcdserverpb::LeaseGrantResponse>(body);
    case CommandKind::kLeaseRevoke:
      return ParseAs<etcdserverpb::LeaseRevokeResponse>(body);
    default:
      Fatal("a result of the store is of a kind that takes no request id");
  }
}

// The response as bytes if it may be kept; else the error that a repetition gets.
absl::StatusOr<std::string> BodyOf(const ApplyResult& result, size_t bytes_max) {
  if (!result.status.ok()) return result.status;
  return std::visit(
      [&](const auto& response) -> absl::StatusOr<std::string> {
        if constexpr (std::is_same_v<std::decay_t<decltype(response)>, std::monostate>) {
          CHECK_MSG(false, "a result without its response");
        } else if (response.ByteSizeLong() > bytes_max) {
          SIM_REACHED("kv.result.too_large");
          return ErrResponseNotKept(response.header().revision());
        } else {
          return response.SerializeAsString();
        }
      },
      result.response);
}

}  // namespace

absl::Status ResultTable::Load(const Engine* engine) {
  *this = ResultTable(options_);
  engine_ = engine;
  const std::optional<std::string> totals = engine->Get(kResultsKey);
  if (!totals) return absl::OkStatus();
  ByteReader in(*totals);
  count_ = in.Fixed64();
  bytes_ = in.Fixed64();
  first_index_ = in.Fixed64();
  if (!in.finished()) return absl::DataLossError("the store's count of results is damaged");
  if (SEEDED_BUG(kResultsCountedFromStart)) count_ = 0;
  return absl::OkStatus();
}

std::optional<std::string> ResultTable::RowOf(std::string_view id) const {
  if (const auto found = unwritten_.find(id); found != unwritten_.end()) return found->second;
  std::optional<std::string> row = engine_->Get(ResultKey(id));
  if (row && ReadRow(*row).index < first_index_) return std::nullopt;
  return row;
}

std::optional<ApplyResult> ResultTable::Find(const Command& command, bool want_response) const {
  const std::optional<std::string> bytes = RowOf(command.identity.id);
  if (!bytes) return std::nullopt;
  const Row row = ReadRow(*bytes);
  ApplyResult result;
  const bool same =
      row.fingerprint == command.identity.fingerprint && row.kind == command.header.kind;
  if (!same && !(SEEDED_BUG(kReusedIdAnswered) && row.kind == command.header.kind)) {
    SIM_REACHED("kv.result.id_reused");
    result.status = ErrRequestIdReused();
    return result;
  }
  SIM_REACHED("kv.result.found");
  if (row.code != absl::StatusCode::kOk) {
    result.status = absl::Status(row.code, std::string(row.body));
  } else if (want_response) {
    result.response = ParseResponse(row.kind, row.body);
  }
  return result;
}

std::string_view ResultTable::Keep(uint64_t index, const Command& command,
                                   const ApplyResult& result, WriteBatch& batch) {
  const std::string_view id = command.identity.id;
  const absl::StatusOr<std::string> body = BodyOf(result, options_.response_bytes_max);
  SetRow({.index = index,
          .fingerprint = command.identity.fingerprint,
          .kind = command.header.kind,
          .code = body.status().code(),
          .body = body.ok() ? std::string_view(*body) : MessageOf(body.status())},
         row_);
  Place place{
      .index = index, .bytes = id.size() + row_.size() + kRowOverhead, .id = std::string(id)};
  if (!SEEDED_BUG(kResultsNotWritten)) batch.Put(ResultKey(id), row_);
  std::string order;
  PutFixed32(order, static_cast<uint32_t>(place.bytes));
  batch.Put(PlaceKey(index), order.append(id));
  unwritten_.insert_or_assign(place.id, row_);
  unwritten_bytes_ += place.bytes;
  ++count_;
  bytes_ += place.bytes;
  changed_ = true;
  unwritten_places_.push_back(std::move(place));
  while (count_ > options_.results_max || bytes_ > options_.bytes_max) EvictOldest(batch);
  return row_;
}

void ResultTable::EvictOldest(WriteBatch& batch) {
  SIM_REACHED("kv.result.evicted");
  const Place place = TakeOldest();
  unwritten_.erase(place.id);
  batch.Delete(ResultKey(place.id));
  batch.Delete(PlaceKey(place.index));
  --count_;
  bytes_ -= place.bytes;
  first_index_ = place.index + 1;
}

ResultTable::Place ResultTable::TakeOldest() {
  if (oldest_.empty()) ReadOldest();
  std::deque<Place>& from = oldest_.empty() ? unwritten_places_ : oldest_;
  if (from.empty()) Fatal("the store has lost results");
  Place place = std::move(from.front());
  from.pop_front();
  return place;
}

// From the oldest that is kept on: what has gone before it is not stepped over, deleted as it is.
void ResultTable::ReadOldest() {
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  for (it->Seek(PlaceKey(first_index_)); it->Valid() && oldest_.size() < kPlacesReadAhead;
       it->Next()) {
    const std::string_view key = it->key();
    if (key.empty() || key.front() != kResultOrderPrefix) break;
    ByteReader in(it->value());
    const uint32_t bytes = in.Fixed32();
    if (!in.ok() || key.size() != 9) Fatal("the order of the store's results is damaged");
    oldest_.push_back({.index = LoadOrdered64(key.data() + 1),
                       .bytes = bytes,
                       .id = std::string(in.Take(in.remaining()))});
  }
}

void ResultTable::FinishBatch(WriteBatch& batch) {
  if (!std::exchange(changed_, false)) return;
  std::string totals;
  PutFixed64(totals, count_);
  PutFixed64(totals, bytes_);
  PutFixed64(totals, first_index_);
  batch.Put(kResultsKey, totals);
  unwritten_places_.clear();
  unwritten_bytes_ = 0;
  if (SEEDED_BUG(kResultsNotWritten)) return;
  unwritten_.clear();
}

}  // namespace conclave::kv
