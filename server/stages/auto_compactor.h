// Forgets old revisions by itself, so that history does not grow for ever (reference: behaviour
// section 3.7). Every member keeps note of which revision was seen when; only the leader decides,
// through the log and as the leader of that very term. Driven by Node, on the raft lane. Nothing
// younger than what the options keep is ever compacted by this.
#pragma once

#include <cstdint>
#include <deque>

#include "kvstore/mvcc/history.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/stages/proposer.h"

namespace conclave::server {

// At most one of the two; both zero: nothing is compacted.
struct AutoCompactorOptions {
  Duration period{};      // history kept, by time
  int64_t revisions = 0;  // history kept, by count
};

class AutoCompactor {
 public:
  AutoCompactor(const AutoCompactorOptions& options, Executor* lane, const kv::History* history,
                Proposer* proposer);
  ~AutoCompactor();
  AutoCompactor(const AutoCompactor&) = delete;
  AutoCompactor& operator=(const AutoCompactor&) = delete;

  // The time that `period` keeps counts from here.
  void Start();
  void OnRoleChange(const raft::RoleChange& change);

 private:
  struct Sample {
    Instant at;
    int64_t revision;
  };

  void Tick();
  void TakeSample();
  // What may be forgotten now; 0 or less for nothing.
  int64_t Target() const;
  void Compact(int64_t revision);

  const AutoCompactorOptions options_;
  const Duration between_compactions_;
  const Duration between_ticks_;
  Executor* const lane_;
  const kv::History* const history_;
  Proposer* const proposer_;

  std::deque<Sample> samples_;  // ascending; the first is the newest that is at least a period old,
                                // once there is one
  Instant next_compaction_;
  bool compacting_ = false;
  bool leading_ = false;
  raft::Term term_;
  TimerId timer_ = 0;
};

}  // namespace conclave::server
