#include "server/bootstrap/joining.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
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

// The member that each of --initial-cluster stands for, in its order.
absl::StatusOr<std::vector<const Member*>> MatchMembers(const ServerConfig& config,
                                                        const MembersResponse& cluster) {
  std::vector<const Member*> matched;
  for (const ClusterMember& configured : config.initial_cluster) {
    const auto found = std::find_if(cluster.members().begin(), cluster.members().end(),
                                    [&](const Member& member) { return IsAt(member, configured); });
    if (found != cluster.members().end()) matched.push_back(&*found);
  }
  const size_t size = static_cast<size_t>(cluster.members_size());
  if (config.initial_cluster.size() != size) {
    return absl::InvalidArgumentError(fmt::format(
        "--initial-cluster: member count is unequal: expected the {} members of the running "
        "cluster, \"{}\", after this one was added by etcdctl member add, but it is \"{}\"",
        size, ClusterText(config, cluster), FormatInitialCluster(config.initial_cluster)));
  }
  if (matched.size() != size) {
    return absl::InvalidArgumentError(fmt::format(
        "--initial-cluster: unmatched member while checking PeerURLs: expected the members of the "
        "running cluster, \"{}\", but it is \"{}\"",
        ClusterText(config, cluster), FormatInitialCluster(config.initial_cluster)));
  }
  return matched;
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
  const absl::StatusOr<std::vector<const Member*>> matched = MatchMembers(config, cluster);
  if (!matched.ok()) return matched.status();
  Identity identity;
  identity.cluster_id = cluster.cluster_id();
  identity.name = config.name;
  for (size_t i = 0; i < matched->size(); ++i) {
    if (config.initial_cluster[i].name == config.name) {
      identity.member_id = raft::NodeId((*matched)[i]->id());
    }
  }
  identity.members = InitialMembersOf(cluster.initial_members());
  identity.members_at_join = InitialMembersOf(cluster.members());
  if (absl::Status status = CheckNeverRan(config, identity.member_id, cluster); !status.ok()) {
    return status;
  }
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

absl::Status ErrorOfRemoved(const ServerConfig& config, raft::NodeId member) {
  return absl::FailedPreconditionError(
      fmt::format("--initial-cluster: member {} was removed from the cluster for good: expected it "
                  "to be added anew: {}",
                  HexId(member), HowToAdd(config)));
}

}  // namespace conclave::server
