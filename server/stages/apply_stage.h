// The apply lane's stage: it applies committed entries in log order, one engine batch per drain,
// hands results to those who wait and tells raft. Also keeps going what follows from applying:
// watchers that catch up and the removal of compacted revisions, both in bounded slices between
// other work. Runs on the raft lane today; everything reaches it by function calls on that lane.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/core/entry.h"
#include "server/stages/disk_reads.h"
#include "server/stages/proposer.h"

namespace conclave::server {

struct ApplyStageOptions {
  Duration compaction_pause = Milliseconds(1);  // between two slices of removal
  int64_t removed_revisions_min = 10'000;       // of which Observer::removed is told together
  // Held for want of room in the store or of what is to be read; beyond it this lane waits for the
  // disk.
  size_t held_bytes_max = 64 << 20;
};

class ApplyStage {
 public:
  struct Observer {
    // After each entry, which nobody can see yet.
    absl::AnyInvocable<void()> entry;
    // After a drain: everything up to `last` is applied, visible and answered.
    absl::AnyInvocable<void(const raft::Entry& last, size_t bytes)> applied;
    // The dead versions of many revisions are gone, and there are no others to be removed now.
    absl::AnyInvocable<void()> removed;
  };

  ApplyStage(const ApplyStageOptions& options, Executor* lane, kv::Store* store,
             DiskReads* disk_reads, Proposer* proposer, Observer observer);
  ~ApplyStage();
  ApplyStage(const ApplyStage&) = delete;
  ApplyStage& operator=(const ApplyStage&) = delete;

  // Rule R2: in order. Applies at once, but for what is held. While the store has no room, because
  // the disk is behind, entries are held too, and while the disk is read for what they look up:
  // heartbeats, votes and acknowledgements go on. That member is behind then, and who proposes to
  // it is refused at some point (Node::Propose).
  void Apply(std::vector<raft::Entry> entries);

  // From now on entries are kept instead of applied, until Release: the state is about to be
  // replaced by one that must not be older. Costs no memory beside the log's, which cannot let them
  // go meanwhile.
  void Hold() { holding_ = true; }
  void Release();
  // Forgets what is held, and goes on holding: whatever state comes will have it.
  void DropHeld();
  // The last entry that was given to Apply, applied or held; nothing if there was none in this run.
  std::optional<raft::LogIndex> given() const { return given_; }
  // Entries are held, or still being applied after a Release.
  bool behind() const { return !held_.empty(); }
  size_t held_bytes() const { return held_bytes_; }

  // While on, whoever waits for a result gets ErrTimeout: the state that results come from is
  // wrong, and the entry may well be right.
  void WithholdResults(bool on) { withholding_ = on; }

  // A snapshot took the place of the store's state. What is held of it is not applied any more.
  void OnInstalled();

  // A watch was created or may go on: runs the hub soon.
  void WakeWatches();

  // Runs `done` when the dead versions up to `revision` are gone from the engine of this member.
  void WhenCompacted(int64_t revision, absl::AnyInvocable<void()> done);

 private:
  // Which of the entries may wait for the disk.
  enum class Waits { kNone, kFirst, kAll };
  // What would have to wait and may not is held, with all that follows it.
  void ApplyNow(std::vector<raft::Entry> entries, Waits waits);
  // As much as one drain takes.
  void ApplyHeld(Waits waits);
  void HoldFrom(std::vector<raft::Entry>& entries, size_t first);
  void EndDrain(const raft::Entry& last, size_t bytes);
  // Reads what the held entries look up, then goes on with them.
  void ReadAhead();
  void OnRead();
  void ApplySlice();
  void ScheduleSlice();
  // If not, held entries go on once there is.
  bool HasRoom();
  void OnRoom();
  // These are false, and nothing is done, if it would have to wait for the disk and may not.
  bool ApplyOne(const raft::Entry& entry, bool may_wait);
  bool ApplyCommand(const raft::Entry& entry, bool may_wait);
  void ApplyConfiguration(const raft::Entry& entry);
  // The header of the command in `bytes`, if a client of this member waits for its result. Fatal if
  // it is no command.
  std::optional<kv::CommandHeader> WaitingFor(const raft::Entry& entry,
                                              std::string_view bytes) const;
  void RunWatches();
  void ScheduleWatches();
  void ScheduleCompaction();
  void RunCompaction();
  void AnswerCompactionWaiters();
  void TellRemoved();

  struct CompactionWaiter {
    int64_t revision;
    absl::AnyInvocable<void()> done;
  };
  struct Result {
    kv::CommandHeader header;
    kv::ApplyResult result;
  };

  const ApplyStageOptions options_;
  Executor* const lane_;
  kv::Store* const store_;
  DiskReads* const disk_reads_;
  Proposer* const proposer_;
  Observer observer_;

  bool holding_ = false;
  bool withholding_ = false;
  std::deque<raft::Entry> held_;
  size_t held_bytes_ = 0;
  bool slice_posted_ = false;
  bool awaiting_room_ = false;
  bool reading_ = false;         // what held entries look up
  bool first_may_wait_ = false;  // of the held ones: it was read for
  std::optional<raft::LogIndex> given_;
  std::vector<Result> results_;  // of this drain, handed over after its commit
  bool watches_posted_ = false;
  TimerId watch_timer_ = 0;
  Instant watch_timer_at_ = kNever;
  TimerId compaction_timer_ = 0;
  std::vector<CompactionWaiter> compaction_waiters_;
  int64_t removed_told_;  // Observer::removed was told of those up to this revision
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
