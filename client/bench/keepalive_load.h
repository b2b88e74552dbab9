// A load of lease renewals: each slot has a LeaseKeepAlive stream, sends one renewal at a time on
// it, and takes the leases in turn.
#pragma once

#include "absl/status/status.h"
#include "client/bench/bench_options.h"
#include "client/bench/measurement.h"
#include "client/load/http2_client.h"

namespace conclave::client {

// Grants the leases (those that an earlier run left are used again), then renews until the
// measurement is over. Unavailable: no lease could be granted.
absl::Status RunKeepAliveLoad(Http2Loop& loop, const BenchOptions& options,
                              Measurement& measurement);

}  // namespace conclave::client
