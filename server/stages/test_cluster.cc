#include "server/stages/test_cluster.h"

#include <algorithm>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/text.h"
#include "raft/transport/codec.h"
#include "server/stages/recovery.h"

namespace conclave::server {

namespace {

constexpr uint64_t kClusterId = 0xc0;

raft::WalOptions WalOptionsOf(raft::NodeId id) {
  // Small segments: a disk in memory is zeroed by hand, and a new segment is begun now and then.
  return {.directory = "wal",
          .cluster_id = kClusterId,
          .member = id,
          .segment_bytes = 256 << 10,
          .reserve_bytes = 256 << 10};
}

}  // namespace

void TestTransport::Send(std::vector<raft::Message> messages) {
  for (const raft::Message& message : messages) {
    CHECK(message.from == self_);
    cluster_->Deliver(message);
  }
}

std::optional<Instant> TestPeers::ConnectedSince(raft::NodeId peer) const {
  if (cluster_->cuts_.contains({self_, peer})) return std::nullopt;
  return Instant();
}

void TestPeers::CallPeer(raft::NodeId peer, PeerMethod method, std::string request,
                         Duration timeout, Answer answer) {
  ManualExecutor& lane = cluster_->lane_;
  const uint64_t call = ++last_call_;
  calls_.emplace(call, Call{peer, std::move(answer)});
  const auto finish = [this, alive = alive_, call](const absl::StatusOr<std::string>& with) {
    if (*alive) Finish(call, with);
  };
  const size_t index = cluster_->IndexOf(peer);
  TestPeers* const other =
      index < cluster_->size() ? cluster_->members_[index]->peers.get() : nullptr;
  if (!ConnectedSince(peer) || other == nullptr) {
    return lane.Post([finish] { finish(kv::ErrNoLeader()); });
  }
  lane.RunAt(lane.Now() + timeout, [finish] { finish(kv::ErrTimeout()); });
  lane.RunAt(lane.Now() + cluster_->Delay(), [this, other, there = other->alive_, alive = alive_,
                                              call, method, request, finish] {
    if (!*alive || !*there || !calls_.contains(call)) return;
    const auto handler = other->handlers_.find(method);
    if (handler == other->handlers_.end()) return;
    handler->second(request, [this, alive, there, finish](absl::StatusOr<std::string> said) {
      if (!*alive || !*there) return;
      ManualExecutor& way_back = cluster_->lane_;
      way_back.RunAt(way_back.Now() + cluster_->Delay(),
                     [finish, said = std::move(said)] { finish(said); });
    });
  });
}

void TestPeers::Break(raft::NodeId peer) {
  std::vector<uint64_t> lost;
  for (const auto& [call, asked] : calls_) {
    if (asked.peer == peer) lost.push_back(call);
  }
  for (uint64_t call : lost) Finish(call, kv::ErrNoLeader());
}

void TestPeers::Finish(uint64_t call, absl::StatusOr<std::string> answer) {
  auto node = calls_.extract(call);
  if (!node.empty()) node.mapped().answer(std::move(answer));
}

// In order: the delay is the same for all.
void TestBackground::Post(Task task) {
  tasks_.push_back(std::move(task));
  lane_->RunAt(lane_->Now() + delay_, [this, alive = alive_] {
    if (!*alive) return;
    Task next = std::move(tasks_.front());
    tasks_.pop_front();
    ++tasks_run_;
    next();
    next = nullptr;
    if (const auto after = after_task_) after(tasks_run_);
  });
}

TestCluster::TestCluster(size_t members, uint64_t seed, const NodeOptions& options,
                         Duration background)
    : members_at_start_(members), options_(options), background_delay_(background), random_(seed) {
  for (size_t i = 0; i < members; ++i) Create(raft::NodeId(i + 1));
  for (size_t i = 0; i < members; ++i) Restart(i);
}

TestCluster::~TestCluster() {
  for (size_t i = 0; i < members_.size(); ++i) {
    if (up(i)) Crash(i);
  }
}

TestMember& TestCluster::Create(raft::NodeId id) {
  TestMember& member = *members_.emplace_back(std::make_unique<TestMember>());
  member.id = id;
  const absl::Status created =
      raft::Wal::Create(member.disk, WalOptionsOf(id), BootstrapConfiguration());
  CHECK_MSG(created.ok(), MessageOf(created));
  return member;
}

size_t TestCluster::Join(raft::NodeId id) {
  Create(id);
  Restart(members_.size() - 1);
  return members_.size() - 1;
}

size_t TestCluster::IndexOf(raft::NodeId id) const {
  size_t index = 0;
  while (index < members_.size() && members_[index]->id != id) ++index;
  return index;
}

raft::Configuration TestCluster::BootstrapConfiguration() const {
  raft::Configuration configuration;
  for (size_t i = 0; i < members_at_start_; ++i) {
    configuration.voters.push_back(raft::NodeId(i + 1));
  }
  return configuration;
}

std::vector<etcdserverpb::Member> TestCluster::BootstrapMembers() const {
  std::vector<etcdserverpb::Member> members(members_at_start_);
  for (size_t i = 0; i < members.size(); ++i) {
    members[i].set_id(i + 1);
    members[i].add_peerurls("http://m" + std::to_string(i) + ":2380");
  }
  return members;
}

void TestCluster::Crash(size_t index) {
  End(index);
  members_[index]->disk.CrashAndKeepSome(random_);
}

void TestCluster::Stop(size_t index) {
  members_[index]->engine->Flush();
  End(index);
}

void TestCluster::End(size_t index) {
  TestMember& member = *members_[index];
  member.reads.reset();
  member.background.reset();
  member.node.reset();
  member.store.reset();
  member.engine.reset();
  member.home.reset();
  member.wal.reset();
  member.transport.reset();
  member.peers.reset();
  for (const auto& other : members_) {
    if (other->peers != nullptr) other->peers->Break(member.id);
  }
  member.disk.KillProcess();
}

void TestCluster::Restart(size_t index) {
  TestMember& member = *members_[index];
  auto opened = raft::Wal::Open(member.disk, WalOptionsOf(member.id), &lane_);
  CHECK_MSG(opened.ok(), MessageOf(opened.status()));
  member.wal = std::move(opened->wal);
  member.home = kv::NewMemoryHome(&member.home_disk);
  std::string note;
  auto engine = OpenEngine(*member.home, opened->contents, member.id, &note);
  CHECK_MSG(engine.ok(), MessageOf(engine.status()));
  member.engine = *std::move(engine);
  // No cache of records: what a test does to the engine is what is read.
  kv::StoreOptions store;
  store.record_cache_bytes = 0;
  member.store = *kv::Store::Open(member.engine.get(), store, BootstrapMembers());
  member.transport = std::make_unique<TestTransport>(this, member.id);
  member.peers = std::make_unique<TestPeers>(this, member.id);
  member.background = std::make_unique<TestBackground>(&lane_, background_delay_);
  member.reads = std::make_unique<TestBackground>(&lane_, background_delay_);

  NodeOptions options = options_;
  options.cluster_id = kClusterId;
  options.core.id = member.id;
  options.name = "m" + std::to_string(index);
  auto recovered = Recover(std::move(opened->contents), *member.store, member.id);
  CHECK_MSG(recovered.ok(), MessageOf(recovered.status()));
  NodeParts parts{.lane = &lane_,
                  .background = member.background.get(),
                  .reads = member.reads.get(),
                  .disk_reads = {member.reads.get()},
                  .clock = &lane_,
                  .wal = member.wal.get(),
                  .transport = member.transport.get(),
                  .peers = member.peers.get(),
                  .engine_home = member.home.get(),
                  .engine = &member.engine,
                  .store = member.store.get(),
                  .state_lost = recovered->state_lost,
                  .file_system = &member.disk};
  member.node = std::make_unique<Node>(options, parts, std::move(recovered->core), random_.Next());
  member.node->Start();
}

void TestCluster::Cut(size_t a, size_t b) {
  cuts_.insert({members_[a]->id, members_[b]->id});
  cuts_.insert({members_[b]->id, members_[a]->id});
  if (up(a)) members_[a]->peers->Break(members_[b]->id);
  if (up(b)) members_[b]->peers->Break(members_[a]->id);
}

void TestCluster::Isolate(size_t member) {
  for (size_t other = 0; other < members_.size(); ++other) {
    if (other != member) Cut(member, other);
  }
}

void TestCluster::Deliver(const raft::Message& message) {
  if (cuts_.contains({message.from, message.to})) return;
  if (random_.Below(1000) < loss_permille_) return;
  std::string bytes;
  raft::EncodeMessage(message, bytes);
  lane_.RunAt(lane_.Now() + Delay(), [this, bytes = Bytes::Copy(bytes)] {
    auto decoded = raft::DecodeMessage(bytes);
    CHECK_MSG(decoded.ok(), MessageOf(decoded.status()));
    const size_t index = IndexOf(decoded->to);
    if (index == size() || !up(index) || cuts_.contains({decoded->from, decoded->to})) return;
    TestMember& to = *members_[index];
    std::vector<raft::Message> messages{*std::move(decoded)};
    to.transport->receiver_.received(messages);
  });
}

size_t TestCluster::leader() const {
  size_t best = members_.size();
  for (size_t i = 0; i < members_.size(); ++i) {
    if (!up(i) || !members_[i]->node->leading()) continue;
    if (best == members_.size() ||
        members_[i]->node->Status().term > members_[best]->node->Status().term) {
      best = i;
    }
  }
  return best;
}

bool TestCluster::RunUntilLeader() {
  for (int step = 0; step < 3000; ++step) {
    const size_t leads = leader();
    const bool agreed =
        leads < size() && std::all_of(members_.begin(), members_.end(), [&](const auto& member) {
          return member->node == nullptr || member->node->leader() == members_[leads]->id;
        });
    if (agreed) return true;
    Run(Milliseconds(10));
  }
  return false;
}

void TestCluster::Put(size_t member, const std::string& key, const std::string& value,
                      std::shared_ptr<absl::Status> answer) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  node(member).Propose(kv::CommandKind::kPut, request.SerializeAsString(),
                       [answer](kv::ApplyResult result) { *answer = result.status; });
}

std::string TestCluster::Get(size_t member, const std::string& key) {
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  etcdserverpb::RangeResponse response;
  CHECK(store(member).Range(request, &response).ok());
  return response.kvs_size() == 0 ? "(none)" : response.kvs(0).value();
}

}  // namespace conclave::server
