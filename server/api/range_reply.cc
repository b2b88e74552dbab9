#include "server/api/range_reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "kvstore/kv_encoding.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "server/api/paced_range.h"

namespace conclave::server {

namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

constexpr size_t kNoBound = std::numeric_limits<size_t>::max();

// Each piece is a hop to the lane for long reads and back: 0.1 ms, as long as it takes to read a
// part.
constexpr size_t kPartsCollectedAtOnce = 4;

absl::Status TooManyBytes(uint64_t bytes, uint64_t bytes_max) {
  return absl::ResourceExhaustedError(
      fmt::format("the answer has {} bytes, expected at most {}: ask for it in pages, with a limit",
                  bytes, bytes_max));
}

// An answer in the order of the keys. A message begins with its size. So all of it is collected
// before, as far as there is memory; what comes after that is measured, and read again to be sent.
class UnaryRange : public PacedRange {
 public:
  UnaryRange(const ApiContext& context, CallRef call, const RangeRequest& request)
      : PacedRange(context, std::move(call), request), room_(options().whole_bytes_max) {}
  // What the call's queue may hold, with what its buffer has to spare, what is collected, and a
  // piece being made.
  static uint64_t MemoryFor(const RangeReplyOptions& options) {
    return 2 * options.whole_bytes_max + (4 + kPartsCollectedAtOnce) * options.part_bytes;
  }

 private:
  enum class Step { kCollect, kMeasure, kSend };

  kv::RangePieceBounds NextBounds() const override {
    if (step_ == Step::kMeasure) {
      return {.keys_max = kNoBound, .bytes_max = kNoBound, .measure = true};
    }
    const size_t parts = step_ == Step::kCollect ? kPartsCollectedAtOnce : 1;
    return {.keys_max = kNoBound, .bytes_max = parts * options().part_bytes};
  }

  void OnRoom() override { sends_collected_ ? SendCollected() : ReadNext(); }

  void OnPiece(kv::RangePiece& piece) override {
    if (step_ == Step::kSend) return OnPart(piece);
    bytes_ += piece.bytes;
    if (step_ == Step::kCollect) Collect(piece);
    if (!piece.last) return ReadNext();
    last_ = std::move(piece);
    BeginMessage();
  }

  void Collect(kv::RangePiece& piece) {
    collected_.push_back(std::move(piece.kvs));
    if (piece.last || bytes_ < room_ || FindRoom()) return;
    SIM_REACHED("api.range.in_parts");
    after_collected_ = progress_;
    step_ = Step::kMeasure;
  }

  // As much again as there is, so that few are asked for.
  bool FindRoom() {
    const uint64_t more = std::min<uint64_t>(room_, options().collected_bytes_max - room_);
    if (room_ >= options().collected_bytes_max || !reservation().Extend(more)) return false;
    SIM_REACHED("api.range.collected");
    room_ += more;
    return true;
  }

  void BeginMessage() {
    const std::string header = EncodedHeader();
    const uint64_t size = header.size() + bytes_ + EncodedEnd(last_).size();
    const size_t size_max = context().options->max_response_bytes;
    if (size > size_max) return call().Finish(TooManyBytes(size, size_max));
    call().BeginMessage(size);
    Send(header);
    if (step_ == Step::kCollect) Unpin();
    sends_collected_ = true;
    SendCollected();
  }

  void SendCollected() {
    for (; !collected_.empty() && call().open(); collected_.pop_front()) {
      if (!HasRoom()) return;
      Send(collected_.front());
    }
    if (!call().open()) return;
    sends_collected_ = false;
    if (step_ == Step::kCollect) return End(last_);
    progress_ = std::move(after_collected_);
    step_ = Step::kSend;
    ReadNext();
  }

  void OnPart(const kv::RangePiece& piece) {
    Send(piece.kvs);
    piece.last ? End(piece) : ReadNext();
  }

  void End(const kv::RangePiece& last) {
    Unpin();
    Send(EncodedEnd(last));
    call().Finish(absl::OkStatus());
  }

  Step step_ = Step::kCollect;
  uint64_t room_;  // for what is collected
  std::deque<std::string> collected_;
  bool sends_collected_ = false;  // and waits for the client
  kv::RangeProgress after_collected_;
  uint64_t bytes_ = 0;  // of all results
  kv::RangePiece last_;
};

// An answer that must be sorted, or of the last keys: it is read whole, after what that takes has
// been measured and reserved.
class SortedRange : public PacedRange {
 public:
  SortedRange(const ApiContext& context, CallRef call, const RangeRequest& request)
      : PacedRange(context, std::move(call), InKeyOrder(request)), sorted_(request) {}

 private:
  // What is read for it. Of the last keys of many it is the first ones that are measured: an
  // estimate.
  static RangeRequest InKeyOrder(const RangeRequest& request) {
    RangeRequest read = request;
    if (!kv::EndsAtLimit(request)) read.clear_limit();
    read.clear_sort_order();
    read.clear_sort_target();
    return read;
  }

