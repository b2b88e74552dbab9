#include "jepsen-style-tests/sim/member.h"

#include <fmt/format.h>

#include <deque>
#include <utility>

#include "jepsen-style-tests/sim/member_links.h"
#include "jepsen-style-tests/sim/observed_store.h"
#include "jepsen-style-tests/sim/observed_wal.h"
#include "jepsen-style-tests/sim/world.h"
#include "kvstore/engine/leveldb_home.h"
#include "raft/base/check.h"
#include "raft/base/text.h"
#include "server/api/leader_guard.h"
#include "server/api/lease_keeper.h"
#include "server/api/member_keeper.h"
#include "server/stages/recovery.h"

namespace conclave::sim {

namespace {

constexpr const char* kDbDirectory = "db";

// The lane that may block: a flush runs in one go, but only after the time it takes. It holds its
// tasks itself, for they hold engines, which must not outlive the process.
class BackgroundLane : public Executor {
 public:
  BackgroundLane(MemberLane* lane, Duration delay) : lane_(lane), delay_(delay) {}
  void Post(Task task) override {
    tasks_.push_back(std::move(task));
    lane_->RunAt(lane_->Now() + delay_, [this] {
      Task next = std::move(tasks_.front());
      tasks_.pop_front();
      next();
    });
  }
  // Forgets what was posted; the lane must have ended.
  void Drop() { tasks_.clear(); }
  TimerId RunAt(Instant when, Task task) override { return lane_->RunAt(when, std::move(task)); }
  void CancelTimer(TimerId timer) override { lane_->CancelTimer(timer); }
  Instant Now() const override { return lane_->Now(); }

 private:
  MemberLane* const lane_;
  const Duration delay_;
  std::deque<Task> tasks_;
};

}  // namespace

// What a process holds; members are destroyed from the last to the first.
struct Member::Process : server::NodeObserver {
  Process(Member* of, const ClockOptions& clock)
      : member(of),
        lane(&of->world_->scheduler(), clock,
             {.after_task = [of] { of->world_->AfterEvent(*of); },
              .ended = [of](const ProcessEnded& end) { of->OnProcessEnded(end); }}),
        background(&lane, of->options_.flush_time),
        reads(&lane, of->options_.long_read_time),
        disk_reads{{&lane, of->options_.disk_read_time}, {&lane, of->options_.disk_read_time}},
        links(of->world_, of->id(), &lane) {}

  ~Process() override {
    for (const auto& served : calls) {
      if (const auto call = served.lock()) call->Close();
    }
    if (node != nullptr) node->SetObserver(nullptr);
    reads.Drop();
    for (BackgroundLane& each : disk_reads) each.Drop();
    background.Drop();
    member->memory_disk_.Detach();
  }

  void OnRoleChange(const raft::RoleChange& change) override {
    guard->OnRoleChange(change);
    if (change.role == raft::RoleName::kLeader) member->world_->OnLeads(*member, change.term);
  }
  void OnPublished() override {}
  void OnMembersChanged() override { member->world_->OnMembersChanged(*member); }
  void OnSpaceNews(server::SpaceNews news) override {
    if (news == server::SpaceNews::kDiskShort) {
      member->world_->Note("{} is short of space", member->name());
    } else if (news == server::SpaceNews::kQuotaReached) {
      member->world_->Note("{} has reached its quota", member->name());
    }
  }
  void OnRemoved() override { member->world_->OnRemoved(*member); }
  void OnIntegrityNews(server::IntegrityNews news, raft::NodeId about) override {
    member->world_->OnIntegrityNews(*member, news, about);
  }
  void OnSnapshotNews(std::string_view line) override {
    member->world_->Note("{}: {}", member->name(), line);
    // Whatever arrives has come as it was sent, so what is wrong with it was wrong there.
    const bool damaged = line.ends_with("a chunk of a snapshot is damaged") ||
                         line.ends_with("a snapshot arrived with other rows than were sent");
    if (damaged) {
      member->world_->Report(fmt::format("snapshots: damaged: {}: {}", member->name(), line));
    }
  }

