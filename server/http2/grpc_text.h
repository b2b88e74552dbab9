// The small texts of the gRPC protocol over HTTP/2: content types, timeouts, and messages in
// trailers. Pure functions, any lane. Source of the rules: the gRPC specification "gRPC over HTTP2"
// (PROTOCOL-HTTP2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "raft/base/time.h"

namespace conclave::server {

// "application/grpc", also with "+proto" or ";charset" behind it.
bool IsGrpcContentType(std::string_view value);

// A grpc-timeout header: up to 8 digits and one of H M S m u n. nullopt if it is not one. What does
// not fit a Duration is its greatest value.
std::optional<Duration> ParseGrpcTimeout(std::string_view value);

// `message` as a grpc-message trailer carries it: all but printable ASCII, and the percent sign, as
// %XX.
std::string PercentEncode(std::string_view message);

}  // namespace conclave::server
