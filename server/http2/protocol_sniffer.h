// Tells the protocol of a new connection by its first bytes, so that one port serves gRPC and plain
// HTTP (reference: wire section 1). A pure function, any lane.
#pragma once

#include <string_view>

namespace conclave::server {

enum class Protocol {
  kUndecided,  // what is there fits more than one; wait for more
  kHttp2,      // the client preface (RFC 9113 section 3.4), as far as it is there
  kHttp1,      // a request line begins
  kUnknown,    // neither: TLS on a plaintext port, or noise
};

// `first_bytes`: everything received so far. Decided within the first 24 bytes.
Protocol SniffProtocol(std::string_view first_bytes);

// What every HTTP/2 client sends first: 24 bytes.
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace conclave::server
