// The id that a client may give a write, so that it can send the write again without its being done
// twice (docs/request-identity.md): what an id looks like, how requests under one id are told
// apart, and the errors that only such requests meet. Pure functions, any lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace conclave::kv {

// The gRPC metadata that carries the id.
inline constexpr std::string_view kRequestIdMetadata = "conclave-request-id";
// Long enough that clients which draw theirs at random never meet.
inline constexpr size_t kRequestIdBytesMin = 16;
inline constexpr size_t kRequestIdBytesMax = 64;

struct RequestIdentity {
  std::string_view id = {};  // empty: the request has none
  // FingerprintOf the request as its client sent it; what is replicated may differ from that, such
  // as by the id that a member has drawn for a lease.
  uint64_t fingerprint = 0;

  bool present() const { return !id.empty(); }
};

// From kRequestIdBytesMin to kRequestIdBytesMax printable ASCII characters, none of them a space.
bool IsRequestId(std::string_view id);

// Tells a client's mistake, one id for two requests; no defence against somebody who wants two to
// look alike, for it would be his own id. On disk: never change it.
uint64_t FingerprintOf(std::string_view request);

// InvalidArgument: the metadata holds no such id.
absl::Status ErrBadRequestId();
// FailedPrecondition: the id belongs to another request. This one has no effect.
absl::Status ErrRequestIdReused();
// AlreadyExists: the request was carried out before, as of `revision`, and its response was too
// large to be kept.
absl::Status ErrResponseNotKept(int64_t revision);

}  // namespace conclave::kv
