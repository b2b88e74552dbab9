#include "jepsen-style-tests/sim/observed_wal.h"

#include <utility>

namespace conclave::sim {

ObservedWal::ObservedWal(raft::NodeId member, std::unique_ptr<raft::Wal> wal,
                         RaftInvariants* invariants)
    : member_(member), wal_(std::move(wal)), invariants_(invariants) {}

void ObservedWal::Append(const raft::AppendTask& task, Durable durable) {
  invariants_->OnAppend(member_, task);
  wal_->Append(task, [invariants = invariants_, member = member_, write = task.write,
                      durable = std::move(durable)]() mutable {
    invariants->OnDurable(member, write);
    durable();
  });
}

void ObservedWal::Release(raft::LogIndex index, raft::Term term,
                          const raft::Configuration& configuration) {
  invariants_->OnRelease(member_, {index, term, configuration});
  wal_->Release(index, term, configuration);
}

void ObservedWal::SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t entries)> observer) {
  wal_->SetSyncObserver(std::move(observer));
}

}  // namespace conclave::sim
