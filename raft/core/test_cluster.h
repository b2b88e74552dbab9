// Several cores in one process with disks, a network and a clock that do exactly what the test
// says: writes become durable, messages arrive, get lost, repeat and overtake each other, and time
// passes only when told. After every event the invariants of each core and of the whole cluster are
// checked (cluster_checker.h, request_checker.h). Tests only; one thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/cluster_checker.h"
#include "raft/core/core.h"
#include "raft/core/disk.h"
#include "raft/core/findings.h"
#include "raft/core/request_checker.h"

namespace conclave::raft {

// What scenarios call the members.
inline constexpr NodeId k1{1}, k2{2}, k3{3}, k4{4}, k5{5};

class TestCluster {
 public:
  struct Options {
    size_t voters = 3;    // members 1, 2, ...
    size_t learners = 0;  // the members after them
    uint64_t seed = 1;
    CoreConfig config;  // of every member, but for the id and what follows
    std::map<NodeId, uint32_t> leader_priorities;
  };

  explicit TestCluster(const Options& options);

  // ---- What can happen to one member. Each is followed by a take that is carried out. ----

  void Step(NodeId member, Event event);
  // Without a take: for several events in one drain.
  void StepOnly(NodeId member, Event event);
  void Take(NodeId member);

  // All of them in one drain.
  void ProposeAll(NodeId member, const std::vector<std::string>& payloads);
  void Propose(NodeId member, const std::string& payload) { ProposeAll(member, {payload}); }
  // As many reads in one drain; the id of the last.
  ReadId ReadAll(NodeId member, uint64_t count);
  ReadId Read(NodeId member) { return ReadAll(member, 1); }
  // Its state machine becomes durable, and its log is let go up to `index` as far as may be.
  void Compact(NodeId member, LogIndex index);
  // A change of membership is proposed.
  void ProposeChange(NodeId member, const std::vector<MemberChange>& changes);
  // Starts a member with an empty log. It is not in the configuration that it begins with: that of
  // `contact`, as somebody joining is told.
  void Join(NodeId member, NodeId contact);
  // The state that it was last told to fetch arrives, if its source lives and has it.
  bool FetchSnapshot(NodeId member);
  // While it is down: the disk takes its entries from `from` on. It will know that they are
  // missing.
  void Damage(NodeId member, LogIndex from);
  // Everything but its disk is gone, until Restart. What it had sent may still arrive.
  void Crash(NodeId member);
  void Restart(NodeId member);

  // The oldest write reaches the disk, what waited for it leaves, and Appended is stepped. False if
  // there is none.
  bool FinishWrite(NodeId member);
  // The oldest batch is applied. False if there is none.
  bool Apply(NodeId member);

  // ---- The network. A message that is sent over a cut link is lost. ----

  // The message at `position` of what is on its way; false if there is no such.
  bool Deliver(NodeId from, NodeId to, size_t position = 0);
  bool Drop(NodeId from, NodeId to, size_t position = 0);
  // The message will arrive twice. Not for proposals: the transport is asked not to repeat those
  // (message.h).
  bool Repeat(NodeId from, NodeId to, size_t position = 0);
  // The message stays on its way, whatever else arrives, until DeliverLate; only Isolate loses it.
  bool Delay(NodeId from, NodeId to, size_t position = 0);
  // The oldest of those that were delayed.
  bool DeliverLate(NodeId from, NodeId to);
  size_t Underway(NodeId from, NodeId to) const;
  // What is on its way, oldest first; nothing that is delayed.
  std::deque<Message> Link(NodeId from, NodeId to) const;
  // Puts a message on its way that nobody sent.
  void Inject(const Message& message);
  // Cuts the link, one way, and loses what is under way.
  void Cut(NodeId from, NodeId to);
  // Cuts every link between `member` and the others, both ways.
  void Isolate(NodeId member);
  // Cuts every link between `side` and the others. What is under way arrives.
  void Split(const std::set<NodeId>& side);
  void Heal() { cut_.clear(); }

  // ---- Time. ----

  Instant now() const { return now_; }
  void Advance(Duration duration) { now_ += duration; }
  // The first moment at which somebody wants to be woken.
  Instant NextDeadline() const;
  // Wakes whoever is due.
  void WakeDue();
  // Lets time pass for `member` alone until it says something.
  void Wake(NodeId member);
  // Lets time pass for `member` alone until it campaigns, or until it gives up to lead.
  void TimeOut(NodeId member);

  // ---- Running until something holds. ----

