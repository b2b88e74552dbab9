// Linearizable reads (ReadIndex, thesis 6.4): all reads that arrive between two drains share one
// read index; each runs once this member has applied that far. A batch whose answer does not come
// (a lost message, a new leader) is asked for again: reads change nothing, so that is always safe.
// On the raft lane.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"

namespace conclave::server {

struct ReadGateOptions {
  Duration timeout = Seconds(7);  // then ErrTimeout
  Duration retry_after = Milliseconds(500);
  raft::LogIndex applied = {};  // what the state machine holds from the start
  // First read id of this run. Those of all runs must differ, so that a late answer to an earlier
  // run is not taken for one to this: a random number.
  uint64_t first_read_id = 1;
  size_t reads_max = 1 << 20;  // beyond it: too many requests
};

class ReadGate {
 public:
  // OK: the state at the time of the call holds everything that was acknowledged before Read was
  // called.
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  ReadGate(const ReadGateOptions& options, Executor* lane, absl::AnyInvocable<void()> wake_raft);
  ~ReadGate();
  ReadGate(const ReadGate&) = delete;
  ReadGate& operator=(const ReadGate&) = delete;

  void Read(Done done);
  // While set, every read fails with it as soon as it would be answered: the state is wrong.
  void Refuse(const absl::Status& why) { refusal_ = why; }

  // The raft stage's side (RaftStageOwner).
  std::optional<raft::ReadId> TakeRead();
  void OnReady(const std::vector<raft::ReadReady>& ready);
  void OnFailed(const std::vector<raft::ReadFailed>& failed);
  void OnRoleChange(const raft::RoleChange& change);

  // The apply stage's side: everything up to `index` is applied and visible.
  void OnApplied(raft::LogIndex index);

 private:
  struct Waiter {
    Instant deadline;
    Done done;
  };
  struct Batch {
    Instant asked;
    std::vector<Waiter> waiters;
  };

  void EndRest();
  void Tick();
  void ArmTimer();

  const ReadGateOptions options_;
  Executor* const lane_;
  absl::AnyInvocable<void()> wake_raft_;
  std::vector<Waiter> waiting_;                 // for a read index to be asked for
  std::vector<Waiter> resting_;                 // refused: asked again as Proposer does
  std::map<raft::ReadId, Batch> asked_;         // for the answer
  std::multimap<raft::LogIndex, Batch> ready_;  // for apply
  raft::ReadId last_read_;
  raft::LogIndex applied_;
  bool leader_known_ = false;
  absl::Status refusal_;
  size_t count_ = 0;
  TimerId timer_ = 0;
};

}  // namespace conclave::server
