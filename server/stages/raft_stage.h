// The raft lane's stage: it feeds the core with everything that happened since the last drain,
// takes its output once and carries it out (design section 4). All functions and callbacks run on
// the raft lane. It never waits: the log syncs by callback, the transport drops rather than blocks,
// apply is handed whole batches.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "raft/transport/transport.h"
#include "raft/wal/wal.h"
#include "server/stages/log_watchdog.h"

namespace conclave::server {

// What the stage asks its owner for and tells it. One implementation: Node.
class RaftStageOwner {
 public:
  virtual ~RaftStageOwner() = default;

  // The proposals that wait to be stepped in `term`; `leading` says whether this member leads it.
  // Whatever is returned is stepped at once, so that the attempt belongs to exactly this term.
  virtual std::vector<raft::Proposal> TakeProposals(raft::Term term, bool leading) = 0;
  // A batch of linearizable reads that wait for a read index, if there is one.
  virtual std::optional<raft::ReadId> TakeRead() = 0;

  // A write to the log is about to be handed over, before anything that was drained with it.
  virtual void OnAppend(const raft::AppendTask& task) = 0;

  // In this order after every drain that has something for it.
  virtual void OnRoleChange(const raft::RoleChange& change) = 0;
  virtual void OnProposalsFailed(const std::vector<raft::ProposalFailed>& failed) = 0;
  virtual void OnReadsReady(const std::vector<raft::ReadReady>& ready) = 0;
  virtual void OnReadsFailed(const std::vector<raft::ReadFailed>& failed) = 0;
  // Rule R2, before OnApply: Applied(start.index) is called back once the state that was fetched
  // has taken the place of the state machine's. Before OnFetchSnapshot, which may be of the next
  // one, and would take the place of what is to be installed.
  virtual void OnInstallSnapshot(const raft::LogStart& start) = 0;
  // Output::fetch_snapshot; SnapshotFetched is called back once it is here.
  virtual void OnFetchSnapshot(const raft::SnapshotWanted& wanted) = 0;
  // Rule R2 of raft/core/core.h: in order; Applied is called back once it is done.
  virtual void OnApply(std::vector<raft::Entry> entries) = 0;
};

class RaftStage {
 public:
  // None is owned; all must outlive the stage. Registers itself as the transport's receiver.
  RaftStage(Executor* lane, raft::Core* core, raft::Wal* wal, raft::Transport* transport,
            LogWatchdog* watchdog, RaftStageOwner* owner);
  ~RaftStage();
  RaftStage(const RaftStage&) = delete;
  RaftStage& operator=(const RaftStage&) = delete;

  // Something waits at the owner (proposals or reads), or the core's first deadline must be asked
  // for: drains soon, once for all calls until then.
  void Wake();
  void Applied(raft::LogIndex index);
  void Compacted(raft::LogIndex index);
  void SnapshotFetched(const raft::LogStart& start);
  void Transfer(raft::NodeId target);

  const raft::Core& core() const { return *core_; }

 private:
  void Enqueue(raft::Event event);
  void Drain();
  void CarryOut(raft::Output output);
  void StartAppend(raft::AppendTask task);
  void WatchRelease();
  void ArmTimer(Instant deadline);

  Executor* const lane_;
  raft::Core* const core_;
  raft::Wal* const wal_;
  raft::Transport* const transport_;
  LogWatchdog* const watchdog_;
  RaftStageOwner* const owner_;

  std::vector<raft::Event> events_;
  std::vector<raft::Event> draining_;  // kept for its capacity
  bool drain_posted_ = false;
  TimerId timer_ = 0;
  Instant timer_at_ = kNever;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
