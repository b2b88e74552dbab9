// What a member without data makes of what the members of a running cluster say (reference:
// behaviour section 9.3): which of them it is, or why it must not start. Used at start-up by
// server/join.cc; pure functions, any lane. Every error is one line that names the flag.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/bootstrap/identity.h"
#include "server/config/config.h"
#include "server/proto/peer.pb.h"

namespace conclave::server {

// Of a member with --initial-cluster-state=existing and a checked config (CheckInitialCluster). As
// etcd, it finds itself by its peer URLs, and --initial-cluster must name exactly the members that
// the cluster has. InvalidArgument if it does not; what CheckNeverRan says.
absl::StatusOr<Identity> JoiningIdentity(const ServerConfig& config,
                                         const peerpb::MembersResponse& cluster);

// FailedPrecondition if the cluster has heard from a member of this id before: then that had a
// vote, and has acknowledged what is lost with its data. To come back as if it had never voted
// could undo what was committed, so it must be replaced by a new member. OK proves something only
// if `cluster` is up to date.
absl::Status CheckNeverRan(const ServerConfig& config, raft::NodeId member,
                           const peerpb::MembersResponse& cluster);

// CheckNeverRan of a member that the cluster was started with, or ErrorOfRemoved if it is not there
// any more.
absl::Status CheckMayStart(const ServerConfig& config, raft::NodeId member,
                           const peerpb::MembersResponse& cluster);

// What is to be said of a member without data that was removed.
absl::Status ErrorOfRemoved(const ServerConfig& config, raft::NodeId member);

}  // namespace conclave::server
