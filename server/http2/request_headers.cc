#include "server/http2/request_headers.h"

#include "fmt/format.h"
#include "kvstore/request_identity.h"
#include "server/http2/grpc_text.h"

namespace conclave::server {

void RequestHeaders::Add(std::string_view name, std::string_view value) {
  constexpr size_t kOverhead = 32;
  list_bytes_ += name.size() + value.size() + kOverhead;
  if (name == ":path") {
    method_ = methods_->Find(value);
    if (method_ == nullptr) Keep(kPath, value);
  } else if (name == ":method") {
    is_post_ = value == "POST";
    if (!is_post_) Keep(kVerb, value);
  } else if (name == "content-type") {
    is_grpc_ = IsGrpcContentType(value);
    if (!is_grpc_) Keep(kContentType, value);
  } else if (name == "grpc-timeout") {
    timeout_ = ParseGrpcTimeout(value);
    if (!timeout_) Keep(kBadTimeout, value);
  } else if (name == "grpc-encoding") {
    if (!value.empty() && value != "identity") Keep(kEncoding, value);
  } else if (name == "token") {
    Keep(kToken, value);
  } else if (name == "authorization") {
    Keep(kAuthorization, value);
  } else if (name == "hasleader") {
    Keep(kHasLeader, value);
  } else if (name == "client-api-version") {
    Keep(kClientApiVersion, value);
  } else if (name == "grpcgateway-accept") {
    Keep(kGatewayAccept, value);
  } else if (name == kv::kRequestIdMetadata) {
    Keep(kRequestId, value);
  }
}

std::optional<std::string_view> RequestHeaders::Metadata(std::string_view name) const {
  if (name == "token") return Get(kToken);
  if (name == "authorization") return Get(kAuthorization);
  if (name == "hasleader") return Get(kHasLeader);
  if (name == "client-api-version") return Get(kClientApiVersion);
  if (name == "grpcgateway-accept") return Get(kGatewayAccept);
  if (name == kv::kRequestIdMetadata) return Get(kRequestId);
  return std::nullopt;
}

std::optional<RequestHeaders::Refusal> RequestHeaders::Check() const {
  if (!is_grpc_) {
    return Refusal{
        .http_status = 415,
        .status = absl::InvalidArgumentError(fmt::format("invalid gRPC request content-type \"{}\"",
                                                         Get(kContentType).value_or("")))};
  }
  if (!is_post_) {
    return Refusal{
        .http_status = 405,
        .status = absl::InternalError(fmt::format("received a {} request, where gRPC needs POST",
                                                  Get(kVerb).value_or("nameless")))};
  }
  if (method_ == nullptr) return Refusal{.status = methods_->Unknown(Get(kPath).value_or(""))};
  if (Get(kBadTimeout)) {
    return Refusal{.http_status = 400,
                   .status = absl::InternalError(
                       fmt::format("malformed grpc-timeout: \"{}\"", *Get(kBadTimeout)))};
  }
  if (Get(kEncoding)) {
    return Refusal{
        .status = absl::UnimplementedError(fmt::format(
            "grpc: Decompressor is not installed for grpc-encoding \"{}\"", *Get(kEncoding)))};
  }
  return std::nullopt;
}

void RequestHeaders::Keep(Kept which, std::string_view value) {
  Slot& slot = slots_[which];
  if (slot.present) return;
  slot = {.present = true,
          .offset = static_cast<uint32_t>(text_.size()),
          .size = static_cast<uint32_t>(value.size())};
  text_.append(value);
}

std::optional<std::string_view> RequestHeaders::Get(Kept which) const {
  const Slot& slot = slots_[which];
  if (!slot.present) return std::nullopt;
  return std::string_view(text_).substr(slot.offset, slot.size);
}

}  // namespace conclave::server
