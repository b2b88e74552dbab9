#include "server/bootstrap/joining.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"
#include "server/config/flags.h"

namespace conclave::server {
namespace {

using etcdserverpb::Member;
using peerpb::MembersResponse;

// "m1 (8e9e05c52164694d) at http://127.0.0.1:2380"
std::string Describe(const Member& member) {
  const std::string name = member.name().empty() ? "a member" : member.name();
  return fmt::format("{} ({}) at {}", name, HexId(member.id()), fmt::join(member.peerurls(), ","));
}

// The text of --initial-cluster that would do.
std::string ClusterText(const ServerConfig& config, const MembersResponse& cluster) {
  std::vector<std::string> parts;
  for (const Member& member : cluster.members()) {
    const std::string& name = member.name().empty() ? config.name : member.name();
    for (const std::string& url : member.peerurls()) parts.push_back(name + "=" + url);
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

bool IsAt(const Member& member, const ClusterMember& configured) {
  const std::vector<std::string> urls(member.peerurls().begin(), member.peerurls().end());
  return SameUrls(urls, ToStrings(configured.peer_urls));
}

// nullptr if the cluster has none there.
const Member* FindMember(const MembersResponse& cluster, const ClusterMember& configured) {
  const auto found = std::find_if(cluster.members().begin(), cluster.members().end(),
                                  [&](const Member& member) { return IsAt(member, configured); });
  return found == cluster.members().end() ? nullptr : &*found;
}

absl::Status CheckNamesCluster(const ServerConfig& config, const MembersResponse& cluster) {
  const size_t size = static_cast<size_t>(cluster.members_size());
  if (config.initial_cluster.size() != size) {
    return absl::InvalidArgumentError(fmt::format(
        "--initial-cluster: member count is unequal: expected the {} members of the running "
        "cluster, \"{}\", after this one was added by etcdctl member add, but it is \"{}\"",
        size, ClusterText(config, cluster), FormatInitialCluster(config.initial_cluster)));
  }
  const bool matched = std::all_of(
      config.initial_cluster.begin(), config.initial_cluster.end(),
      [&](const ClusterMember& member) { return FindMember(cluster, member) != nullptr; });
  if (!matched) {
    return absl::InvalidArgumentError(fmt::format(
        "--initial-cluster: unmatched member while checking PeerURLs: expected the members of the "
        "running cluster, \"{}\", but it is \"{}\"",
        ClusterText(config, cluster), FormatInitialCluster(config.initial_cluster)));
  }
  return absl::OkStatus();
}

InitialMember InitialMemberOf(const Member& member) {
  InitialMember initial{raft::NodeId(member.id()),
                        member.name(),
                        {member.peerurls().begin(), member.peerurls().end()}};
  std::sort(initial.peer_urls.begin(), initial.peer_urls.end());
  return initial;
}

std::vector<InitialMember> InitialMembersOf(
    const google::protobuf::RepeatedPtrField<Member>& members) {
  std::vector<InitialMember> list;
  for (const Member& member : members) list.push_back(InitialMemberOf(member));
  std::sort(list.begin(), list.end(),
            [](const InitialMember& a, const InitialMember& b) { return a.id < b.id; });
  return list;
}

std::string HowToAdd(const ServerConfig& config) {
  return fmt::format(
      "etcdctl member add {} --peer-urls={}, and start it with --initial-cluster-state=existing",
      config.name, fmt::join(ToStrings(config.initial_advertise_peer_urls), ","));
}

}  // namespace

absl::StatusOr<Identity> JoiningIdentity(const ServerConfig& config,
                                         const MembersResponse& cluster) {
  const Member* self = FindMember(cluster, {config.name, config.initial_advertise_peer_urls});
  // First, for the flags of one that was here before may be those of another time.
  if (self != nullptr) {
    absl::Status never_ran = CheckNeverRan(config, raft::NodeId(self->id()), cluster);
    if (!never_ran.ok()) return never_ran;
  }
  if (absl::Status status = CheckNamesCluster(config, cluster); !status.ok()) return status;
  CHECK(self != nullptr);  // --initial-cluster has it at these very URLs
  Identity identity;
  identity.cluster_id = cluster.cluster_id();
  identity.member_id = raft::NodeId(self->id());
  identity.name = config.name;
  identity.members = InitialMembersOf(cluster.initial_members());
  identity.members_at_join = InitialMembersOf(cluster.members());
  return identity;
}

absl::Status CheckNeverRan(const ServerConfig& config, raft::NodeId member,
                           const MembersResponse& cluster) {
  if (SEEDED_BUG(kWipedMemberRejoins)) return absl::OkStatus();
  const auto found =
      std::find_if(cluster.members().begin(), cluster.members().end(),
                   [member](const Member& known) { return known.id() == member.value(); });
  if (found == cluster.members().end() || found->name().empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "--data-dir: {} is empty, but {} has run before, and what it acknowledged is lost with its "
      "data: expected it to be replaced: etcdctl member remove {}, then {}",
      config.data_dir, Describe(*found), HexId(member), HowToAdd(config)));
}

absl::Status CheckMayStart(const ServerConfig& config, raft::NodeId member,
                           const MembersResponse& cluster) {
  const bool listed =
      std::any_of(cluster.members().begin(), cluster.members().end(),
                  [member](const Member& known) { return known.id() == member.value(); });
  if (cluster.up_to_date() && !listed) return ErrorOfRemoved(config, member);
  return CheckNeverRan(config, member, cluster);
}

absl::Status ErrorOfRemoved(const ServerConfig& config, raft::NodeId member) {
  return absl::FailedPreconditionError(
      fmt::format("--initial-cluster: member {} was removed from the cluster for good: expected it "
                  "to be added anew: {}",
                  HexId(member), HowToAdd(config)));
}

}  // namespace conclave::server
