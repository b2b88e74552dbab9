#include "server/api/service.h"

#include <string>

#include "kvstore/errors.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

bool ParseRequest(const CallRef& call, std::string_view bytes,
                  google::protobuf::MessageLite& request) {
  if (request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
  call->Finish(
      absl::InternalError("grpc: error unmarshalling request: malformed " + request.GetTypeName()));
  return false;
}

bool WantsLeader(const Call& call) { return call.Metadata("hasleader") == "true"; }

bool CheckLeader(const ApiContext& context, const CallRef& call) {
  if (context.node->leader() != raft::kNoNode || !WantsLeader(*call)) return true;
  call->Finish(kv::ErrNoLeader());
  return false;
}

bool CheckNoLearner(const ApiContext& context, const CallRef& call) {
  if (!context.node->IsLearner()) return true;
  call->Finish(kv::ErrNotSupportedForLearner());
  return false;
}

bool CheckNotFenced(const ApiContext& context, const CallRef& call) {
  if (!context.node->fenced() || SEEDED_BUG(kFencedServes)) return true;
  SIM_REACHED("api.fenced.refused");
  call->Finish(kv::ErrCorrupt());
  return false;
}

std::string WithoutPatch(const std::string& version) {
  return version.substr(0, version.rfind('.')) + ".0";
}

absl::Status CheckSize(const ApiContext& context, std::string_view request) {
  if (request.size() + kv::kCommandHeaderBytes <= context.options->max_request_bytes) {
    return absl::OkStatus();
  }
  return kv::ErrRequestTooLarge();
}

absl::StatusOr<kv::RequestIdentity> IdentityOf(const Call& call, std::string_view as_sent) {
  const std::optional<std::string_view> id = call.Metadata(kv::kRequestIdMetadata);
  if (!id) return kv::RequestIdentity();
  if (!kv::IsRequestId(*id)) return kv::ErrBadRequestId();
  return kv::RequestIdentity{.id = *id, .fingerprint = kv::FingerprintOf(as_sent)};
}

absl::Status CheckQuota(const ApiContext& context, uint64_t bytes) {
  if (bytes == 0 || context.node->space().HasRoomFor(bytes)) return absl::OkStatus();
  SIM_REACHED("api.space.over_quota");
  return kv::ErrNoSpace();
}

absl::Status CheckSpace(const ApiContext& context) {
  if (!IsOutOfSpace(context.node->store()) || SEEDED_BUG(kPutWithoutSpace)) {
    return absl::OkStatus();
  }
  SIM_REACHED("api.space.refused");
  return kv::ErrNoSpace();
}

absl::Status CheckSound(const ApiContext& context) {
  return context.node->store().IsCorrupt() ? kv::ErrCorrupt() : absl::OkStatus();
}

}  // namespace conclave::server
