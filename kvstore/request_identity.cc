#include "kvstore/request_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "raft/base/crc32c.h"

namespace conclave::kv {

bool IsRequestId(std::string_view id) {
  if (id.size() < kRequestIdBytesMin || id.size() > kRequestIdBytesMax) return false;
  return std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

uint64_t FingerprintOf(std::string_view request) {
  return static_cast<uint64_t>(request.size()) << 32 | Crc32c(request);
}

absl::Status ErrBadRequestId() {
  return absl::InvalidArgumentError(
      fmt::format("conclave: {} must be {} to {} printable ASCII characters without spaces",
                  kRequestIdMetadata, kRequestIdBytesMin, kRequestIdBytesMax));
}

absl::Status ErrRequestIdReused() {
  return absl::FailedPreconditionError(
      fmt::format("conclave: {} was used before, for another request", kRequestIdMetadata));
}

absl::Status ErrResponseNotKept(int64_t revision) {
  return absl::AlreadyExistsError(fmt::format(
      "conclave: the request was carried out before, as of revision {}, and its response was too "
      "large to keep",
      revision));
}

}  // namespace conclave::kv
