#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <thread>
#include <utility>

#include "raft/base/text.h"
#include "server/api/http_routes.h"
#include "server/config/validate.h"
#include "server/logging/log.h"
#include "server/net/address.h"

namespace conclave::server {

namespace {

raft::CoreConfig CoreConfigOf(const ServerConfig& config, raft::NodeId id) {
  raft::CoreConfig core;
  core.id = id;
  core.heartbeat_interval = Milliseconds(config.heartbeat_interval_ms);
  core.election_timeout = Milliseconds(config.election_timeout_ms);
  core.tail_entries_max = static_cast<uint64_t>(config.snapshot_catchup_entries);
  core.leader_priority = static_cast<uint32_t>(config.leader_priority);
  return core;
}

absl::Status CannotListen(std::string_view flag, const absl::Status& why) {
  return absl::UnavailableError(fmt::format(
      "{}: {}: expected an address of this machine that nothing listens on", flag, MessageOf(why)));
}

ApiOptions ApiOptionsOf(const ServerConfig& config) {
  ApiOptions options;
  options.max_txn_ops = static_cast<size_t>(config.max_txn_ops);
  options.max_request_bytes = static_cast<size_t>(config.max_request_bytes);
  options.reported_version = config.reported_version;
  options.quota_bytes = QuotaBytesOf(config);
  options.ranges.budget.bytes = static_cast<uint64_t>(config.range_memory_bytes);
  return options;
}

NodeOptions NodeOptionsOf(const ServerConfig& config, const DataDir& data_dir) {
  const Identity& identity = data_dir.identity();
  NodeOptions options;
  options.cluster_id = identity.cluster_id;
  options.core = CoreConfigOf(config, identity.member_id);
  options.name = config.name;
  options.client_urls = ToStrings(config.advertise_client_urls);
  options.log_watchdog.directory = data_dir.wal();
  options.space.directories = {data_dir.wal(), data_dir.db()};
  options.space.quota_bytes = static_cast<uint64_t>(std::max<int64_t>(QuotaBytesOf(config), 0));
  options.log_keeper.entries_max = static_cast<uint64_t>(config.snapshot_count);
  options.snapshot_source.bytes_per_second =
      static_cast<uint64_t>(config.snapshot_send_bytes_per_second);
  if (config.compaction_sleep_interval > Duration::zero()) {
    options.apply.compaction_pause = config.compaction_sleep_interval;
  }
  if (const absl::StatusOr<AutoCompaction> kept = AutoCompactionOf(config); kept.ok()) {
    options.auto_compaction = {.period = kept->period, .revisions = kept->revisions};
  }
  return options;
}

size_t IoLanesOf(const ServerConfig& config) {
  if (config.io_lanes >= 0) return static_cast<size_t>(config.io_lanes);
  return DefaultIoLanes(std::thread::hardware_concurrency());
}

MemberKeeperOptions MemberKeeperOptionsOf(const ServerConfig& config, const Identity& identity) {
  MemberKeeperOptions options;
  options.strict_reconfig_check = config.strict_reconfig_check;
  options.learners_max = static_cast<size_t>(config.max_learners);
  options.promote_learners = config.auto_promote_learners;
  options.initial_members = InitialMembers(identity);
  return options;
}

// What one turn takes of a client's requests while the log's disk has nothing to do: it begins with
// the first of a burst while the rest is parsed, and from then on the answers to one part leave
// while the next part is written (docs/performance.md).
constexpr size_t kFirstOfBurstBytes = 8 << 10;

// How long a removed member goes on: for its answer to whoever asked for the removal, and for what
// it has to hand over.
constexpr Duration kRemovedLinger = Seconds(1);

}  // namespace

Server::Server(const ServerConfig& config, const ServerLanes& lanes, Clock* clock, Storage* storage,
               Task stop_wanted)
    : config_(config),
      lanes_(lanes),
      loop_(lanes.loop),
      clock_(clock),
      storage_(storage),
      stop_wanted_(std::move(stop_wanted)),
      api_options_(ApiOptionsOf(config)),
      last_members_(storage->file_system, storage->data_dir->last_members(), loop_),
      read_portion_(
          [this] { return node_->log_busy() ? EventLoop::kReadBufferSize : kFirstOfBurstBytes; }) {}

Server::~Server() {
  io_lanes_.reset();
  clients_.reset();  // calls that are open end while what serves them is still there
  metrics_only_.reset();
  if (removal_timer_ != 0) loop_->CancelTimer(removal_timer_);
  if (node_ != nullptr) node_->SetObserver(nullptr);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      const ServerLanes& lanes, Clock* clock,
                                                      Storage* storage, uint64_t seed,
                                                      Task stop_wanted) {
  std::unique_ptr<Server> server(new Server(config, lanes, clock, storage, std::move(stop_wanted)));
  if (absl::Status status = server->StartPeers(seed); !status.ok()) return status;
  server->StartNode(seed);
  if (absl::Status status = server->StartClients(); !status.ok()) return status;
  server->node_->Start();
  return server;
}

absl::Status Server::StartPeers(uint64_t seed) {
  const Identity& identity = storage_->data_dir->identity();
  PeerNetworkOptions options;
  options.cluster_id = identity.cluster_id;
  options.id = identity.member_id;
  options.listen_urls = ToStrings(config_.listen_peer_urls);
  options.is_removed = [store = storage_->store.get()](raft::NodeId id) {
    return store->IsRemoved(id.value());
  };
  options.removed = [this] { EndRemoved("its peers"); };
  options.seed = seed;
  options.election_timeout = Milliseconds(config_.election_timeout_ms);
  options.round_trip = [this](raft::NodeId peer, Duration elapsed) {
    if (telemetry_ != nullptr) telemetry_->OnPeerRoundTrip(peer, elapsed);
  };
  options.log = [](std::string_view line) { Log(LogLevel::kInfo, line); };
  absl::StatusOr<std::unique_ptr<PeerNetwork>> peers =
      PeerNetwork::Start(loop_, lanes_.background, std::move(options));
  if (!peers.ok()) {
    return CannotListen("--listen-peer-urls", peers.status());
  }
  peers_ = *std::move(peers);
  return absl::OkStatus();
}

void Server::StartNode(uint64_t seed) {
  const NodeParts parts{.lane = loop_,
                        .background = lanes_.background,
                        .reads = lanes_.reads,
                        .disk_reads = lanes_.disk_reads,
                        .clock = clock_,
                        .wal = storage_->wal.get(),
                        .transport = peers_.get(),
                        .peers = peers_.get(),
                        .engine_home = storage_->engine_home.get(),
                        .engine = &storage_->engine,
                        .store = storage_->store.get(),
                        .state_lost = storage_->recovered.state_lost,
                        .file_system = storage_->file_system};
  node_ = std::make_unique<Node>(NodeOptionsOf(config_, *storage_->data_dir), parts,
                                 std::move(storage_->recovered.core), seed);
  node_->SetObserver(this);
  OnMembersChanged();
  leader_guard_ = std::make_unique<LeaderGuard>(loop_, node_->election_timeout());
  lease_keeper_ = std::make_unique<LeaseKeeper>(node_.get(), peers_.get());
  range_budget_ = std::make_unique<RangeBudget>(api_options_.ranges.budget, loop_);
  member_keeper_ = std::make_unique<MemberKeeper>(
      MemberKeeperOptionsOf(config_, storage_->data_dir->identity()), node_.get(), peers_.get());
}

absl::Status Server::StartClients() {
  const ApiContext context{.node = node_.get(),
                           .leader_guard = leader_guard_.get(),
                           .lease_keeper = lease_keeper_.get(),
                           .member_keeper = member_keeper_.get(),
                           .range_budget = range_budget_.get(),
                           .options = &api_options_};
  AddKvService(methods_, context);
  AddWatchService(methods_, context);
  AddLeaseService(methods_, context);
  AddClusterService(methods_, context);
  AddMaintenanceService(methods_, context);
  AddHealthService(methods_, context);

  telemetry_ = std::make_unique<Telemetry>(config_, methods_, node_.get(), peers_.get(), storage_,
                                           range_budget_.get());

  ServerContext shared;
  shared.loop = loop_;
  shared.methods = &methods_;
  shared.routes =
      HealthAndVersionRoutes(context, [this](bool healthy) { telemetry_->OnHealthCheck(healthy); });
  shared.routes.push_back(telemetry_->MetricsRoute());
  shared.observer = telemetry_->rpc_observer();
  shared.http2 = FrontEndOptions();
  shared.read_portion = &read_portion_;
  clients_ = std::make_unique<Http2Server>(shared);
  if (const size_t lanes = IoLanesOf(config_); lanes > 0) {
    io_lanes_ = std::make_unique<IoLanes>(lanes, clock_, shared);
    clients_->ServeElsewhere([this](ScopedFd socket) { io_lanes_->Serve(std::move(socket)); });
  }
  if (absl::Status status = Listen(*clients_, config_.listen_client_urls, "--listen-client-urls");
      !status.ok()) {
    return status;
  }
  if (config_.listen_metrics_urls.empty()) return absl::OkStatus();
  shared.methods = nullptr;
  metrics_only_ = std::make_unique<Http2Server>(std::move(shared));
  return Listen(*metrics_only_, config_.listen_metrics_urls, "--listen-metrics-urls");
}

absl::Status Server::Listen(Http2Server& server, const std::vector<Url>& urls, const char* flag) {
  for (const std::string& text : ToStrings(urls)) {
    absl::StatusOr<SocketUrl> url = ParseSocketUrl(text);
    if (!url.ok())
      return absl::InvalidArgumentError(std::string(flag) + ": " +
                                        std::string(MessageOf(url.status())));
    absl::StatusOr<std::vector<SocketAddress>> addresses = Resolve(*url);
    absl::Status status = addresses.ok() ? server.Listen(addresses->front()) : addresses.status();
    if (!status.ok()) {
      return CannotListen(flag, status);
    }
  }
  return absl::OkStatus();
}

Http2Options Server::FrontEndOptions() const {
  Http2Options options;
  options.receive_message_bytes_max = static_cast<size_t>(config_.max_request_bytes) + (512 << 10);
  options.concurrent_streams_max = static_cast<uint32_t>(config_.max_concurrent_streams);
  options.client_ping_interval_min = config_.grpc_keepalive_min_time;
  options.keepalive_interval = config_.grpc_keepalive_interval;
  options.keepalive_timeout = config_.grpc_keepalive_timeout;
  return options;
}

void Server::Stop(Task done) {
  node_->StepAside([this, done = std::move(done)]() mutable {
    constexpr Duration kDrainMax = Seconds(2);
    const Instant limit = loop_->Now() + kDrainMax;
    if (io_lanes_ == nullptr) return clients_->Shutdown(limit, std::move(done));
    clients_->Shutdown(limit, [this, limit, done = std::move(done)]() mutable {
      io_lanes_->Shutdown(limit, std::move(done));
    });
  });
}

void Server::OnRoleChange(const raft::RoleChange& change) {
  leader_guard_->OnRoleChange(change);
  Log(LogLevel::kInfo, "role changed",
      {{"role", raft::ToString(change.role)},
       {"term", change.term.value()},
       {"leader", HexId(change.leader.value())}});
}

void Server::OnPublished() {
  Log(LogLevel::kInfo, "published", {{"name", config_.name}});
  Log(LogLevel::kInfo, "ready to serve client requests");
}

std::vector<PeerAddress> Server::Peers() const {
  std::map<raft::NodeId, std::vector<std::string>> urls;
  for (const etcdserverpb::Member& member : node_->KnownMembers()) {
    urls[raft::NodeId(member.id())] = {member.peerurls().begin(), member.peerurls().end()};
  }
  if (!KnowsItself()) {
    for (const InitialMember& member : storage_->data_dir->identity().members_at_join) {
      if (!storage_->store->IsRemoved(member.id.value())) urls[member.id] = member.peer_urls;
    }
  }
  if (node_->state_lost()) {
    for (const InitialMember& member : last_members_.members()) urls[member.id] = member.peer_urls;
  }
  std::vector<PeerAddress> peers;
  for (auto& [id, where] : urls) peers.push_back({.id = id, .urls = std::move(where)});
  return peers;
}

bool Server::KnowsItself() const {
  const std::vector<etcdserverpb::Member> members = storage_->store->Members();
  return std::any_of(members.begin(), members.end(), [this](const etcdserverpb::Member& member) {
    return member.id() == node_->id().value();
  });
}

void Server::OnMembersChanged() {
  peers_->SetPeers(Peers());
  if (!node_->fenced() && KnowsItself()) KeepMembers();
}

void Server::KeepMembers() {
  std::vector<InitialMember> members;
  for (const etcdserverpb::Member& member : node_->KnownMembers()) {
    members.push_back({raft::NodeId(member.id()),
                       member.name(),
                       {member.peerurls().begin(), member.peerurls().end()}});
  }
  last_members_.Keep(std::move(members), [](const absl::Status& status) {
    if (status.ok()) return;
    Log(LogLevel::kWarn, "the list of members could not be kept beside the data",
        {{"why", MessageOf(status)}});
  });
}

void Server::OnRemoved() { EndRemoved("its own log"); }

void Server::EndRemoved(std::string_view who_says) {
  if (std::exchange(removed_, true)) return;
  Log(LogLevel::kError, "the member has been permanently removed from the cluster: it stops",
      {{"member", HexId(node_->id())}, {"by", who_says}});
  removal_timer_ = loop_->RunAt(loop_->Now() + kRemovedLinger, [this] {
    removal_timer_ = 0;
    stop_wanted_();
  });
}

void Server::OnSpaceNews(SpaceNews news) {
  switch (news) {
    case SpaceNews::kDiskShort:
      return Log(LogLevel::kWarn,
                 "the disk is nearly full: nothing that makes the store grow is accepted");
    case SpaceNews::kDiskHasRoom:
      return Log(LogLevel::kInfo, "the disk has space again: the alarm may be lifted");
    case SpaceNews::kQuotaReached:
      return Log(LogLevel::kWarn,
                 "the store has reached --quota-backend-bytes: nothing that makes it grow is "
                 "accepted until keys are deleted and their revisions compacted");
    case SpaceNews::kQuotaHasRoom:
      return Log(LogLevel::kInfo, "the store is below its quota again: the alarm is lifted");
  }
}

void Server::OnIntegrityNews(IntegrityNews news, raft::NodeId member) {
  switch (news) {
    case IntegrityNews::kDiverged:
      return Log(LogLevel::kError,
                 "a member's state differs from that of the majority: it is fenced until its state "
                 "is replaced",
                 {{"member", HexId(member)}});
    case IntegrityNews::kDisputed:
      return Log(LogLevel::kError,
                 "the states of members differ and no majority agrees: nothing is written until "
                 "that is settled");
    case IntegrityNews::kFenced:
      return Log(LogLevel::kError,
                 "the state of this member is wrong: it serves nothing from it and does not lead",
                 {{"member", HexId(member)}});
    case IntegrityNews::kSound:
      OnMembersChanged();  // from a state that can be believed
      return Log(LogLevel::kInfo, "the state of this member is sound again: it serves",
                 {{"member", HexId(member)}});
  }
}

void Server::OnSnapshotNews(std::string_view line) { Log(LogLevel::kInfo, line); }

}  // namespace conclave::server
