// Who a member without data is: by the flags alone if it starts a cluster with others, by what a
// running cluster says if it joins one. Asks the members of --initial-cluster in both cases, since
// even a new member may have run before (its data is gone then). Called by main before anything of
// the member is there.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/bootstrap/identity.h"
#include "server/config/config.h"
#include "server/net/event_loop.h"

namespace conclave::server {

// Turns `loop`, for a few seconds at most; nothing else may be on it. `config` is completed and
// checked (CheckInitialCluster). Errors are one line that names the flag.
absl::StatusOr<Identity> IdentityOfNewMember(const ServerConfig& config, EventLoop* loop,
                                             uint64_t seed);

}  // namespace conclave::server
