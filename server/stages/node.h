// One member of the cluster, put together: core, log, state machine and the stages that drive them.
// This is what the services of server/api talk to, and all of a member that a simulation runs:
// everything outside comes in through the seams of raft/base, raft/transport and server/peer. On
// the raft lane.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kvstore/command.h"
#include "kvstore/engine/engine_home.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/store.h"
#include "raft/base/clock.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "raft/transport/transport.h"
#include "raft/wal/wal.h"
#include "server/stages/apply_stage.h"
#include "server/stages/auto_compactor.h"
#include "server/stages/fenced_transport.h"
#include "server/stages/integrity_stage.h"
#include "server/stages/lease_stage.h"
#include "server/stages/log_keeper.h"
#include "server/stages/log_watchdog.h"
#include "server/stages/proposer.h"
#include "server/stages/raft_stage.h"
#include "server/stages/read_gate.h"
#include "server/stages/snapshot_fetcher.h"
#include "server/stages/snapshot_source.h"
#include "server/stages/space_watch.h"
#include "server/stages/state_rebuild.h"
#include "server/stages/unapplied_members.h"

namespace conclave::server {

struct NodeOptions {
  uint64_t cluster_id = 0;
  raft::CoreConfig core = {};  // core.id is this member
  std::string name = {};
  std::vector<std::string> client_urls = {};  // as published in the member list
  size_t unapplied_entries_max = 5000;  // committed but not applied; beyond it: too many requests
  LogKeeperOptions log_keeper = {};
  LogWatchdogOptions log_watchdog = {};
  SpaceWatchOptions space = {};
  ApplyStageOptions apply = {};
  LeaseStageOptions leases = {};  // the extension is the election timeout
  AutoCompactorOptions auto_compaction = {};
  SnapshotSourceOptions snapshot_source = {};
  SnapshotFetcherOptions snapshot_fetcher = {};  // member is this one, first_session is drawn
  StateRebuildOptions rebuild = {};
};

// What the node stands on; nothing is owned, all must outlive it.
struct NodeParts {
  Executor* lane = nullptr;
  Executor* background = nullptr;  // may block: engine flushes, snapshots; one task at a time
  // Likewise, for reads that take long (Node::ReadBehind): clients wait for these. Its tasks post
  // to `background`, which must outlive it.
  Executor* reads = nullptr;
  // Likewise, for lookups of single keys that wait for the disk (disk_reads.h); at least one.
  std::vector<Executor*> disk_reads = {};
  Clock* clock = nullptr;
  raft::Wal* wal = nullptr;
  raft::Transport* transport = nullptr;
  PeerCalls* peers = nullptr;
  kv::EngineHome* engine_home = nullptr;
  // What the store stands on. The installation of a snapshot puts another one there; who works on
  // one in the background keeps a copy of the pointer meanwhile, and lets it go there.
  std::shared_ptr<kv::Engine>* engine = nullptr;
  kv::Store* store = nullptr;
  // What the store holds is no state: nothing is served or applied before one was fetched
  // (recovery.h).
  bool state_lost = false;
  FileSystem* file_system = nullptr;  // to ask for space; nullptr: not asked
};

// Told of what the rest of the server cares about; on the lane.
class NodeObserver {
 public:
  virtual ~NodeObserver() = default;
  virtual void OnRoleChange(const raft::RoleChange& change) = 0;
  // This member's name and client URLs are in the replicated member list.
  virtual void OnPublished() = 0;
  // A snapshot is fetched, handed out or installed, or was given up: one line for people.
  virtual void OnSnapshotNews(std::string_view line) = 0;
  // Node::KnownMembers may have changed. Also told when a change of membership that was in the log
  // is taken back.
  virtual void OnMembersChanged() = 0;
  // This member has left (HasLeft): it has no business here any more. Told once.
  virtual void OnRemoved() = 0;
  virtual void OnSpaceNews(SpaceNews news) = 0;
  // A member's state differs from the others', or this one's does (IntegrityNews).
  virtual void OnIntegrityNews(IntegrityNews news, raft::NodeId member) = 0;
};

struct NodeCounters {
  uint64_t leader_changes = 0;
  uint64_t proposals_failed = 0;
  uint64_t leases_expired = 0;
  uint64_t divergences_found = 0;  // of any member, by this one as leader
  uint64_t disk_lookups = 0;       // DiskReads::total
};

// True for a member that was removed and has no say any more: the joint configuration by which it
// goes needs it until its end is committed (thesis 4.3).
bool HasLeft(const kv::Store& store, raft::NodeId member);

class Node : private RaftStageOwner {
 public:
  // `recovered` is what the WAL holds, with `applied` from the store. `seed` decides election
  // timeouts and where ids begin; it must differ between the runs of a member.
  Node(const NodeOptions& options, const NodeParts& parts, raft::RecoveredState recovered,
       uint64_t seed);
  ~Node() override;

