#include "server/stages/raft_stage.h"

#include <utility>

namespace conclave::server {

using raft::Event;

RaftStage::RaftStage(Executor* lane, raft::Core* core, raft::Wal* wal, raft::Transport* transport,
                     LogWatchdog* watchdog, RaftStageOwner* owner)
    : lane_(lane),
      core_(core),
      wal_(wal),
      transport_(transport),
      watchdog_(watchdog),
      owner_(owner) {
  transport_->SetReceiver({
      .received =
          [this](std::vector<raft::Message>& messages) {
            for (raft::Message& message : messages) {
              Enqueue(raft::Received{std::move(message)});
            }
          },
      .unreachable = [this](raft::NodeId peer) { Enqueue(raft::PeerUnreachable{peer}); },
  });
}

RaftStage::~RaftStage() {
  *alive_ = false;
  transport_->SetReceiver({});
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void RaftStage::Applied(raft::LogIndex index) { Enqueue(raft::Applied{index}); }
void RaftStage::Compacted(raft::LogIndex index) { Enqueue(raft::Compacted{index}); }
void RaftStage::SnapshotFetched(const raft::LogStart& start) {
  Enqueue(raft::SnapshotFetched{start});
}
void RaftStage::Transfer(raft::NodeId target) { Enqueue(raft::TransferRequested{target}); }

void RaftStage::Enqueue(Event event) {
  events_.push_back(std::move(event));
  Wake();
}

void RaftStage::Wake() {
  if (drain_posted_) return;
  drain_posted_ = true;
  lane_->Post([this, alive = alive_] {
    if (*alive) Drain();
  });
}

void RaftStage::Drain() {
  drain_posted_ = false;
  const Instant now = lane_->Now();
  draining_.swap(events_);
  for (Event& event : draining_) core_->Step(now, std::move(event));
  draining_.clear();

  std::vector<raft::Proposal> proposals = owner_->TakeProposals(core_->term(), core_->leading());
  if (!proposals.empty()) core_->Step(now, raft::Proposed{std::move(proposals)});
  if (std::optional<raft::ReadId> read = owner_->TakeRead()) {
    core_->Step(now, raft::ReadRequested{*read});
  }
  CarryOut(core_->TakeOutput());
}

void RaftStage::CarryOut(raft::Output output) {
  if (output.append) owner_->OnAppend(*output.append);
  // The leader's requests leave before its own write is handed over, so that the disks work at the
  // same time.
  if (!output.messages.empty()) transport_->Send(std::move(output.messages));
  if (output.append) StartAppend(*std::move(output.append));
  ArmTimer(output.next_deadline);
  if (output.role_change) owner_->OnRoleChange(*output.role_change);
  if (!output.proposals_failed.empty()) owner_->OnProposalsFailed(output.proposals_failed);
  if (!output.reads_ready.empty()) owner_->OnReadsReady(output.reads_ready);
  if (!output.reads_failed.empty()) owner_->OnReadsFailed(output.reads_failed);
  if (output.install_snapshot) owner_->OnInstallSnapshot(*output.install_snapshot);
  if (output.fetch_snapshot) owner_->OnFetchSnapshot(*output.fetch_snapshot);
  if (!output.apply.empty()) owner_->OnApply(std::move(output.apply));
  if (output.compacted) {
    wal_->Release(output.compacted->index, output.compacted->term, output.compacted->configuration);
    WatchRelease();
  }
}

// A write that nobody waits for, on a disk that may hang in it; an append of nothing is due when
// all before it is durable.
void RaftStage::WatchRelease() {
  watchdog_->WriteStarted();
  wal_->Append(raft::AppendTask(), [this, alive = alive_] {
    if (*alive) watchdog_->WriteDone();
  });
}

void RaftStage::StartAppend(raft::AppendTask task) {
  std::vector<raft::Message> after = std::move(task.after_durable);
  const raft::WriteId write = task.write;
  watchdog_->WriteStarted();
  wal_->Append(task, [this, alive = alive_, write, after = std::move(after)]() mutable {
    if (!*alive) return;
    watchdog_->WriteDone();
    if (!after.empty()) transport_->Send(std::move(after));
    Enqueue(raft::Appended{write});
  });
}

void RaftStage::ArmTimer(Instant deadline) {
  if (deadline == timer_at_) return;
  if (timer_ != 0) lane_->CancelTimer(timer_);
  timer_ = 0;
  timer_at_ = deadline;
  if (deadline == kNever) return;
  timer_ = lane_->RunAt(deadline, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    Enqueue(raft::Woke{});
  });
}

}  // namespace conclave::server
