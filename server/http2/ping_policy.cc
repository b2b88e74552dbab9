#include "server/http2/ping_policy.h"

#include <utility>

namespace conclave::server {

namespace {

constexpr int kStrikesForgiven = 2;
// With no stream open keepalive has no business: then only pings this far apart are no strike.
constexpr Duration kIntervalWithoutStream = Seconds(2 * 60 * 60);

}  // namespace

bool PingPolicy::OnPing(Instant now, bool has_streams) {
  const Instant previous = std::exchange(last_ping_, now);
  if (std::exchange(forgive_, false)) {
    strikes_ = 0;
    return true;
  }
  const Duration interval = has_streams || options_.client_ping_without_stream
                                ? options_.client_ping_interval_min
                                : kIntervalWithoutStream;
  const bool too_early = previous != Instant::min() && now - previous < interval;
  if (too_early) ++strikes_;
  return strikes_ <= kStrikesForgiven;
}

}  // namespace conclave::server