  kv::RangePieceBounds NextBounds() const override {
    return {.keys_max = kNoBound, .bytes_max = kNoBound, .measure = true};
  }

  void OnPiece(kv::RangePiece& piece) override {
    bytes_ += piece.bytes;
    keys_ += piece.keys;
    if (!piece.last) return ReadNext();
    Unpin();
    // As messages, and then encoded and in the call's queue; more than both at once.
    constexpr uint64_t kMessageBytes = 160;
    const uint64_t needed = 2 * bytes_ + kMessageBytes * keys_;
    const uint64_t budget = context().range_budget->bytes();
    if (needed > budget) {
      SIM_REACHED("api.range.sorted_too_large");
      return call().Finish(absl::ResourceExhaustedError(fmt::format(
          "sorting the answer takes {} bytes, expected at most {}: ask for it in the order of "
          "keys, or for less",
          needed, budget)));
    }
    // Not on top of what it has: two that each wait for the other's would wait in vain.
    reservation().Release();
    reservation().Reserve(context().range_budget, needed,
                          [this, still = alive()](const absl::Status& status) {
                            if (!*still) return;
                            if (!status.ok()) return call().Finish(status);
                            ReadWhole();
                          });
  }

  void ReadWhole() {
    absl::StatusOr<kv::RangeWork> work = context().node->store().PrepareRange(sorted_);
    if (!work.ok()) return call().Finish(work.status());
    RangeResponse response;
    context().node->FillHeader(response.mutable_header());
    struct Answer {
      size_t size = 0;
      std::string bytes;  // empty if there are too many
    };
    auto answer = std::make_shared<Answer>();
    const size_t most = context().options->max_response_bytes;
    context().node->ReadBehind(
        [work = *std::move(work), response = std::move(response), answer, most]() mutable {
          work(&response);
          answer->size = response.ByteSizeLong();
          if (answer->size <= most) answer->bytes = response.SerializeAsString();
        },
        [this, still = alive(), answer, most](const absl::Status& status) {
          if (!*still) return;
          if (!status.ok()) return call().Finish(status);
          if (answer->size > most) return call().Finish(TooManyBytes(answer->size, most));
          call().BeginMessage(answer->size);
          Send(answer->bytes);
          call().Finish(absl::OkStatus());
        });
  }

  const RangeRequest sorted_;
  uint64_t bytes_ = 0;
  uint64_t keys_ = 0;
};

class StreamedRange : public PacedRange {
 public:
  StreamedRange(const ApiContext& context, CallRef call, const RangeRequest& request)
      : PacedRange(context, std::move(call), request), keys_(options().first_chunk_keys) {}
  // What the call's queue may hold, with what its buffer has to spare, and a chunk being made.
  static uint64_t MemoryFor(size_t chunk_bytes) { return 4 * chunk_bytes; }

 private:
  size_t chunk_bytes() const { return context().options->max_request_bytes; }

  kv::RangePieceBounds NextBounds() const override {
    return {.keys_max = keys_, .bytes_max = chunk_bytes()};
  }

  // No chunk is larger than its bound and a result, so that there is nothing to halve as etcd does.
  void OnPiece(kv::RangePiece& piece) override {
    if (piece.bytes < chunk_bytes() / 2) keys_ = std::min(2 * keys_, kNoBound / 4);
    SendChunk(piece.kvs, piece.last ? EncodedHeader() + EncodedEnd(piece) : std::string());
    if (piece.last) {
      Unpin();
      return call().Finish(absl::OkStatus());
    }
    if (SEEDED_BUG(kRangeStreamNotPinned)) {
      Unpin();
      progress_.revision = 0;
    }
    ReadNext();
  }

  // RangeStreamResponse, whose one field is the RangeResponse.
  void SendChunk(std::string_view kvs, std::string_view end) {
    std::string prefix(1, kv::WireTag(1, kv::kLengthDelimitedWire));
    kv::AppendVarint(kvs.size() + end.size(), prefix);
    call().BeginMessage(prefix.size() + kvs.size() + end.size());
    Send(prefix);
    Send(kvs);
    Send(end);
  }

  size_t keys_;
};

template <typename Form>
void Begin(const ApiContext& context, const CallRef& call, const RangeRequest& request,
           uint64_t bytes) {
  auto handler = std::make_unique<Form>(context, call, request);
  Form* const started = handler.get();
  call->SetHandler(std::move(handler));
  started->Start(bytes);
}

}  // namespace

void ReplyLongRange(const ApiContext& context, const CallRef& call, const RangeRequest& request) {
  CHECK(call->open());
  const uint64_t bytes = UnaryRange::MemoryFor(context.options->ranges);
  if (!kv::IsInKeyOrder(request)) return Begin<SortedRange>(context, call, request, bytes);
  Begin<UnaryRange>(context, call, request, bytes);
}

void ReplyRangeStream(const ApiContext& context, const CallRef& call, const RangeRequest& request) {
  CHECK(call->open());
  Begin<StreamedRange>(context, call, request,
                       StreamedRange::MemoryFor(context.options->max_request_bytes));
}

}  // namespace conclave::server
