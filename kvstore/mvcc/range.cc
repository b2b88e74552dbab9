#include "kvstore/mvcc/range.h"

#include <algorithm>
#include <limits>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using mvccpb::KeyValue;

// A count of the past is the count of now less the growth since, unless more events lie between
// than there are keys to count. So few events are always looked at.
constexpr size_t kGrowthEventsMin = 1000;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// One Range being answered.
class RangeRead {
 public:
  RangeRead(const RangeSource& source, const RangeRequest& request, int64_t current)
      : source_(source),
        request_(request),
        span_(KeySpan::Of(request.key(), request.range_end())),
        latest_(request.revision() <= 0 || request.revision() == current) {}

  // False if there were too many bytes.
  bool FillIn(RangeResponse& response) const;
  int64_t Count() const;

 private:
  // The last keys first, if it is only a few of them that are wanted.
  bool Backward() const;
  // By what the results are sorted; NONE if they come in the right order.
  RangeRequest::SortOrder Order() const;
  // Results to collect: one more than wanted, to know whether there are more.
  int64_t CollectMax() const;
  void Scan(VisitRecord visit) const;
  // How many keys were met, fewer than there are if enough were collected; nothing if there were
  // too many bytes.
  std::optional<int64_t> Collect(RangeResponse& response) const;
  void Sort(RangeResponse& response) const;

  const RangeSource& source_;
  const RangeRequest& request_;
  const KeySpan span_;
  const bool latest_;
};

bool RangeRead::Backward() const {
  return latest_ && request_.sort_target() == RangeRequest::KEY &&
         request_.sort_order() == RangeRequest::DESCEND && request_.limit() > 0 &&
         !IsFiltered(request_) && !source_.amid_drain;
}

RangeRequest::SortOrder RangeRead::Order() const {
  const RangeRequest::SortOrder order = request_.sort_order();
  if (request_.sort_target() != RangeRequest::KEY) {
    return order == RangeRequest::NONE ? RangeRequest::ASCEND : order;
  }
  return order == RangeRequest::DESCEND && !Backward() ? order : RangeRequest::NONE;
}

int64_t RangeRead::CollectMax() const {
  if (request_.limit() <= 0 || IsFiltered(request_)) return kUnlimited;
  // Without an order of its own the sort only sees the first keys: a quirk that clients may know
  // (reference 3.2).
  const bool sorts_all =
      request_.sort_order() != RangeRequest::NONE && Order() != RangeRequest::NONE;
  if (sorts_all || request_.limit() == kUnlimited) return kUnlimited;
  return request_.limit() + 1;
}

int64_t RangeRead::Count() const {
  if (latest_) {
    if (span_.single) return source_.latest->Get(span_.begin).has_value();
    return source_.count_latest(span_);
  }
  if (!span_.single && !source_.amid_drain) {
    const int64_t now = source_.count_latest(span_);
    const size_t events_max = std::max(kGrowthEventsMin, static_cast<size_t>(now));
    const std::optional<int64_t> growth =
        source_.past->GrowthSince(span_, request_.revision(), events_max);
    if (growth) return now - *growth;
  }
  return source_.past->Count(span_, request_.revision());
}

void RangeRead::Scan(VisitRecord visit) const {
  if (!latest_) {
    source_.past->Scan(span_, request_.revision(), visit);
  } else if (Backward()) {
    source_.latest->ScanBackward(span_, visit);
  } else {
    source_.latest->Scan(span_, visit);
  }
}

std::optional<int64_t> RangeRead::Collect(RangeResponse& response) const {
  const int64_t collect_max = CollectMax();
  const bool needs_values = !request_.keys_only() || request_.sort_target() == RangeRequest::VALUE;
  int64_t met = 0;
  size_t bytes = 0;
  bool too_many_bytes = false;
  Scan([&](std::string_view key, const RecordView& record) {
    ++met;
    if (!PassesFilters(request_, record)) return true;
    RecordView wanted = record;
    if (!needs_values) wanted.value = {};
    bytes += key.size() + wanted.value.size();
    too_many_bytes = bytes > source_.bytes_max && response.kvs_size() > 0;
    if (too_many_bytes) return false;
    FillKeyValue(key, wanted, *response.add_kvs());
    return response.kvs_size() < collect_max;
  });
  if (too_many_bytes) return std::nullopt;
  return met;
}

void RangeRead::Sort(RangeResponse& response) const {
  const RangeRequest::SortTarget target = request_.sort_target();
  const auto less = [target](const KeyValue* a, const KeyValue* b) {
    switch (target) {
      case RangeRequest::VERSION:
        return a->version() < b->version();
      case RangeRequest::CREATE:
        return a->create_revision() < b->create_revision();
      case RangeRequest::MOD:
        return a->mod_revision() < b->mod_revision();
      case RangeRequest::VALUE:
        return a->value() < b->value();
      default:
        return a->key() < b->key();
    }
  };
  auto& kvs = *response.mutable_kvs();
  // Stable, so that every member answers alike where the order is open.
  if (Order() == RangeRequest::ASCEND) {
    std::stable_sort(kvs.pointer_begin(), kvs.pointer_end(), less);
  } else {
    std::stable_sort(kvs.pointer_begin(), kvs.pointer_end(),
                     [&](const KeyValue* a, const KeyValue* b) { return less(b, a); });
  }
}

