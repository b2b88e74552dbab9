// Who a member without data is: by the flags alone if it starts a cluster with others, by what a
// running cluster says if it joins one. Asks the members of --initial-cluster in both cases, since
// even a new member may have run before (its data is gone then). Called by main before anything of
// the member is there.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "server/bootstrap/identity.h"
#include "server/config/config.h"
#include "server/net/event_loop.h"

namespace conclave::server {

struct JoinOptions {
  uint64_t seed = 0;  // of the pauses between attempts to connect
  // Looked at after each turn of the loop, whose tasks may change it: true gives up.
  std::function<bool()> stop_wanted = [] { return false; };
  // A member of a cluster that starts finds the others not there yet, most of the time; one that
  // joins needs an answer, and may have to wait for a leader or for its own addition.
  Duration patience_of_new = Seconds(3);
  Duration patience_of_joining = Seconds(10);
  Duration ask_again = Seconds(1);
};

// Turns `loop`, for as long as patience says; nothing else may be on it. `config` is completed and
// checked (CheckInitialCluster). Errors are one line that names the flag; Cancelled if it gave up.
absl::StatusOr<Identity> IdentityOfNewMember(const ServerConfig& config, EventLoop* loop,
                                             const JoinOptions& options);

}  // namespace conclave::server
