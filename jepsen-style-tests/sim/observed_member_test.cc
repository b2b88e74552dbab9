// Whole members on disks in memory, watched at their seams: under lost messages and crashes that
// keep some of what was not synced no rule is broken, and a log that lies about its disk is caught.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/sim/observed_store.h"
#include "jepsen-style-tests/sim/observed_wal.h"
#include "jepsen-style-tests/sim/raft_invariants.h"
#include "kvstore/engine/memory_engine.h"
#include "raft/base/check.h"
#include "raft/base/manual_executor.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"
#include "raft/transport/transport.h"
#include "server/stages/node.h"
#include "server/stages/recovery.h"

namespace conclave::sim {
namespace {

using raft::NodeId;
using testing::Contains;
using testing::IsEmpty;
using testing::StartsWith;

constexpr size_t kMembers = 3;
constexpr Duration kStep = std::chrono::microseconds(50);

class Cluster;

class Link : public raft::Transport {
 public:
  explicit Link(Cluster* cluster) : cluster_(*cluster) {}
  void SetReceiver(Receiver receiver) override { receiver_ = std::move(receiver); }
  void Send(std::vector<raft::Message> messages) override;
  void Receive(raft::Message message) {
    std::vector<raft::Message> messages{std::move(message)};
    receiver_.received(messages);
  }

 private:
  Cluster& cluster_;
  Receiver receiver_;
};

// Nobody needs to ask anybody here: the logs reach back to where the slowest is.
class NoPeers : public server::PeerCalls {
 public:
  void SetHandler(server::PeerMethod, Handler) override {}
  std::optional<Instant> ConnectedSince(NodeId) const override { return std::nullopt; }
  void CallPeer(NodeId, server::PeerMethod, std::string, Duration, Answer) override {
    CHECK_MSG(false, "a member asks another");
  }
};

// Says that a write is durable as soon as it is handed over.
class HastyWal : public raft::Wal {
 public:
  explicit HastyWal(std::unique_ptr<raft::Wal> wal) : wal_(std::move(wal)) {}
  void Append(const raft::AppendTask& task, Durable durable) override {
    wal_->Append(task, [] {});
    durable();
  }
  void Release(raft::LogIndex index, raft::Term term,
               const raft::Configuration& configuration) override {
    wal_->Release(index, term, configuration);
  }
  raft::WalStats Stats() const override { return wal_->Stats(); }
  void SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) override {
    wal_->SetSpaceObserver(std::move(observer));
  }
  void SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t)> observer) override {
    wal_->SetSyncObserver(std::move(observer));
  }

 private:
  const std::unique_ptr<raft::Wal> wal_;
};

struct Member {
  NodeId id;
  MemoryFileSystem disk;
  std::unique_ptr<Link> link;
  std::unique_ptr<raft::Wal> wal;
  std::shared_ptr<kv::Engine> engine;
  std::unique_ptr<kv::Store> store;
  std::unique_ptr<server::Node> node;  // null while down
};

class AppliedCounter : public StoreObserver {
 public:
  void OnApplied(NodeId /*member*/, const AppliedEntry& entry, const kv::ApplyResult& result,
                 int64_t revision) override {
    commands_ += !entry.command.empty();
    answers_ += result.response.index() != 0;
    revision_ = std::max(revision_, revision);
  }
  uint64_t commands() const { return commands_; }
  uint64_t answers() const { return answers_; }
  int64_t revision() const { return revision_; }

 private:
  uint64_t commands_ = 0;
  uint64_t answers_ = 0;
  int64_t revision_ = 0;
};

class Cluster {
 public:
  Cluster(uint64_t seed, bool hasty) : random_(seed), hasty_(hasty), members_(kMembers) {
    for (size_t i = 0; i < kMembers; ++i) configuration_.voters.push_back(NodeId(i + 1));
    for (size_t i = 0; i < kMembers; ++i) {
      members_[i] = std::make_unique<Member>();
      members_[i]->id = configuration_.voters[i];
      CHECK(raft::Wal::Create(members_[i]->disk, OptionsOf(*members_[i]), configuration_).ok());
    }
    for (auto& member : members_) Start(*member);
  }
  ~Cluster() {
    for (auto& member : members_) Crash(*member);
  }

  // Clients put all the time, at whoever leads.
  void Run(Duration duration, uint64_t crash_one_in) {
    for (const Instant end = lane_.Now() + duration; lane_.Now() < end; lane_.Advance(kStep)) {
      for (auto& member : members_) OneStep(*member, crash_one_in);
    }
  }

  void Deliver(raft::Message message) {
    invariants_.OnSent(message);
    if (random_.OneIn(50)) return;
    const Duration delay = std::chrono::microseconds(random_.Between(100, 3000));
    lane_.RunAt(lane_.Now() + delay, [this, message = std::move(message)]() mutable {
      Member& to = *members_[message.to.value() - 1];
      if (to.node != nullptr) to.link->Receive(std::move(message));
    });
  }

