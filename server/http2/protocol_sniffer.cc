#include "server/http2/protocol_sniffer.h"

#include <algorithm>

namespace conclave::server {

namespace {

// A method and the space after it are over within so many bytes, for every method in use.
constexpr size_t kMethodBytesMax = 16;

}  // namespace

Protocol SniffProtocol(std::string_view first_bytes) {
  const size_t shared = std::min(first_bytes.size(), kHttp2Preface.size());
  if (first_bytes.substr(0, shared) == kHttp2Preface.substr(0, shared)) {
    return shared == kHttp2Preface.size() ? Protocol::kHttp2 : Protocol::kUndecided;
  }
  // "PRI * HTTP/2.0" with a different rest is nobody's request.
  if (first_bytes.starts_with("PRI ")) return Protocol::kUnknown;
  for (size_t i = 0; i < std::min(first_bytes.size(), kMethodBytesMax); ++i) {
    const char c = first_bytes[i];
    if (c == ' ' && i > 0) return Protocol::kHttp1;
    if (c < 'A' || c > 'Z') return Protocol::kUnknown;
  }
  return first_bytes.size() < kMethodBytesMax ? Protocol::kUndecided : Protocol::kUnknown;
}

}  // namespace conclave::server
