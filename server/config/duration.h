// Durations as etcd's flags write them: Go's syntax, such as "1h30m", "100ms" or "0". Used by the
// flags of this folder and their help text. Pure functions, any lane.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "raft/base/time.h"

namespace conclave::server {

// InvalidArgument if it is not a duration or exceeds 2^63 - 1 nanoseconds.
absl::StatusOr<Duration> ParseDuration(std::string_view text);

// The shortest such text: "2h", "1m30s", "0s".
std::string FormatDuration(Duration duration);

}  // namespace conclave::server
