#include "server/stages/state_rebuild.h"

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

StateRebuild::StateRebuild(const StateRebuildOptions& options, raft::NodeId member, Executor* lane,
                           kv::Store* store, ApplyStage* apply, SnapshotFetcher* fetcher,
                           absl::AnyInvocable<raft::NodeId()> leader,
                           absl::AnyInvocable<void(const raft::LogStart&)> install)
    : options_(options),
      member_(member),
      lane_(lane),
      store_(store),
      apply_(apply),
      fetcher_(fetcher),
      leader_(std::move(leader)),
      install_(std::move(install)) {}

StateRebuild::~StateRebuild() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void StateRebuild::Start() {
  if (std::exchange(under_way_, true)) return;
  Try();
}

void StateRebuild::StartWithoutState(raft::LogIndex through) {
  lost_through_ = through;
  if (!SEEDED_BUG(kLostStateAppliedTo)) apply_->Hold();
  Start();
}

raft::LogIndex StateRebuild::Floor() const {
  return std::max(raft::LogIndex(store_->applied_index()),
                  lost_through_.value_or(raft::LogIndex(0)));
}

void StateRebuild::OnInstalled() {
  if (!std::exchange(under_way_, false)) return;
  lost_through_.reset();
  installing_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
  timer_ = 0;
  apply_->Release();
}

void StateRebuild::Try() {
  timer_ = lane_->RunAt(lane_->Now() + options_.try_every, [this] {
    timer_ = 0;
    Try();
  });
  if (installing_) return;
  if (apply_->held_bytes() > options_.held_bytes_max) {
    SIM_REACHED("integrity.rebuild_held_too_much");
    if (!lost_through_) return apply_->Release();
    lost_through_ = *apply_->given();
    apply_->DropHeld();
  }
  const raft::NodeId leader = leader_();
  if (leader == raft::kNoNode || leader == member_) return;
  apply_->Hold();
  fetcher_->Fetch({.from = leader, .at_least = Floor()});
}

bool StateRebuild::Take(const raft::LogStart& start) {
  if (!under_way_ || installing_) return false;
  const raft::LogIndex floor = Floor();
  // What comes after it must be in the log here, committed and durable: raft hands over nothing
  // else. An older one was fetched before entries were held.
  const bool fits = start.index >= floor && apply_->given().value_or(floor) >= start.index;
  if (!fits) return false;
  SIM_REACHED("integrity.rebuilt");
  installing_ = true;
  install_(start);
  return true;
}

}  // namespace conclave::server