  // Starts the first election timeout and publishes this member once there is a leader.
  void Start();
  // nullptr to stop being told. Must outlive the node otherwise.
  void SetObserver(NodeObserver* observer) { observer_ = observer; }

  // ---- For the services. ----

  // Replicates and applies a command; `done` gets the result of applying or an error of the errors
  // table.
  void Propose(kv::CommandKind kind, std::string_view request, Proposer::Done done,
               const kv::RequestIdentity& identity = {});
  // A command that changes the members, with the change of the configuration that it stands for
  // (none for a change of URLs). As the present leader, or fails with ErrNotLeader, and then it has
  // certainly not been done. Whoever proposes it has asked Store::CheckMemberChange while
  // MembersSettled().
  void ChangeMembers(kv::CommandKind kind, std::string_view request,
                     std::vector<raft::MemberChange> changes, Proposer::Done done);
  // Every change of membership in the log is applied, and if this member leads then also all that
  // former leaders have left: what the store says of the members is what raft goes by.
  bool MembersSettled() const { return unapplied_.empty() && applied_term_ == role_.term; }
  // The store's members, and those that entries not applied yet will add. Sorted by id but for
  // these.
  std::vector<etcdserverpb::Member> KnownMembers() const;
  // Linearizable: `done` with OK may read the store. ErrCorrupt while that is fenced.
  void Read(ReadGate::Done done) { reads_.Read(std::move(done)); }
  // As Read, and OK only if this member leads and its lessor runs: what it says of a lease's time
  // is then the truth.
  void ReadAsLessor(ReadGate::Done done);
  // Runs `work` on the lane for long reads; it reads the store's engine as it was when it was made,
  // for as long as that takes, and is destroyed there. Then `done` on this lane; with
  // ErrTooManyRequests, at once, while much of that kind is under way.
  void ReadBehind(absl::AnyInvocable<void()> work,
                  absl::AnyInvocable<void(const absl::Status&)> done);
  // Has the engine bring what Store::ColdReads has named into memory, then `done` on this lane;
  // with ErrTooManyRequests, at once, while very much of that kind is under way.
  void ReadFromDisk(std::vector<kv::ColdRead> reads,
                    absl::AnyInvocable<void(const absl::Status&)> done);
  // Keeps a view for reads that are made one after the other (ReadPiece). It is gone, and null,
  // when a snapshot takes the place of the engine: then the range goes on in a new view.
  struct HeldRange {
    std::shared_ptr<const kv::RangeView> view;
  };
  std::shared_ptr<HeldRange> Hold(std::unique_ptr<kv::RangeView> view);
  // Runs `work` on the lane for long reads, with the view, which must be there; then `done` on this
  // lane. How many are under way is the caller's to bound (server/api/range_budget.h).
  void ReadPiece(const HeldRange& held, absl::AnyInvocable<void(const kv::RangeView&)> work,
                 absl::AnyInvocable<void()> done);
  // This member's state is known to be wrong (docs/integrity.md): nothing may be served from it.
  bool fenced() const { return integrity_.fenced(); }
  // It was started without its state, and none has come yet.
  bool state_lost() const { return state_lost_; }
  // Runs `fenced` once when that comes to be, unless what it was given with has gone.
  void WhenFenced(std::weak_ptr<void> with, absl::AnyInvocable<void()> fenced);
  kv::Store& store() { return *parts_.store; }
  ApplyStage& apply() { return apply_; }
  SpaceWatch& space() { return space_; }
  LeaseStage& leases() { return leases_; }

  // Hands leadership over; `done` once this member sees the new leader. Errors of the errors table,
  // also if another member than `target` came to lead.
  void MoveLeader(raft::NodeId target, absl::AnyInvocable<void(const absl::Status&)> done);
  // Before a stop: hands leadership to the best voter if this member leads a cluster of several;
  // `done` when it no longer leads or after an election timeout.
  void StepAside(absl::AnyInvocable<void()> done);

