// Whole members in one thread for the stages' tests: real core, log, store and stages on disks in
// memory, a network that delays and loses by seed, and a clock that moves when told. Tests only.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "raft/base/manual_executor.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/random.h"
#include "server/stages/node.h"

namespace conclave::server {

class TestCluster;

// The network as one member sees it: every message goes through its bytes, as on a wire.
class TestTransport : public raft::Transport {
 public:
  TestTransport(TestCluster* cluster, raft::NodeId self) : cluster_(cluster), self_(self) {}
  void SetReceiver(Receiver receiver) override { receiver_ = std::move(receiver); }
  void Send(std::vector<raft::Message> messages) override;

 private:
  friend class TestCluster;

  TestCluster* const cluster_;
  const raft::NodeId self_;
  Receiver receiver_;
};

// One member: what survives a crash (the disk), and what does not.
struct TestMember {
  raft::NodeId id;
  MemoryFileSystem disk;

  std::unique_ptr<TestTransport> transport;
  std::unique_ptr<raft::Wal> wal;
  std::unique_ptr<kv::MemoryEngine> engine;
  std::unique_ptr<kv::Store> store;
  std::unique_ptr<Node> node;  // nullptr while down
};

class TestCluster {
 public:
  // `options` are every member's, but for who it is.
  TestCluster(size_t members, uint64_t seed, const NodeOptions& options = {});
  ~TestCluster();

  // Starts a further member, with an empty disk; the others must have added it. Returns its index.
  size_t Join(raft::NodeId id);
  // size() if there is none.
  size_t IndexOf(raft::NodeId id) const;

  // Ends the member's process; the disk keeps what was synced, and by chance some of the rest.
  void Crash(size_t member);
  // Ends it as SIGTERM does: the engine has everything.
  void Stop(size_t member);
  void Restart(size_t member);
  bool up(size_t member) const { return members_[member]->node != nullptr; }

  // Messages between the two are lost, both ways, until healed.
  void Cut(size_t a, size_t b);
  void Isolate(size_t member);
  void Heal() { cuts_.clear(); }
  // Out of a thousand messages.
  void set_loss_permille(uint64_t permille) { loss_permille_ = permille; }

  void Run(Duration duration) { lane_.Advance(duration); }
  // Runs until a live member leads and every live member knows it; false after 30 s.
  bool RunUntilLeader();
  // The member that leads the newest term, among the live.
  size_t leader() const;

  Node& node(size_t member) { return *members_[member]->node; }
  kv::Store& store(size_t member) { return *members_[member]->store; }
  MemoryFileSystem& disk(size_t member) { return members_[member]->disk; }
  size_t size() const { return members_.size(); }
  Random& random() { return random_; }

  // Puts through `member`; `*answer` becomes the outcome.
  void Put(size_t member, const std::string& key, const std::string& value,
           std::shared_ptr<absl::Status> answer);
  // The key's value at `member` as it is there now, or "(none)".
  std::string Get(size_t member, const std::string& key);

 private:
  friend class TestTransport;

  void Deliver(const raft::Message& message);
  TestMember& Create(raft::NodeId id);
  raft::Configuration BootstrapConfiguration() const;
  std::vector<etcdserverpb::Member> BootstrapMembers() const;

  const size_t members_at_start_;
  const NodeOptions options_;
  Random random_;
  ManualExecutor lane_;
  std::vector<std::unique_ptr<TestMember>> members_;
  std::set<std::pair<raft::NodeId, raft::NodeId>> cuts_;
  uint64_t loss_permille_ = 0;
};

}  // namespace conclave::server
