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

  // Members have ids 1 to size(); voters first.
  size_t size() const { return members_.size(); }
  size_t voters() const { return options_.voters; }
  Member& member(raft::NodeId id) { return *members_[id.value() - 1]; }
  Member& member(size_t position) { return *members_[position]; }
  // The running member that leads the newest term, or null.
  Member* leader();
  const WorldOptions& options() const { return options_; }

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
  void OnRefusedToStart(Member& member, const absl::Status& why);
  void OnEvents(Member& member, const std::vector<kv::SharedRevisionEvents>& revisions);
  // StoreObserver.
  void OnApplied(raft::NodeId member, const AppliedEntry& entry, const kv::ApplyResult& result,
                 int64_t revision) override;

 private:
  void Connect(raft::NodeId a, raft::NodeId b);
  void Disconnect(raft::NodeId from, raft::NodeId peer, Duration after);
  void CheckHeldLog(Member& member);
  void BreakCalls(Member& member, bool silently);
  Duration Between(Duration low, Duration high);

  const WorldOptions options_;
  Random random_;
  Trace* const trace_;
  Scheduler scheduler_;
  Network network_;
  RaftInvariants invariants_;
  FaultAtlas atlas_;
  std::vector<etcdserverpb::Member> bootstrap_;
  std::vector<std::unique_ptr<Member>> members_;
  std::set<std::pair<size_t, size_t>> broken_connections_;
  std::vector<std::vector<std::weak_ptr<ClientCall>>> calls_;  // open ones, by member
  std::function<void(Member&)> event_observer_;
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
