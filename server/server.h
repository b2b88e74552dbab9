// The server as a whole: a node, the network it talks to its peers by, and the front end that
// serves clients. Made and destroyed by main; everything runs on the loop's lane.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "raft/base/clock.h"
#include "raft/base/executor.h"
#include "server/api/leader_guard.h"
#include "server/api/lease_keeper.h"
#include "server/api/service.h"
#include "server/config/config.h"
#include "server/http2/server.h"
#include "server/net/event_loop.h"
#include "server/peer/peer_network.h"
#include "server/rpc/dispatch.h"
#include "server/stages/node.h"
#include "server/storage.h"
#include "server/telemetry.h"

namespace conclave::server {

class Server : private NodeObserver {
 public:
  // Listens for peers and clients and joins its cluster. Errors are one line for the user. Nothing
  // is owned.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config, EventLoop* loop,
                                                       Executor* background, Clock* clock,
                                                       Storage* storage, uint64_t seed);
  ~Server() override;

  // Hands leadership over, lets open calls end, stops listening; then `done`. At most once.
  void Stop(Task done);

 private:
  Server(const ServerConfig& config, EventLoop* loop, Executor* background, Clock* clock,
         Storage* storage);

  absl::Status StartPeers(uint64_t seed);
  void StartNode(uint64_t seed);
  absl::Status StartClients();
  absl::Status Listen(Http2Server& server, const std::vector<Url>& urls, const char* flag);
  Http2Options FrontEndOptions() const;

  void OnRoleChange(const raft::RoleChange& change) override;
  void OnPublished() override;
  void OnSnapshotNews(std::string_view line) override;

  const ServerConfig& config_;
  EventLoop* const loop_;
  Executor* const background_;
  Clock* const clock_;
  Storage* const storage_;

  ApiOptions api_options_;
  std::unique_ptr<PeerNetwork> peers_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<LeaderGuard> leader_guard_;
  std::unique_ptr<LeaseKeeper> lease_keeper_;
  DispatchTable methods_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<Http2Server> clients_;
  std::unique_ptr<Http2Server> metrics_only_;
};

}  // namespace conclave::server
