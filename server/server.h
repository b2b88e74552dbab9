// The server as a whole: a node, the network it talks to its peers by, and the front end that
// serves clients. Made and destroyed by main; everything runs on the loop's lane.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/clock.h"
#include "raft/base/executor.h"
#include "server/api/leader_guard.h"
#include "server/api/lease_keeper.h"
#include "server/api/member_keeper.h"
#include "server/api/service.h"
#include "server/bootstrap/last_members.h"
#include "server/config/config.h"
#include "server/http2/server.h"
#include "server/lanes/io_lanes.h"
#include "server/net/event_loop.h"
#include "server/peer/peer_network.h"
#include "server/rpc/dispatch.h"
#include "server/stages/node.h"
#include "server/storage.h"
#include "server/telemetry.h"

namespace conclave::server {

// What the server runs on.
struct ServerLanes {
  EventLoop* loop = nullptr;
  Executor* background = nullptr;  // as of NodeParts, like the next two
  Executor* reads = nullptr;
  std::vector<Executor*> disk_reads = {};
};

class Server : private NodeObserver {
 public:
  // Listens for peers and clients and joins its cluster. Errors are one line for the user. Nothing
  // is owned. `stop_wanted` runs when this member was removed from its cluster and should end; at
  // most once, in a task of its own.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                                       const ServerLanes& lanes, Clock* clock,
                                                       Storage* storage, uint64_t seed,
                                                       Task stop_wanted);
  ~Server() override;

  // Hands leadership over, lets open calls end, stops listening; then `done`. At most once.
  void Stop(Task done);

 private:
  Server(const ServerConfig& config, const ServerLanes& lanes, Clock* clock, Storage* storage,
         Task stop_wanted);

  absl::Status StartPeers(uint64_t seed);
  void StartNode(uint64_t seed);
  absl::Status StartClients();
  absl::Status Listen(Http2Server& server, const std::vector<Url>& urls, const char* flag);
  Http2Options FrontEndOptions() const;

  void OnRoleChange(const raft::RoleChange& change) override;
  void OnPublished() override;
  void OnMembersChanged() override;
  void OnRemoved() override;

  // Everybody this member must be able to talk to: by what its log and store say; until it has
  // applied its own addition, first of all by what it was told when it joined; and while its state
  // is lost, by what it knew last.
  std::vector<PeerAddress> Peers() const;
  void KeepMembers();
  bool KnowsItself() const;
  // `who_says` is for the log.
  void EndRemoved(std::string_view who_says);
  void OnSpaceNews(SpaceNews news) override;
  void OnIntegrityNews(IntegrityNews news, raft::NodeId member) override;
  void OnSnapshotNews(std::string_view line) override;

  const ServerConfig& config_;
  const ServerLanes lanes_;
  EventLoop* const loop_;
  Clock* const clock_;
  Storage* const storage_;
  Task stop_wanted_;

  ApiOptions api_options_;
  LastMembers last_members_;
  const ReadPortion read_portion_;  // of clients' connections
  std::unique_ptr<PeerNetwork> peers_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<LeaderGuard> leader_guard_;
  std::unique_ptr<LeaseKeeper> lease_keeper_;
  std::unique_ptr<MemberKeeper> member_keeper_;
  std::unique_ptr<RangeBudget> range_budget_;
  DispatchTable methods_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<Http2Server> clients_;  // with I/O lanes, it only listens
  std::unique_ptr<IoLanes> io_lanes_;
  std::unique_ptr<Http2Server> metrics_only_;
  TimerId removal_timer_ = 0;
  bool removed_ = false;
};

}  // namespace conclave::server
