// Range reads with all their options (reference: behaviour section 3.2), of the latest state or of
// the past. Called by Store and, inside transactions, by txn.h; apply lane, but for LongRange.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// Whether a Range may read `revision`. Errors: future revision, compacted.
absl::Status CheckReadable(const KeySpace& keys, int64_t revision);

// Fills in all but the header's other fields. `current` is the revision that the reader sees as the
// newest: one ahead of keys.revision inside a transaction that has changed something. The request
// has been validated and its revision is readable.
void ReadRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request, int64_t current,
               etcdserverpb::RangeResponse& response);

// As ReadRange, unless the keys and values of the answer have more than `bytes_max` bytes and there
// is more than one: then false, and the response is not whole.
bool ReadShortRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request,
                    size_t bytes_max, etcdserverpb::RangeResponse& response);

// What a range is read from.
struct RangeSource {
  const Latest* latest = nullptr;
  const Past* past = nullptr;
  bool amid_drain = false;  // the drain under way has changed latest records
  std::function<int64_t(const KeySpan& span)> count_latest;  // of a span that is not single
  size_t bytes_max = std::numeric_limits<size_t>::max();     // as of ReadShortRange
};
bool ReadRange(const RangeSource& source, const etcdserverpb::RangeRequest& request,
               int64_t current, etcdserverpb::RangeResponse& response);

// What Range answers as `count`, without reading records.
int64_t CountRange(const RangeSource& source, const etcdserverpb::RangeRequest& request,
                   int64_t current);

// Whether the request has bounds for revisions, and whether a record is within them.
bool IsFiltered(const etcdserverpb::RangeRequest& request);
bool PassesFilters(const etcdserverpb::RangeRequest& request, const RecordView& record);

// A limit ends the scan: the first keys in order, or the last, are the ones wanted.
bool EndsAtLimit(const etcdserverpb::RangeRequest& request);

int64_t CountLatest(const KeySpace& keys, const KeySpan& span);

// Whether it may have to look at more than `keys_max` keys. Cheap, and never says no wrongly.
bool MayBeLong(const KeySpace& keys, const etcdserverpb::RangeRequest& request, int64_t keys_max);

// A range of the state as it is now, to be read whole by another lane, however long that takes: for
// those whose results have to be sorted (range_view.h is for the others). Made
// between drains, of a request whose revision is readable; the engine must outlive it.
class LongRange {
 public:
  LongRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request);
  void Read(etcdserverpb::RangeResponse& response) const;

 private:
  const etcdserverpb::RangeRequest request_;
  const int64_t revision_;
  const int64_t count_;  // of the keys that live now; of a single one nobody asks
  const std::unique_ptr<EngineView> view_;
};

}  // namespace conclave::kv
