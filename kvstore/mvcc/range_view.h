// A range of the state at one revision, in the order of its keys, read piece by piece and encoded
// as it is read: what a range costs in memory is what a piece has, however much the whole is. How
// far the reading has come is a value outside, so that it can go on in another view of the engine
// later, out of history if newer revisions have come. Made on the apply lane; read on any lane, one
// at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/key_space.h"
#include "kvstore/mvcc/range.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// Whether the results come in the order of their keys: those that RangeView can read.
bool IsInKeyOrder(const etcdserverpb::RangeRequest& request);

// How far the reading of a range has come.
struct RangeProgress {
  int64_t revision = 0;         // whose state it is; 0 before the first view
  int64_t header_revision = 0;  // the newest one when the reading began
  std::string next_key;         // the first that was not looked at; empty: none was
  int64_t met = 0;              // keys looked at
  int64_t taken = 0;            // of these, in the pieces so far
  bool more = false;            // the limit has left some out
};

struct RangePieceBounds {
  size_t keys_max = 0;   // results; at least one is read
  size_t bytes_max = 0;  // the piece ends with the result that reaches so many encoded bytes
  bool measure = false;  // only count what the results would take up
};

struct RangePiece {
  std::string kvs;     // encoded elements of RangeResponse.kvs; empty if it only measures
  uint64_t bytes = 0;  // of them
  uint64_t keys = 0;   // of them
  bool last = false;   // nothing is left
  int64_t count = 0;   // RangeResponse.count, in the last piece
  RangeProgress progress;
};

class RangeView {
 public:
  // Between drains, of a valid request, whose order is not looked at. `progress.revision`, or else
  // the request's, must be readable. Whoever reads with another progress than this one's must have
  // it from a view of the same range and revision. The engine must outlive the view.
  RangeView(const KeySpace& keys, const etcdserverpb::RangeRequest& request,
            const RangeProgress& progress);

  // Where the reading begins: `progress` as it was given, with its revisions.
  const RangeProgress& start() const { return start_; }

  // Reads on from `from`. A piece may have fewer results than its bounds allow, even none, and not
  // be the last: no call looks at more than some ten thousand keys.
  RangePiece Read(const RangeProgress& from, const RangePieceBounds& bounds) const;

 private:
  void Scan(const KeySpan& span, VisitRecord visit) const;
  int64_t Count() const;

  const etcdserverpb::RangeRequest request_;  // its revision is the pinned one
  const int64_t current_;                     // the newest revision in the view
  RangeProgress start_;
  const int64_t count_now_;  // of the keys that live in the view, if that may be asked
  const std::unique_ptr<EngineView> view_;
  const Drain nothing_{};
  const Latest latest_;
  const Past past_;
};

}  // namespace conclave::kv