  const RaftInvariants& invariants() const { return invariants_; }
  const AppliedCounter& applied() const { return applied_; }

 private:
  static raft::WalOptions OptionsOf(const Member& member) {
    return {.directory = "wal",
            .cluster_id = 7,
            .member = member.id,
            .segment_bytes = 64 << 10,
            .reserve_bytes = 64 << 10};
  }

  void OneStep(Member& member, uint64_t crash_one_in) {
    if (member.node == nullptr) {
      if (random_.OneIn(2000)) Start(member);
      return;
    }
    invariants_.AfterEvent(member.id, member.node->core());
    if (member.node->leading() && random_.OneIn(20)) Put(member);
    if (crash_one_in != 0 && random_.OneIn(crash_one_in)) Crash(member);
  }

  void Put(Member& member) {
    etcdserverpb::PutRequest request;
    request.set_key("k" + std::to_string(random_.Below(10)));
    request.set_value(std::string(random_.Below(300), 'v'));
    member.node->Propose(kv::CommandKind::kPut, request.SerializeAsString(),
                         [](const kv::ApplyResult&) {});
  }

  void Start(Member& member) {
    auto opened = raft::Wal::Open(member.disk, OptionsOf(member), &lane_);
    CHECK(opened.ok());
    // Keeps what its log was let go of for; else the log is replayed from its start.
    if (member.engine == nullptr) member.engine = std::make_shared<kv::MemoryEngine>();
    std::vector<etcdserverpb::Member> bootstrap(kMembers);
    for (size_t i = 0; i < kMembers; ++i) bootstrap[i].set_id(i + 1);
    auto store = *kv::Store::Open(member.engine.get(), {}, bootstrap);
    invariants_.OnStart(member.id, opened->contents,
                        {.applied = store->applied_index(),
                         .installed = store->installed_index(),
                         .revision = store->revision()});
    member.wal = std::make_unique<ObservedWal>(member.id, std::move(opened->wal), &invariants_);
    if (hasty_) member.wal = std::make_unique<HastyWal>(std::move(member.wal));
    member.store = std::make_unique<ObservedStore>(member.id, std::move(store), /*lost=*/false,
                                                   &invariants_, &applied_);
    member.link = std::make_unique<Link>(this);
    member.node = MakeNode(
        member, server::Recover(std::move(opened->contents), *member.store, member.id)->core);
    member.node->Start();
  }

  std::unique_ptr<server::Node> MakeNode(Member& member, raft::RecoveredState recovered) {
    server::NodeOptions options;
    options.core.id = member.id;
    options.core.heartbeat_interval = Milliseconds(10);
    options.core.election_timeout = Milliseconds(100);
    options.log_keeper.entries_max = 100;
    const server::NodeParts parts{.lane = &lane_,
                                  .background = &lane_,
                                  .reads = &lane_,
                                  .disk_reads = {&lane_},
                                  .clock = &lane_,
                                  .wal = member.wal.get(),
                                  .transport = member.link.get(),
                                  .peers = &no_peers_,
                                  .engine_home = nullptr,
                                  .engine = &member.engine,
                                  .store = member.store.get()};
    return std::make_unique<server::Node>(options, parts, std::move(recovered), random_.Next());
  }

  void Crash(Member& member) {
    if (member.node == nullptr) return;
    member.node.reset();
    member.store.reset();
    member.wal.reset();
    member.link.reset();
    member.disk.CrashAndKeepSome(random_);
    invariants_.OnCrash(member.id);
  }

  Random random_;
  const bool hasty_;
  raft::Configuration configuration_;
  ManualExecutor lane_;
  NoPeers no_peers_;
  RaftInvariants invariants_;
  AppliedCounter applied_;
  std::vector<std::unique_ptr<Member>> members_;
};

void Link::Send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) cluster_.Deliver(std::move(message));
}

TEST(ObservedMemberTest, MembersThatCrashKeepEveryRule) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed, /*hasty=*/false);
    cluster.Run(Seconds(4), /*crash_one_in=*/20'000);
    EXPECT_THAT(cluster.invariants().problems(), IsEmpty());
    EXPECT_GT(cluster.invariants().committed().value(), 200U);
    EXPECT_GT(cluster.invariants().checked(), 10'000U);
    EXPECT_GE(cluster.applied().commands(), cluster.applied().answers());
    EXPECT_GT(cluster.applied().answers(), 100U);
    EXPECT_GT(cluster.applied().revision(), 100);
  }
}

TEST(ObservedMemberTest, ALogThatSpeaksTooSoonIsCaught) {
  Cluster cluster(1, /*hasty=*/true);
  cluster.Run(Seconds(1), /*crash_one_in=*/0);
  EXPECT_THAT(cluster.invariants().problems(), Contains(StartsWith("left before durable: ")));
}

}  // namespace
}  // namespace conclave::sim