  // Closed ones are dropped when the list has doubled.
  void Remember(const std::shared_ptr<ServedCall>& call) {
    if (calls.size() >= forget_at) {
      std::erase_if(calls, [](const auto& served) { return served.expired(); });
      forget_at = 2 * calls.size() + 64;
    }
    calls.push_back(call);
  }

  Member* const member;
  MemberLane lane;
  BackgroundLane background;
  BackgroundLane reads;
  BackgroundLane disk_reads[2];
  MemberLinks links;
  std::unique_ptr<kv::EngineHome> engine_home;
  std::shared_ptr<kv::Engine> engine;  // the live one (NodeParts::engine)
  std::unique_ptr<raft::Wal> wal;
  std::unique_ptr<ObservedStore> store;
  std::unique_ptr<server::Node> node;
  std::unique_ptr<server::LeaderGuard> guard;
  std::unique_ptr<server::LeaseKeeper> leases;
  std::unique_ptr<server::MemberKeeper> membership;
  std::unique_ptr<server::RangeBudget> range_budget;
  server::DispatchTable methods;
  std::vector<std::weak_ptr<ServedCall>> calls;
  size_t forget_at = 64;
};

Member::Member(World* world, MemberOptions options, const FaultAtlas* atlas, size_t position,
               Random random)
    : world_(world),
      options_(std::move(options)),
      position_(position),
      random_(random),
      disk_(random_.Next(), options_.disk, atlas, position),
      locked_disk_(&disk_),
      memory_disk_(random_.Next(),
                   {.flush_one_in = 200, .miss_one_in = options_.disk_read_one_in}) {
  disk_.SetFuseObserver([this] {
    memory_disk_.Detach();
    if (running()) process_->lane.Silence();
  });
  const absl::Status created = raft::Wal::Create(disk_, wal_options(), options_.initial);
  CHECK_MSG(created.ok(), MessageOf(created));
}

Member::~Member() {
  if (running()) process_->lane.End();
  process_.reset();
}

std::string Member::name() const { return fmt::format("m{}", position_ + 1); }

raft::WalOptions Member::wal_options() const {
  return {.directory = kWalDirectory,
          .cluster_id = options_.cluster_id,
          .member = options_.id,
          .segment_bytes = options_.segment_bytes,
          .reserve_bytes = options_.segment_bytes};
}

server::Node& Member::node() { return *process_->node; }
MemberLane& Member::lane() { return process_->lane; }
kv::Store& Member::store() { return *process_->store; }
void Member::SpoilNextPut() { process_->store->SpoilNextPut(); }
bool Member::spoils_next_put() const { return running() && process_->store->spoils_next_put(); }
bool Member::state_is_wrong() const { return running() && process_->store->wrong(); }

bool Member::DamageEngine() {
  CHECK(!running());
  if (options_.leveldb) {
    const auto names = disk_.List(kDbDirectory);
    bool any = false;
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      const auto manifest =
          disk_.Open(fmt::format("{}/{}/CURRENT", kDbDirectory, name), OpenMode::kMustExist);
      any |= manifest.ok() && (*manifest)->WriteAt(0, "damaged").ok();
    }
    if (!any) return false;
  } else {
    memory_disk_.Damage();
  }
  ever_damaged_ = engine_damaged_ = true;
  return true;
}

bool Member::state_is_lost() const { return running() ? process_->store->lost() : engine_damaged_; }

bool Member::silent() const { return process_ == nullptr || process_->lane.silent(); }

