// The whole cluster in one thread: members, the network between them and their clients, time, and
// everything that watches them. It offers what a nemesis does to members and links and what a
// client can ask; it decides nothing by itself. Whoever runs it steps the scheduler.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/lease_rules.h"
#include "jepsen-style-tests/sim/damaged_log.h"
#include "jepsen-style-tests/sim/fault_atlas.h"
#include "jepsen-style-tests/sim/member.h"
#include "jepsen-style-tests/sim/network.h"
#include "jepsen-style-tests/sim/observed_store.h"
#include "jepsen-style-tests/sim/raft_invariants.h"
#include "jepsen-style-tests/sim/scheduler.h"
#include "jepsen-style-tests/sim/sim_call.h"
#include "jepsen-style-tests/sim/trace.h"
#include "kvstore/mvcc/event.h"
#include "raft/base/random.h"

namespace conclave::sim {

struct WorldOptions {
  size_t voters = 3;
  size_t learners = 0;
  MemberOptions member = {};  // of every member; ids and configuration are filled in
  std::vector<uint32_t> leader_priorities = {};  // by position; 0 beyond
  NetworkOptions network = {};
  // Clocks of members are up to so much too fast or slow.
  int64_t clock_rate_ppm_max = 0;
  // A connection breaks when its link has been cut for so long,
  Duration connection_timeout = Seconds(2);
  // and comes back so long after the link is whole.
  Duration reconnect_max = Milliseconds(500);
};

class World : public StoreObserver {
 public:
  World(const WorldOptions& options, Random random, Trace* trace);
  ~World() override;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Scheduler& scheduler() { return scheduler_; }
  Network& network() { return network_; }
  Trace& trace() { return *trace_; }
  RaftInvariants& invariants() { return invariants_; }
  // True time, as histories have it.
  int64_t NowNs() const { return scheduler_.Now().time_since_epoch().count(); }

  // Machines have positions from 0 on. First those of whom the cluster is started with, voters
  // first, whose ids are 1 and so on; then those that join, in the order in which they come.
  size_t size() const { return members_.size(); }
  Member& member(raft::NodeId id) { return *members_[positions_.at(id)]; }
  Member& member(size_t position) { return *members_[position]; }
  // Null if no machine has that id.
  Member* FindMember(raft::NodeId id);
  // With how many voters the cluster is started.
  size_t voters() const { return options_.voters; }
  // The running member that leads the newest term, or null.
  Member* leader();
  const WorldOptions& options() const { return options_; }

  // ---- Who is in the cluster (membership.cc). ----

  // The newest configuration that any member has applied.
  const raft::Configuration& configuration() const { return configuration_; }
  // Positions of its voters and learners that are not gone for good.
  std::vector<size_t> Members();
  // Of its voters alone: they serve clients.
  std::vector<size_t> Serving();
  bool Serves(size_t position);
  // A machine for `id`, which the cluster has been told of. It does not run yet.
  size_t AddMachine(raft::NodeId id);
  // A machine's disk is lost, for good.
  void Retire(size_t position);
  // The same, but another machine takes its name as if nothing had happened. Nobody may do this.
  void Replace(size_t position);

  // A change of membership is asked for; and its outcome is known, or the client gave up and it may
  // be made at any time in the next while.
  void ChangeBegins() {
    ++changes_open_;
    ever_changed_ = true;
  }
  void ChangeEnds(bool outcome_known);
  // No change of membership can come about any more, unless somebody asks for one.
  bool MembersSettled() { return !ChangesUnderWay() && !VotesArePending(); }
  bool ChangesUnderWay() const { return changes_open_ > 0 || scheduler_.Now() < changes_until_; }

  // From now on that member's state may be found to be wrong; every other never.
  void ExpectDivergence(raft::NodeId id) { diverging_ = id; }

  // The member's log has been damaged while it did not run; `sound` is its disk as it was.
  void OnDamaged(size_t position, std::unique_ptr<MemoryFileSystem> sound);
  // It holds all that it ever held.
  bool IsWhole(size_t position) {
    return !member(position).gone() && !damaged_.contains(position) &&
           !member(position).state_is_lost();
  }
  // Who is in any configuration that may still decide something, but for `except`, has a machine
  // that is whole.
  bool AllWhole(std::optional<raft::NodeId> except = std::nullopt);
  // What this member holds may be lost: the cluster goes on from what the others hold, whatever
  // becomes of the changes of membership.
  bool MayLose(size_t position);
  // Positions from which, if all of them run and are connected, some leader can go on: quorums of
  // every configuration that may decide something, drawn from the members that are whole.
  std::set<size_t> DrawCore(Random& random);

  // ---- What a nemesis does. ----

  void StartMember(size_t position);
  void EndMember(size_t position, EndOfProcess how) { members_[position]->End(how); }
  // One direction; members are positions.
  void CutLink(size_t from, size_t to);
  void HealLinks();
  bool LinkIsCut(size_t from, size_t to) const;