  // Delivers, writes and applies everything in order until nothing is left; time stands still.
  void Settle();
  // Settles, and lets time pass from deadline to deadline. False if `done` does not come true
  // within `limit`.
  bool RunUntil(const std::function<bool()>& done, Duration limit = Seconds(60));
  void RunFor(Duration duration);
  // Until `member` is the next to be woken, and it is time.
  void RunUntilDue(NodeId member);
  // Makes `member` the leader of a settled cluster.
  void Elect(NodeId member);

  // ---- Views. ----

  const std::vector<NodeId>& members() const { return members_; }
  bool alive(NodeId member) const { return nodes_.at(member).core != nullptr; }
  Core& core(NodeId member);
  CoreStatus status(NodeId member) { return core(member).Status(); }
  const Disk& disk(NodeId member) const { return nodes_.at(member).disk; }
  // Its log as of the last take, durable or not.
  const Disk& log(NodeId member) const { return nodes_.at(member).log; }
  size_t writes_under_way(NodeId member) const { return nodes_.at(member).writes.size(); }
  const std::optional<SnapshotWanted>& wanted(NodeId member) const {
    return nodes_.at(member).wanted;
  }
  // Entries of its disk are gone, and not all are filled up.
  bool damaged(NodeId member) const { return nodes_.at(member).lost_through > LogIndex(0); }
  // What its state machine holds durably: damage cannot reach it.
  LogIndex kept(NodeId member) const { return nodes_.at(member).applied; }
  // The payloads of the commands its state machine holds, in order.
  const std::vector<std::string>& applied(NodeId member) const {
    return nodes_.at(member).state_machine;
  }
  // The member that leads the latest term among those alive; kNoNode if none does.
  NodeId Leader();
  NodeId LeaderOr(NodeId other) { return Leader() == kNoNode ? other : Leader(); }
  RequestChecker& requests() { return requests_; }
  const std::vector<std::string>& problems() const { return findings_.problems(); }

  // Of the last take of each member that had such.
  std::vector<ReadReady> reads_ready;
  std::vector<ReadFailed> reads_failed;
  std::vector<ProposalFailed> proposals_failed;

  // Called with every output before it is carried out, and with every message as it leaves.
  std::function<void(NodeId, const Output&)> on_output;
  std::function<void(const Message&)> on_sent;

 private:
  // What is handed to apply at once: entries, or a state that takes the place of the present one.
  struct ApplyTask {
    std::vector<Entry> entries;
    std::optional<LogStart> install;
  };
  struct Node {
    std::unique_ptr<Core> core;  // null while it is down
    Disk disk;
    Disk log;  // the disk with all writes that are under way
    std::deque<AppendTask> writes;
    std::deque<ApplyTask> applies;
    std::vector<std::string> state_machine;
    std::optional<SnapshotWanted> wanted;
    std::vector<std::string> fetched;   // the state machine of a snapshot
    bool reset_owed = false;            // the state machine is ahead of what the log says
    std::optional<LogIndex> lost_from;  // what is gone of `disk` though the others count on it
    LogIndex lost_through;              // until filled up
    std::vector<Disk> damaged;          // until then, as it was before each damage
    LogIndex applied;                   // what the state machine holds durably,
    size_t durable_commands = 0;        // and how many commands that are
    Instant deadline = kNever;
    uint64_t runs = 0;
  };

  static bool HoldsOrHeld(const Node& node, LogIndex index, Term term);
  void Start(NodeId member);
  RecoveredState Recover(const Node& node) const;
  void Install(NodeId member, const LogStart& start);
  void WakeOnce(NodeId member);
  void CarryOut(NodeId member, Output output);
  void NoteRole(NodeId member, const RoleChange& change);
  void Send(NodeId from, const std::vector<Message>& messages);
  void Check(NodeId member);

  const Options options_;
  std::vector<NodeId> members_;
  std::map<NodeId, Node> nodes_;
  std::map<std::pair<NodeId, NodeId>, std::deque<Message>> links_;
  std::map<std::pair<NodeId, NodeId>, std::deque<Message>> delayed_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::map<ProposalId, std::string> proposals_;
  ProposalId last_proposal_;
  ReadId last_read_;
  uint64_t said_ = 0;  // messages, and what wake-ups end in without one
  Instant now_{Seconds(1)};
  Findings findings_;
  ClusterChecker checker_{&findings_};
  RequestChecker requests_{&checker_, &findings_};
};

}  // namespace conclave::raft