void Member::Start(const ClockOptions& clock) {
  CHECK(!running() && !gone());
  process_ = std::make_unique<Process>(this, clock);
  started_ns_ = world_->NowNs();
  absl::Status started;
  try {
    started = StartProcess();
  } catch (const ProcessEnded& end) {
    OnProcessEnded(end);
  }
  if (!started.ok()) {
    world_->Note("{} refuses to start: {}", name(), MessageOf(started));
    process_->lane.End();
    process_.reset();
    disk_.Kill();
    broken_ = absl::IsDataLoss(started);
    world_->OnRefusedToStart(*this, started);
    return;
  }
  world_->OnStarted(*this);
  BuryIfDead();
}

std::unique_ptr<kv::EngineHome> Member::NewEngineHome() {
  if (!options_.leveldb) return kv::NewMemoryHome(&memory_disk_);
  kv::LevelDbOptions options = kv::StoreEngineOptions();
  options.write_buffer_bytes = options_.write_buffer_bytes;
  options.drained = true;
  return kv::NewLevelDbHome(&locked_disk_, kDbDirectory, options);
}

absl::Status Member::StartProcess() {
  Process& process = *process_;
  auto opened = raft::Wal::Open(disk_, wal_options(), &process.lane);
  if (!opened.ok()) return opened.status();
  process.engine_home = NewEngineHome();
  std::string note;
  auto engine = server::OpenEngine(*process.engine_home, opened->contents, id(), &note);
  if (!engine.ok()) return engine.status();
  if (!note.empty()) {
    if (!ever_damaged_) world_->Report(fmt::format("durability: {}: {}", name(), note));
    world_->Note("{}: {}", name(), note);
  }
  engine_damaged_ = !note.empty() && opened->contents.snapshot_index > raft::LogIndex(0);
  process.engine = *std::move(engine);

  kv::StoreOptions store_options = options_.store;
  store_options.recorder = [this](const auto& revisions) {
    if (!state_is_wrong()) world_->OnEvents(*this, revisions);
  };
  auto store = kv::Store::Open(process.engine.get(), store_options, world_->bootstrap_members());
  if (!store.ok()) return store.status();
  world_->invariants().OnStart(id(), opened->contents,
                               {.applied = (*store)->applied_index(),
                                .installed = (*store)->installed_index(),
                                .revision = (*store)->revision(),
                                .configuration = (*store)->position().configuration,
                                .lost = engine_damaged_,
                                .remade = !note.empty() && !engine_damaged_});
  process.wal = std::make_unique<ObservedWal>(id(), std::move(opened->wal), &world_->invariants());
  process.store = std::make_unique<ObservedStore>(id(), *std::move(store), engine_damaged_,
                                                  &world_->invariants(), world_);
  process.store->SetBuffer(std::make_unique<FullBuffer>(
      options_.full_buffer, &process.lane, random_.Stream(fmt::format("buffer {}", runs_))));
  auto recovered = server::Recover(std::move(opened->contents), *process.store, id());
  if (!recovered.ok()) return recovered.status();

  server::NodeOptions node_options = options_.node;
  node_options.cluster_id = options_.cluster_id;
  node_options.core.id = id();
  node_options.name = name();
  node_options.log_watchdog.directory = kWalDirectory;
  node_options.space.directories = {kWalDirectory};
  const server::NodeParts parts{.lane = &process.lane,
                                .background = &process.background,
                                .reads = &process.reads,
                                .disk_reads = {&process.disk_reads[0], &process.disk_reads[1]},
                                .clock = &process.lane,
                                .wal = process.wal.get(),
                                .transport = &process.links,
                                .peers = &process.links,
                                .engine_home = process.engine_home.get(),
                                .engine = &process.engine,
                                .store = process.store.get(),
                                .state_lost = recovered->state_lost,
                                .file_system = &disk_};
  process.node = std::make_unique<server::Node>(node_options, parts, std::move(recovered->core),
                                                random_.Stream(fmt::format("{}", ++runs_)).Next());
  Serve();
  process.node->Start();
  return absl::OkStatus();
}

