// What the server keeps of a gRPC request's headers: the method, whether it is gRPC at all, the
// timeout, and the few metadata that services read (reference: wire section 1.1; and our own,
// kvstore/request_identity.h). All others pass by uncopied. On the call's lane.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "raft/base/time.h"
#include "server/rpc/dispatch.h"

namespace conclave::server {

class RequestHeaders {
 public:
  // `methods` resolves the path; it must outlive this.
  explicit RequestHeaders(const DispatchTable* methods) : methods_(methods) {}

  // Takes note of one header; both views are valid during the call only. Of a name that comes twice
  // the first value counts.
  void Add(std::string_view name, std::string_view value);

  // nullptr if the path was unknown or missing.
  const Method* method() const { return method_; }
  // How long the client waits; nullopt if it did not say.
  std::optional<Duration> timeout() const { return timeout_; }
  // One of the metadata kept, by its lower-case name.
  std::optional<std::string_view> Metadata(std::string_view name) const;
  // Size as RFC 9113 section 6.5.2 counts it: names, values and 32 bytes for each.
  size_t list_bytes() const { return list_bytes_; }

  // Why the call cannot be served, with the HTTP status that says so to clients that are not gRPC's
  // (200 for those that are).
  struct Refusal {
    int http_status = 200;
    absl::Status status;
  };
  // nullopt if the call can be served. Codes and texts are grpc-go's.
  std::optional<Refusal> Check() const;

 private:
  struct Slot {
    bool present = false;
    uint32_t offset = 0;  // into text_
    uint32_t size = 0;
  };
  // Headers kept as text: metadata, and what an error message needs.
  enum Kept : size_t {
    kToken,
    kAuthorization,
    kHasLeader,
    kClientApiVersion,
    kGatewayAccept,
    kRequestId,
    kPath,         // only an unknown one
    kContentType,  // only one that is not gRPC's
    kVerb,         // only if it is not POST
    kEncoding,     // only if it is not identity
    kBadTimeout,
    kKeptCount,
  };

  void Keep(Kept which, std::string_view value);
  std::optional<std::string_view> Get(Kept which) const;

  const DispatchTable* methods_;
  const Method* method_ = nullptr;
  std::optional<Duration> timeout_;
  bool is_grpc_ = false;
  bool is_post_ = false;
  size_t list_bytes_ = 0;
  std::array<Slot, kKeptCount> slots_;
  std::string text_;
};

}  // namespace conclave::server
