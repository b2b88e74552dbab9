// A log that tells RaftInvariants of everything that passes through it, and is otherwise the log it
// holds. Stands between the raft stage and the real log of a simulated member, on its lane.
#pragma once

#include <memory>

#include "jepsen-style-tests/sim/raft_invariants.h"
#include "raft/wal/wal.h"

namespace conclave::sim {

class ObservedWal final : public raft::Wal {
 public:
  // `invariants` has been told of the start of this run before the first call, and outlives this.
  ObservedWal(raft::NodeId member, std::unique_ptr<raft::Wal> wal, RaftInvariants* invariants);

  void Append(const raft::AppendTask& task, Durable durable) override;
  void Release(raft::LogIndex index, raft::Term term,
               const raft::Configuration& configuration) override;
  raft::WalStats Stats() const override { return wal_->Stats(); }
  void SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) override {
    wal_->SetSpaceObserver(std::move(observer));
  }
  void SetSyncObserver(absl::AnyInvocable<void(Duration, uint64_t entries)> observer) override;

 private:
  const raft::NodeId member_;
  const std::unique_ptr<raft::Wal> wal_;
  RaftInvariants* const invariants_;
};

}  // namespace conclave::sim