void Member::Serve() {
  Process& process = *process_;
  process.guard =
      std::make_unique<server::LeaderGuard>(&process.lane, process.node->election_timeout());
  process.leases = std::make_unique<server::LeaseKeeper>(process.node.get(), &process.links);
  process.membership = std::make_unique<server::MemberKeeper>(options_.membership,
                                                              process.node.get(), &process.links);
  process.range_budget =
      std::make_unique<server::RangeBudget>(options_.api.ranges.budget, &process.lane);
  process.node->SetObserver(&process);
  const server::ApiContext context{.node = process.node.get(),
                                   .leader_guard = process.guard.get(),
                                   .lease_keeper = process.leases.get(),
                                   .member_keeper = process.membership.get(),
                                   .range_budget = process.range_budget.get(),
                                   .options = &options_.api};
  server::AddKvService(process.methods, context);
  server::AddLeaseService(process.methods, context);
  server::AddWatchService(process.methods, context);
  server::AddClusterService(process.methods, context);
  server::AddMaintenanceService(process.methods, context);
  if (server::HasLeft(*process.store, id())) world_->OnRemoved(*this);
}

void Member::OnProcessEnded(const ProcessEnded& end) {
  process_->lane.Silence();
  world_->Note("{} ends itself: {}", name(), end.what);
  // Only a disk that fails may end a process, and only its log sees one fail (sim_disk.h).
  const bool expected = !end.bug && (end.what.starts_with("the log could not be ") ||
                                     end.what.starts_with("a segment could not be released"));
  if (!expected) {
    world_->Report(fmt::format("{}: {}: {}", end.bug ? "check: failed" : "fatal: ended itself",
                               name(), end.what));
  }
  world_->BurySoon(*this);
}

void Member::AfterEvent() {
  if (process_->store != nullptr) engine_damaged_ = process_->store->lost();
}

void Member::BuryIfDead() {
  if (!running() || !silent()) return;
  End(disk_.fuse_blown() ? EndOfProcess::kCrash : EndOfProcess::kKill);
}

void Member::End(EndOfProcess how) {
  CHECK(running());
  const bool gently = how == EndOfProcess::kStop && !silent();
  if (gently) process_->engine->Flush();
  // What came in the event in which the fuse blew may not have reached the disk.
  if (process_->store != nullptr && !disk_.fuse_blown()) engine_damaged_ = process_->store->lost();
  process_->lane.End();
  process_.reset();
  if (how == EndOfProcess::kCrash) {
    disk_.Crash(random_);
  } else {
    disk_.Kill();
  }
  world_->OnEnded(*this, how);
}

void Member::StopGently() {
  process_->lane.Deliver([this] {
    process_->node->StepAside([this, run = runs_] {
      // Not from within the node that is to go.
      world_->scheduler().After(Duration::zero(), [this, run] {
        if (running() && runs_ == run) End(EndOfProcess::kStop);
      });
    });
  });
}

void Member::ReceiveFromPeer(const Bytes& bytes) {
  if (!running()) return;
  process_->lane.Deliver([this, bytes] { process_->links.Receive(bytes); });
}

void Member::AskedByPeer(server::PeerMethod method, const std::string& request,
                         server::PeerCalls::Answer answer) {
  if (!running()) return;
  process_->lane.Deliver([this, method, request, answer = std::move(answer)]() mutable {
    process_->links.OnQuestion(method, request, std::move(answer));
  });
}

void Member::OnConnected(raft::NodeId peer) {
  if (!running()) return;
  process_->lane.Deliver([this, peer] { process_->links.OnConnected(peer); });
}

void Member::OnUnreachable(raft::NodeId peer) {
  if (!running()) return;
  process_->lane.Deliver([this, peer] { process_->links.OnUnreachable(peer); });
}

void Member::Accept(const std::shared_ptr<ClientCall>& client, const CallRequest& request) {
  process_->lane.Deliver([this, client, request] {
    process_->Remember(ServedCall::Start(process_->methods, &process_->lane, &world_->network(),
                                         client, request, options_.call_window_bytes));
  });
}

}  // namespace conclave::sim
