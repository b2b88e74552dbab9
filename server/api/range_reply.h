// Ranges that are not small, answered in pieces: each is read on the lane for long reads, as one
// encoded string, when the client's flow control window has room for it. A range takes up about as
// much memory as it has reserved of RangeBudget, whatever its size and however slow its client.
//
// All pieces are of one revision. The view of the engine that gives them is held for a minute at
// most, and not while there is no room for a piece; then reading goes on in a new view, out of
// history, and fails with ErrCompacted if the revision has been compacted meanwhile. A client that
// takes nothing for a minute is given up. Called by the KV service; on the raft lane.
#pragma once

#include <cstddef>

#include "kvstore/proto/rpc.pb.h"
#include "raft/base/time.h"
#include "server/api/range_budget.h"
#include "server/rpc/call.h"

namespace conclave::server {

struct ApiContext;

struct RangeReplyOptions {
  RangeBudgetOptions budget = {};
  size_t first_chunk_keys = 10;  // of a RangeStream (reference: behaviour section 3.3)
  // A unary answer of so many bytes is read once. So is one of so many if there is memory for it at
  // that moment; else it is read twice.
  size_t whole_bytes_max = 1 << 20;
  size_t collected_bytes_max = 64 << 20;
  size_t part_bytes = 256 << 10;  // in which it is read and sent
  Duration view_age_max = Seconds(60);
  // How often a client that leaves no room is looked at: the view goes the first time, and the call
  // when nothing was taken for stalled_max.
  Duration room_check_interval = Seconds(5);
  Duration stalled_max = Seconds(60);
};

// KV/Range of a valid request that Store::RangeIfShort has declined. May be called as long as the
// call is open. In the order of the keys the answer may have any size that a message can have; a
// range that must be sorted is in memory as a whole, which is refused with ResourceExhausted if
// that is more than the whole budget.
void ReplyLongRange(const ApiContext& context, const CallRef& call,
                    const etcdserverpb::RangeRequest& request);

// KV/RangeStream of a valid request: chunks in the order of the keys, the first of few keys, later
// ones of twice as many while they are below half of max_request_bytes, none of more than that and
// one result. Only the last one, which may have no results, has header, more and count.
void ReplyRangeStream(const ApiContext& context, const CallRef& call,
                      const etcdserverpb::RangeRequest& request);

}  // namespace conclave::server
