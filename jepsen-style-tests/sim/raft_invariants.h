// The promises of Raft over all simulated members and all their runs, checked after every event
// (thesis figure 3.2; docs/raft-core.md): election safety, one vote per term across restarts, log
// matching, leader completeness, state machine safety; what is committed is durable on a quorum of
// the voters; nothing leaves a member before the write it depends on; terms, commits, applied
// indexes and revisions never go back; and the log gives back after a crash what was durable.
//
// It believes no member: it keeps a copy of every member's disk from what passes the seams (the
// log, the network, the store) and holds what the core claims against that. Fed by ObservedWal,
// ObservedStore and the simulation, on its one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/sim/mirrored_member.h"
#include "kvstore/store.h"
#include "raft/core/cluster_checker.h"
#include "raft/core/core.h"
#include "raft/core/findings.h"
#include "raft/wal/wal.h"

namespace conclave::sim {

// What the rules look at of a core; what there is without allocation.
struct CoreView {
  raft::Term term;
  bool leading = false;
  bool log_starts_anew = false;  // as Core's
  raft::LogIndex last_index;
  raft::LogIndex durable;
  raft::LogIndex commit;
  raft::LogIndex applied;
  friend bool operator==(const CoreView&, const CoreView&) = default;
};

// Where a store stands when it is opened.
struct StoreView {
  uint64_t applied = 0;
  uint64_t installed = 0;  // kv::Store::installed_index
  int64_t revision = 0;
  std::string configuration = {};  // of kv::LogPosition
  bool lost = false;               // its disk was damaged, so that it holds nothing,
  bool remade = false;             // or nothing yet of what the whole log will make of it
};

class RaftInvariants {
 public:
  RaftInvariants() = default;
  RaftInvariants(const RaftInvariants&) = delete;
  RaftInvariants& operator=(const RaftInvariants&) = delete;

  // ---- The life of a member's process. ----

  // A new run: the log has been read back and the store opened, and nothing has been said or
  // written yet. What the first run of a member finds is believed.
  void OnStart(raft::NodeId member, const raft::WalContents& recovered, const StoreView& store);
  // The process is gone, however it ended; its disk is not.
  void OnCrash(raft::NodeId member);
  // Its disk, at rest, was damaged: the next run may find entries lost, if it says so.
  void OnDamaged(raft::NodeId member, const DamagedLog& damage);
  // Its disk is gone too, and what the next OnStart finds is believed. The promises of its earlier
  // life still bind it.
  void OnWiped(raft::NodeId member);

  // ---- The log. ----

  // Before the task is handed to the log.
  void OnAppend(raft::NodeId member, const raft::AppendTask& task);
  // Before the log's callback runs.
  void OnDurable(raft::NodeId member, raft::WriteId write);
  void OnRelease(raft::NodeId member, const raft::LogStart& to);

  // ---- The network. ----

  // The message was handed to the transport.
  void OnSent(const raft::Message& message);

  // ---- The state machine. ----

  // `command` is empty for an entry without one; `revision` is the store's after it.
  void OnApply(raft::NodeId member, uint64_t index, std::string_view command, int64_t revision);
  // A snapshot as of `position` took the place of the state.
  void OnInstall(raft::NodeId member, const kv::LogPosition& position, int64_t revision);

  // ---- The core. ----

  // Something happened to the member, and all that came of it has passed the seams.
  void AfterEvent(raft::NodeId member, const raft::Core& core);
  // The part of AfterEvent that needs no more than a view.
  void OnView(raft::NodeId member, const CoreView& view);

  // Each begins with the name of the rule that is broken: "election safety", "one vote per term",
  // "log matching", "leader completeness", "state machine safety", "commit without quorum", "left
  // before durable", "durability", "monotone", "transfer", "membership", or "core" for an invariant
  // of one core alone (raft/core/invariants.h).
  const std::vector<std::string>& problems() const { return findings_.problems(); }
  // How many times a rule was looked at.
  uint64_t checked() const { return findings_.checked(); }
  // The last index that any member ever knew to be committed.
  raft::LogIndex committed() const { return checker_.committed(); }
  // The first write of the member that is on its way to the disk.
  std::optional<raft::WriteId> OldestWrite(raft::NodeId member) {
    return At(member).mirror.OldestWrite();
  }
  // A new log is on its way to the disk, in place of the one that a snapshot has made useless.
  bool ResetUnderWay(raft::NodeId member) { return At(member).mirror.ResetUnderWay(); }
  // If the power went now, its log could be found as `recovered`: that must be right.
  void OnCrashImage(raft::NodeId member, const raft::WalContents& recovered);
  // Every configuration that may decide something from now on: the newest that is committed, and
  // those after it in any member's log. None if no member has ever started.
  std::vector<raft::Configuration> ConfigurationsAhead();

 private:
  struct Member {
    explicit Member(const raft::WalContents& recovered) : mirror(recovered) {}

    MirroredMember mirror;
    CoreView view;                       // after the last event of this run
    raft::LogIndex configuration_index;  // of the newest one in its log then
    std::optional<DamagedLog> damage;    // since its last run began
    uint64_t applied = 0;                // by the store, in this run or before it
    int64_t revision = 0;                // of the store
    uint64_t installed = 0;              // of which entry its last snapshot was; 0 if it had none
    uint64_t installing = 0;             // of which one is taking its place; 0 if none
    bool lost = false;                   // StoreView::lost, until one has taken its place
    uint64_t without_log = 0;            // up to here the store holds what the log need not
  };

  Member& At(raft::NodeId member);
  // Those that are committed. Some member must have started.
  const raft::Configurations& Committed();
  void CheckHardState(raft::NodeId member, const raft::HardState& now,
                      const raft::HardState& before);
  void CheckStore(raft::NodeId member, const Member& of);
  void CheckInstalled(raft::NodeId member, const Member& of, uint64_t told);
  void CheckConfiguration(raft::NodeId member, uint64_t applied, const std::string& encoded);
  void CheckRevision(raft::NodeId member, uint64_t index, int64_t revision);
  void CheckReset(raft::NodeId member, const Member& of, const raft::LogStart& to);
  bool IsCommitted(raft::LogIndex index, raft::Term term) const;
  void CheckHandOver(const raft::Message& message);
  void CheckAccepted(const raft::Message& message, const raft::AppendResponse& response);
  void CheckMonotone(raft::NodeId member, const CoreView& before, const CoreView& now);
  void CheckLog(raft::NodeId member, const Member& of);
  void CheckReleased(raft::NodeId member, const Member& of, const raft::LogStart& to);
  void CheckChange(raft::NodeId member, const Member& of);
  // `last_before` is where its log ended before the present event.
  void OnCommit(raft::NodeId member, raft::LogIndex commit, raft::LogIndex last_before);

  raft::Findings findings_;
  raft::ClusterChecker checker_{&findings_};
  std::map<raft::NodeId, Member> members_;
  std::vector<int64_t> revisions_;  // after each index; 0 where not known
  // Of the committed entries up to `looked_at_`, from the one that all members begin with.
  std::optional<raft::Configurations> configurations_;
  raft::LogIndex looked_at_;
  std::optional<raft::LogIndex> first_change_;  // of the configuration, among them
};

}  // namespace conclave::sim
