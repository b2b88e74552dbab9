#include "kvstore/mvcc/range_view.h"

#include <algorithm>

#include "kvstore/kv_encoding.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

using etcdserverpb::RangeRequest;

constexpr char kKvsTag = WireTag(2, kLengthDelimitedWire);  // RangeResponse.kvs

// Looked at by one Read. Others wait behind it on its lane, and whoever gives a range up waits for
// no more than this.
constexpr int64_t kKeysLookedAtMax = 10'000;
// Of a result that passes the bound of a piece, to have room for it.
constexpr size_t kUsualResultBytes = 4 << 10;

RangeProgress StartOf(const RangeProgress& progress, const RangeRequest& request, int64_t current) {
  RangeProgress start = progress;
  if (start.revision == 0) {
    start.revision = request.revision() > 0 ? request.revision() : current;
    start.header_revision = current;
  }
  return start;
}

RangeRequest AtRevision(RangeRequest request, int64_t revision) {
  request.set_revision(revision);
  return request;
}

// Only a limit can leave keys out that have to be counted all the same.
int64_t CountIfAsked(const KeySpace& keys, const RangeRequest& request) {
  const KeySpan span = KeySpan::Of(request.key(), request.range_end());
  if (span.single || (request.limit() <= 0 && !request.count_only())) return 0;
  return CountLatest(keys, span);
}

}  // namespace

bool IsInKeyOrder(const RangeRequest& request) {
  return request.sort_target() == RangeRequest::KEY &&
         request.sort_order() != RangeRequest::DESCEND;
}

RangeView::RangeView(const KeySpace& keys, const RangeRequest& request,
                     const RangeProgress& progress)
    : request_(AtRevision(request, StartOf(progress, request, keys.revision).revision)),
      current_(keys.revision),
      start_(StartOf(progress, request, keys.revision)),
      count_now_(CountIfAsked(keys, request_)),
      view_(keys.engine->NewView()),
      latest_(view_.get(), &nothing_, nullptr),
      past_(view_.get()) {
  CHECK(keys.drain.empty());
}

void RangeView::Scan(const KeySpan& span, VisitRecord visit) const {
  if (request_.revision() == current_) return latest_.Scan(span, visit);
  SIM_REACHED("kv.range_view.of_the_past");
  past_.Scan(span, request_.revision(), visit);
}

int64_t RangeView::Count() const {
  const RangeSource source = {.latest = &latest_,
                              .past = &past_,
                              .amid_drain = false,
                              .count_latest = [this](const KeySpan&) { return count_now_; }};
  return CountRange(source, request_, current_);
}

RangePiece RangeView::Read(const RangeProgress& from, const RangePieceBounds& bounds) const {
  RangePiece piece;
  piece.progress = from;
  if (request_.count_only()) {
    piece.last = true;
    piece.count = Count();
    return piece;
  }
  RangeProgress& progress = piece.progress;
  KeySpan rest = KeySpan::Of(request_.key(), request_.range_end());
  if (!from.next_key.empty()) rest.begin = from.next_key;
  const bool filtered = IsFiltered(request_);
  // What a piece in the middle of a large range comes to; a byte a key is better than nothing.
  if (!bounds.measure) {
    piece.kvs.reserve(std::min(bounds.keys_max, bounds.bytes_max + kUsualResultBytes));
  }
  bool stopped = false;    // there is more to look at
  bool uncounted = false;  // the limit has ended the scan
  Scan(rest, [&](std::string_view key, const RecordView& record) {
    ++progress.met;
    bool full = false;
    if (!PassesFilters(request_, record)) {
      // Counted all the same (reference: behaviour section 3.2).
    } else if (request_.limit() > 0 && progress.taken == request_.limit()) {
      progress.more = true;
      uncounted = !filtered;
    } else {
      ++progress.taken;
      RecordView wanted = record;
      if (request_.keys_only()) wanted.value = {};
      const size_t size = KeyValueSize(key, wanted);
      if (!bounds.measure) AppendKeyValueField(kKvsTag, key, wanted, size, piece.kvs);
      piece.bytes += KeyValueFieldSize(size);
      full = ++piece.keys >= bounds.keys_max || piece.bytes >= bounds.bytes_max;
    }
    stopped = full || progress.met - from.met >= kKeysLookedAtMax;
    if (stopped) progress.next_key.assign(key).push_back('\0');
    return !stopped && !uncounted;
  });
  piece.last = !stopped || uncounted || rest.single;
  if (piece.last) piece.count = progress.more && !filtered ? Count() : progress.met;
  return piece;
}

}  // namespace conclave::kv
