// A watch load: puts of one key, each seen by many watchers. What counts are the events that
// arrive; an event's latency runs from the beginning of its put, whose time is the value.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/bench/bench_options.h"
#include "client/bench/measurement.h"
#include "client/load/http2_client.h"
#include "client/load/request_template.h"
#include "client/load/unary_load.h"

namespace conclave::client {

// What a WatchResponse on the wire holds, read without Protobuf.
struct WatchCounts {
  bool created = false;
  bool canceled = false;
  std::uint64_t events = 0;
  std::string_view last_event;  // within the response
};
WatchCounts CountWatchResponse(std::string_view response);

// Runs it: makes the watchers, one stream on each connection, waits until all are there, then puts
// until the measurement is over. Unavailable: a watcher could not be made.
absl::Status RunWatchLoad(Http2Loop& loop, const BenchOptions& options, Measurement& measurement);

}  // namespace conclave::client