  // Called after every event of a member that lives; null for nobody. Must not end it at once.
  void SetEventObserver(std::function<void(Member&)> observer) {
    event_observer_ = std::move(observer);
  }

  // Called when a member begins to lead, in the middle of its event; null for nobody.
  void SetLeaderObserver(std::function<void(Member&)> observer) {
    leader_observer_ = std::move(observer);
  }

  // ---- What clients do. ----

  // Begins a call of `client` (kFirstClient or above) to a member. `end` always comes, unless the
  // client cancels: at the latest when the call's connection breaks with the process.
  std::shared_ptr<ClientCall> Call(End client, size_t position, const CallRequest& request,
                                   ClientCall::Events events);

  // ---- What happened. ----

  template <typename... Args>
  void Note(fmt::format_string<Args...> format, Args&&... args) {
    trace_->Note(scheduler_.Now(), fmt::format(format, std::forward<Args>(args)...));
  }
  // Something is wrong, and the run fails: "checker: rule: what happened".
  void Report(std::string problem);
  // Of the world itself and of the Raft invariants.
  std::vector<std::string> Problems() const;

  const checker::EventLog& events() const { return events_; }
  const std::vector<checker::LeaseEnd>& lease_ends() const { return lease_ends_; }
  // What a fresh replay of all applied commands gives, as Store::Hash.
  uint32_t ReplayHash(uint64_t up_to_index) const;

  // ---- From members. ----

  const std::vector<etcdserverpb::Member>& bootstrap_members() const { return bootstrap_; }
  void AfterEvent(Member& member);
  void BurySoon(Member& member);
  void OnStarted(Member& member);
  void OnEnded(Member& member, EndOfProcess how);
  void OnLeads(Member& member, raft::Term term);
  // It has applied its own removal, or was told of it.
  void OnRemoved(Member& member);
  // It may have applied the removal of others, and tells them when they connect.
  void OnMembersChanged(Member& member);
  // A member's state is said to differ, or it says so itself.
  void OnIntegrityNews(Member& member, server::IntegrityNews news, raft::NodeId about);
  void OnRefusedToStart(Member& member, const absl::Status& why);
  void OnEvents(Member& member, const std::vector<kv::SharedRevisionEvents>& revisions);
  // StoreObserver.
  void OnApplied(raft::NodeId member, const AppliedEntry& entry, const kv::ApplyResult& result,
                 int64_t revision) override;

 private:
  std::unique_ptr<Member> NewMachine(raft::NodeId id, size_t position);
  // RaftInvariants::ConfigurationsAhead, also before anybody has started.
  std::vector<raft::Configuration> ConfigurationsAhead();
  // Members that are to have a vote as soon as they have caught up.
  bool VotesArePending();
  void TellRemoved(Member& teller, Member& removed);
  void Connect(raft::NodeId a, raft::NodeId b);
  void Disconnect(raft::NodeId from, raft::NodeId peer, Duration after);
  void CheckHeldLog(Member& member);
  void CheckStall(Member& member);
  void CheckCrashImages(Member& member);
  void BreakCalls(Member& member, bool silently);
  Duration Between(Duration low, Duration high);

  const WorldOptions options_;
  Random random_;
  Trace* const trace_;
  Scheduler scheduler_;
  Network network_;
  RaftInvariants invariants_;
  FaultAtlas atlas_;
  Random images_;  // of what crashes would leave
  std::vector<etcdserverpb::Member> bootstrap_;
  raft::Configuration initial_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Member>> replaced_;  // something on its way may still point to them
  std::map<raft::NodeId, size_t> positions_;
  std::set<std::pair<size_t, int64_t>> told_;  // positions and starts of those that know
  raft::Configuration configuration_;
  std::set<size_t> damaged_;                 // and not known to be whole again
  std::map<size_t, DamagedLog> unread_;      // damage that no run has come across yet
  std::map<size_t, uint64_t> images_tried_;  // of the present reset of a log, by member
  size_t changes_open_ = 0;
  bool ever_changed_ = false;
  Instant changes_until_{};
  std::set<std::pair<size_t, size_t>> broken_connections_;
  std::vector<std::vector<std::weak_ptr<ClientCall>>> calls_;  // open ones, by member
  std::function<void(Member&)> event_observer_;
  std::function<void(Member&)> leader_observer_;
  // Of a leader, the write that its disk is at, and since when; by member.
  struct LeaderWrite {
    std::optional<raft::WriteId> write = {};
    Instant since{};
    Instant last_event{};
  };
  std::map<size_t, LeaderWrite> leader_writes_;
  std::optional<raft::NodeId> diverging_;
  std::vector<std::string> problems_;
  checker::EventLog events_;
  std::vector<checker::LeaseEnd> lease_ends_;
  int64_t last_revision_ = 1;  // after the newest of the entries below
  // By index, as the first member that applied them did: of each its AppliedEntry.
  struct Applied {
    uint64_t term = 0;
    std::optional<std::string> configuration = {};
    std::string command = {};
  };
  std::map<uint64_t, Applied> applied_;
};

}  // namespace conclave::sim