  // Cluster id, member id and term; the revision is the caller's (the store's own answers have it).
  void FillHeader(etcdserverpb::ResponseHeader* header) const;
  raft::CoreStatus Status() const { return core_.Status(); }
  const raft::Core& core() const { return core_; }
  raft::NodeId leader() const { return role_.leader; }
  raft::Term term() const { return role_.term; }
  // By the member list: a member that was added as a voter is none, though raft gives it its vote
  // only once it has caught up (server/api/member_keeper.h).
  bool IsLearner() const { return is_learner_; }
  bool leading() const { return role_.role == raft::RoleName::kLeader; }
  raft::NodeId id() const { return options_.core.id; }
  uint64_t cluster_id() const { return options_.cluster_id; }
  Executor* lane() const { return parts_.lane; }
  const Clock& clock() const { return *parts_.clock; }
  // A write to the log is under way.
  bool log_busy() const { return log_watchdog_.writing(); }
  Duration election_timeout() const { return options_.core.election_timeout; }
  Duration heartbeat_interval() const { return options_.core.heartbeat_interval; }
  NodeCounters counters() const;
  const SnapshotSourceStats& snapshots_sent() const { return snapshot_source_.stats(); }
  // While members fetch snapshots here or go on from them, the log after this index is theirs.
  std::optional<raft::LogIndex> log_held_for_snapshots() const { return snapshot_source_.held(); }
  const SnapshotFetcherStats& snapshots_fetched() const { return snapshot_fetcher_.stats(); }
  size_t proposals_pending() const { return proposer_.pending(); }

 private:
  std::vector<raft::Proposal> TakeProposals(raft::Term term, bool leading) override;
  std::optional<raft::ReadId> TakeRead() override;
  void OnAppend(const raft::AppendTask& task) override;
  void OnRoleChange(const raft::RoleChange& change) override;
  void OnProposalsFailed(const std::vector<raft::ProposalFailed>& failed) override;
  void OnReadsReady(const std::vector<raft::ReadReady>& ready) override;
  void OnReadsFailed(const std::vector<raft::ReadFailed>& failed) override;
  void OnApply(std::vector<raft::Entry> entries) override;

  void OnFetchSnapshot(const raft::SnapshotWanted& wanted) override;
  void OnInstallSnapshot(const raft::LogStart& start) override;

  void RunBehind(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done);
  void OnApplied(const raft::Entry& last, size_t bytes);
  void OnSnapshotOpened(const raft::LogStart& start, std::unique_ptr<kv::Engine> engine);
  void OnIntegrityChanged();
  void TakeFence();
  void OnIntegrityNews(IntegrityNews news, raft::NodeId member);
  // What the stages of a leader are told: a member that may not lead decides nothing.
  raft::RoleChange RoleToAct() const;
  // The member list or what the log adds to it may have changed.
  void TakeMembers();
  void Publish();
  void OnPublishAnswered(const absl::Status& status);
  void TellSnapshotNews(std::string_view line);
  bool IsPublished() const;
  void WatchTransfer(Instant deadline, raft::NodeId target, raft::Term term,
                     absl::AnyInvocable<void(const absl::Status&)> done);

  const NodeOptions options_;
  const NodeParts parts_;
  bool state_lost_ = parts_.state_lost;  // until one has come
  NodeObserver* observer_ = nullptr;
  UnappliedMembers unapplied_;
  FencedTransport transport_;
  raft::Core core_;
  Proposer proposer_;
  ReadGate reads_;
  DiskReads disk_reads_;
  ApplyStage apply_;
  LeaseStage leases_;
  AutoCompactor compactor_;
  LogKeeper log_keeper_;
  LogWatchdog log_watchdog_;
  SpaceWatch space_;
  SnapshotSource snapshot_source_;
  SnapshotFetcher snapshot_fetcher_;
  IntegrityStage integrity_;
  StateRebuild rebuild_;
  RaftStage raft_;
  raft::RoleChange role_;
  raft::Term applied_term_;
  bool is_learner_ = false;
  bool removed_told_ = false;
  bool members_changed_ = false;  // by an entry that may be held still
  struct FenceWaiter {
    std::weak_ptr<void> with;
    absl::AnyInvocable<void()> fenced;
  };
  std::vector<FenceWaiter> fence_waiters_;
  size_t forget_waiters_at_ = 64;
  size_t reads_behind_ = 0;  // under way
  std::vector<std::weak_ptr<HeldRange>> held_ranges_;
  bool publishing_ = false;
  bool published_ = false;
  uint64_t leader_changes_ = 0;
  uint64_t divergences_found_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
