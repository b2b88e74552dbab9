// Who a member is: its id, its cluster's id, and the members its cluster started with. Ids are
// those that etcd would give (reference: behaviour section 9.1), so that every member computes the
// same ones from the same flags. Used at start-up by data_dir.cc and main, and for the ids of
// members that are added; plain values, any lane.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/types.h"
#include "server/config/config.h"

namespace conclave::server {

// A member as the cluster was started with, or as this one knew it last (last_members.h).
struct InitialMember {
  raft::NodeId id;
  std::string name;
  std::vector<std::string> peer_urls;  // sorted

  friend bool operator==(const InitialMember&, const InitialMember&) = default;
};

struct Identity {
  uint64_t cluster_id = 0;
  raft::NodeId member_id;
  std::string name;
  // Whom the cluster was started with: where the log and the state machine of every member begin,
  // also of one that joined later. By id, ascending.
  std::vector<InitialMember> members;
  // Of a member that joined: who was in the cluster then, itself included. That is where it looks
  // for its peers until it has caught up with its own addition. Empty for those of the start.
  std::vector<InitialMember> members_at_join = {};

  bool joined() const { return !members_at_join.empty(); }

  friend bool operator==(const Identity&, const Identity&) = default;
};

// The id of a member that a cluster is started with. One that is added later has the seconds since
// the Unix epoch, in decimal, in place of the token.
raft::NodeId InitialMemberId(std::vector<std::string> peer_urls, std::string_view cluster_token);

// The id of the cluster that is started with these members.
uint64_t InitialClusterId(std::span<const InitialMember> members);

// The identity that a completed config gives a member without data. InvalidArgument names
// --initial-cluster if this member is not in it.
absl::StatusOr<Identity> InitialIdentity(const ServerConfig& config);

// The identity as kept in the data directory: JSON, for people to read too. DataLoss if the text is
// not one.
std::string EncodeIdentity(const Identity& identity);
absl::StatusOr<Identity> DecodeIdentity(std::string_view text);

// Members alone, likewise.
std::string EncodeMemberList(const std::vector<InitialMember>& members);
absl::StatusOr<std::vector<InitialMember>> DecodeMemberList(std::string_view text);

}  // namespace conclave::server