bool RangeRead::FillIn(RangeResponse& response) const {
  if (request_.count_only()) {
    response.set_count(Count());
    return true;
  }
  const std::optional<int64_t> met = Collect(response);
  if (!met) return false;
  auto& kvs = *response.mutable_kvs();
  const bool saw_all = kvs.size() < CollectMax();
  response.set_count(saw_all ? *met : Count());
  if (Order() != RangeRequest::NONE) Sort(response);
  if (request_.limit() > 0 && kvs.size() > request_.limit()) {
    kvs.DeleteSubrange(static_cast<int>(request_.limit()),
                       kvs.size() - static_cast<int>(request_.limit()));
    response.set_more(true);
  }
  if (request_.keys_only()) {
    for (KeyValue& kv : kvs) kv.clear_value();
  }
  return true;
}

RangeSource SourceOf(const KeySpace& keys) {
  return {.latest = &keys.latest,
          .past = &keys.past,
          .amid_drain = !keys.drain.changed().empty(),
          .count_latest = [&keys](const KeySpan& span) { return CountLatest(keys, span); }};
}

}  // namespace

absl::Status CheckReadable(const KeySpace& keys, int64_t revision) {
  if (revision > keys.revision) {
    SIM_REACHED("kv.range.refused_future");
    return ErrFutureRevision();
  }
  if (revision > 0 && revision < keys.compact_revision) {
    SIM_REACHED("kv.range.refused_compacted");
    return ErrCompacted();
  }
  return absl::OkStatus();
}

bool IsFiltered(const RangeRequest& request) {
  return request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
         request.min_create_revision() != 0 || request.max_create_revision() != 0;
}

bool PassesFilters(const RangeRequest& request, const RecordView& record) {
  const auto within = [](int64_t value, int64_t min, int64_t max) {
    return (min == 0 || value >= min) && (max == 0 || value <= max);
  };
  return within(record.mod.main, request.min_mod_revision(), request.max_mod_revision()) &&
         within(record.create_revision, request.min_create_revision(),
                request.max_create_revision());
}

bool EndsAtLimit(const RangeRequest& request) {
  return !IsFiltered(request) &&
         (request.sort_order() == RangeRequest::NONE || request.sort_target() == RangeRequest::KEY);
}

int64_t CountLatest(const KeySpace& keys, const KeySpan& span) {
  return keys.counts.Count(span, [&](const KeySpan& part) {
    int64_t count = 0;
    keys.latest.Scan(part, [&](std::string_view, const RecordView&) {
      ++count;
      return true;
    });
    return count;
  });
}

void ReadRange(const KeySpace& keys, const RangeRequest& request, int64_t current,
               RangeResponse& response) {
  CHECK(ReadRange(SourceOf(keys), request, current, response));
}

bool ReadShortRange(const KeySpace& keys, const RangeRequest& request, size_t bytes_max,
                    RangeResponse& response) {
  RangeSource source = SourceOf(keys);
  source.bytes_max = bytes_max;
  return ReadRange(source, request, keys.revision, response);
}

bool ReadRange(const RangeSource& source, const RangeRequest& request, int64_t current,
               RangeResponse& response) {
  response.mutable_header()->set_revision(current);
  return RangeRead(source, request, current).FillIn(response);
}

int64_t CountRange(const RangeSource& source, const RangeRequest& request, int64_t current) {
  return RangeRead(source, request, current).Count();
}

bool MayBeLong(const KeySpace& keys, const RangeRequest& request, int64_t keys_max) {
  if (request.revision() <= 0) {  // of the past, even a count may take long
    const bool limited = request.limit() > 0 && request.limit() <= keys_max;
    if (request.count_only() || (limited && EndsAtLimit(request))) return false;
  }
  const KeySpan span = KeySpan::Of(request.key(), request.range_end());
  return keys.counts.AtMost(span, keys_max + 1) > keys_max;
}

LongRange::LongRange(const KeySpace& keys, const RangeRequest& request)
    : request_(request),
      revision_(keys.revision),
      count_(request_.range_end().empty()
                 ? 0
                 : CountLatest(keys, KeySpan::Of(request_.key(), request_.range_end()))),
      view_(keys.engine->NewView()) {
  CHECK(keys.drain.empty());
}

void LongRange::Read(RangeResponse& response) const {
  const Drain nothing;
  const Latest latest(view_.get(), &nothing, nullptr);
  const Past past(view_.get());
  const RangeSource source = {.latest = &latest,
                              .past = &past,
                              .amid_drain = false,
                              .count_latest = [this](const KeySpan&) { return count_; }};
  CHECK(ReadRange(source, request_, revision_, response));
}

}  // namespace conclave::kv
