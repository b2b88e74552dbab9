#include "raft/core/storm.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "fmt/format.h"

namespace conclave::raft {
namespace {

TestCluster::Options RandomOptions(Random& random, uint64_t seed) {
  constexpr size_t kVoters[] = {1, 2, 3, 3, 3, 4, 5};
  TestCluster::Options options;
  options.seed = seed;
  options.voters = kVoters[random.Below(std::size(kVoters))];
  options.learners = random.OneIn(3) ? 1 : 0;
  options.config.append_entries_max = random.Between(1, 5);
  options.config.inflight_appends_max = random.Between(1, 6);
  options.config.inflight_bytes_max = random.Between(1, 10) * 100;
  options.config.apply_bytes_max = random.Between(1, 5) * 60;
  options.config.uncommitted_bytes_max = random.Between(10, 100) * 40;
  options.config.tail_entries_max = random.Between(1, 12);
  if (random.OneIn(4)) {
    for (uint64_t id = 1; id <= 7; ++id) {
      options.leader_priorities[NodeId(id)] = static_cast<uint32_t>(random.Below(4));
    }
  }
  return options;
}

}  // namespace

Storm::Storm(uint64_t seed)
    : random_(seed), options_(RandomOptions(random_, seed)), cluster_(options_) {
  for (uint64_t& weight : weights_) weight = random_.OneIn(4) ? 0 : random_.Between(1, 10);
  // Not in one run: damage is survived by who keeps a majority of whole logs.
  (random_.OneIn(2) ? damages_ : changes_) = true;
  apart_ = random_.OneIn(3);
}

void Storm::Run(int events) {
  for (int i = 0; i < events && cluster_.problems().empty(); ++i) OneEvent();
}

// Everybody comes back, nothing is lost any more: the cluster must take a proposal and agree on
// everything.
bool Storm::Recovers() {
  cluster_.Heal();
  for (NodeId member : cluster_.members()) {
    if (!cluster_.alive(member)) cluster_.Restart(member);
  }
  // A proposal may still meet an election or a transfer, and is made again as a client would.
  for (int attempt = 0; attempt < 20; ++attempt) {
    JoinAll();
    if (!cluster_.RunUntil([&] { return cluster_.Leader() != kNoNode; })) return false;
    const std::string last = fmt::format("p{}", ++proposals_);
    cluster_.Propose(cluster_.Leader(), last);
    if (cluster_.RunUntil([&] { return AllHave(last); }, Seconds(3))) return true;
  }
  return false;
}

// Where everybody stands, for a run that did not recover.
std::string Storm::Describe() {
  std::string text;
  for (NodeId member : cluster_.members()) {
    if (!cluster_.alive(member)) continue;
    const CoreStatus s = cluster_.status(member);
    text += fmt::format(
        "{}: {} of term {}, leader {}, log {}..{}, durable {}, commit {}, applied {}{}\n",
        member.value(), ToString(s.role), s.term.value(), s.leader.value(), s.first_index.value(),
        s.last_index.value(), s.durable.value(), s.commit.value(), s.applied.value(),
        s.incomplete ? ", incomplete" : "");
  }
  return text;
}

NodeId Storm::Anybody() { return cluster_.members()[random_.Below(cluster_.members().size())]; }

bool Storm::IsStarted(NodeId member) {
  const std::vector<NodeId>& started = cluster_.members();
  return std::find(started.begin(), started.end(), member) != started.end();
}

// Members that the configurations know and that were never started.
void Storm::JoinAll() {
  for (NodeId member : std::vector(cluster_.members())) {
    if (!cluster_.alive(member)) continue;
    const Configuration configuration = cluster_.core(member).configuration();
    for (NodeId named : configuration.Members()) {
      if (!IsStarted(named)) cluster_.Join(named, member);
    }
  }
}

// One change that fits, or several.
std::vector<MemberChange> Storm::AnyChanges(const Configuration& configuration) {
  constexpr uint64_t kIdsMax = 7;
  std::vector<MemberChange> changes;
  for (uint64_t left = random_.OneIn(3) ? random_.Between(2, 4) : 1; left > 0; --left) {
    const NodeId node(random_.Between(1, kIdsMax));
    MemberChangeKind kind = MemberChangeKind::kRemove;
    if (!configuration.Contains(node)) {
      kind = random_.OneIn(4) ? MemberChangeKind::kAddLearner : MemberChangeKind::kAddVoter;
    } else if (configuration.IsLearner(node) && random_.OneIn(2)) {
      kind = MemberChangeKind::kAddVoter;
    }
    changes.push_back({kind, node});
  }
  return changes;
}

void Storm::ChangeMembers(NodeId member) {
  if (!changes_) return;
  const NodeId at = random_.OneIn(3) ? member : cluster_.LeaderOr(member);
  cluster_.ProposeChange(at, AnyChanges(cluster_.core(at).configuration()));
  if (random_.OneIn(2)) JoinAll();
}

// Its power goes, and its disk loses entries that only its log holds; never two members' at once.
void Storm::CrashWithDamage(NodeId member) {
  cluster_.Crash(member);
  const LogIndex kept = std::max(cluster_.kept(member), cluster_.disk(member).start.index);
  const uint64_t at_risk = cluster_.disk(member).last_index() - kept;
  const auto damaged = [&](NodeId other) { return cluster_.damaged(other); };
  const std::vector<NodeId>& all = cluster_.members();
  if (!damages_ || options_.voters < 3 || at_risk == 0 ||
      std::any_of(all.begin(), all.end(), damaged)) {
    return;
  }
  cluster_.Damage(member, kept + random_.Between(1, at_risk));
}

void Storm::LeadersAct() {
  for (NodeId member : std::vector(cluster_.members())) {
    if (!cluster_.alive(member) || !cluster_.core(member).leading() || random_.OneIn(3)) continue;
    if (changes_ && random_.OneIn(2)) {
      cluster_.ProposeChange(member, AnyChanges(cluster_.core(member).configuration()));
    } else {
      cluster_.Propose(member, fmt::format("p{}", ++proposals_));
    }
  }
  JoinAll();
}

// Two sides that do not hear each other elect their leaders, who take proposals, with what is on
// its way inside each delivered wholly or in part; members come back from a crash in between. This
// is where majorities must overlap.
void Storm::RunApart() {
  cluster_.Heal();
  std::set<NodeId> side;
  for (NodeId member : cluster_.members()) {
    if (random_.OneIn(2)) side.insert(member);
  }
  cluster_.Split(side);
  for (uint64_t turns = random_.Between(1, 6); turns > 0; --turns) {
    const NodeId member = Anybody();
    if (!cluster_.alive(member)) {
      cluster_.Restart(member);
    } else if (random_.OneIn(6)) {
      cluster_.Crash(member);
    } else if (random_.OneIn(2) && !cluster_.core(member).leading()) {
      cluster_.TimeOut(member);
    }
    if (random_.OneIn(2)) cluster_.Settle();
    LeadersAct();
    for (uint64_t i = random_.Below(20); i > 0; --i) DeliverOne();
  }
}

void Storm::OneEvent() {
  if (apart_ && random_.OneIn(15)) return RunApart();
  // Progress is always possible, so that runs get somewhere.
  const uint64_t kind = random_.Below(13);
  if (kind < 4) return DeliverOne();
  const NodeId member = Anybody();
  if (!cluster_.alive(member)) return random_.OneIn(4) ? cluster_.Restart(member) : void();
  if (kind < 6) return void(cluster_.FinishWrite(member));
  if (kind < 7) return void(cluster_.Apply(member));
  if (kind < 8) return cluster_.Propose(member, fmt::format("p{}", ++proposals_));
  if (kind < 9) return void(cluster_.Read(member));
  if (kind < 10) return PassTime();
  if (kind < 11) return void(cluster_.FetchSnapshot(member));
  OneFault(member);
}

void Storm::DeliverOne() {
  const NodeId from = Anybody();
  const NodeId to = Anybody();
  const size_t underway = cluster_.Underway(from, to);
  if (underway == 0) return;
  const bool overtakes = random_.Below(20) < weights_[0];
  cluster_.Deliver(from, to, overtakes ? random_.Below(underway) : 0);
}

void Storm::PassTime() {
  const Duration step(random_.Below(static_cast<uint64_t>(Milliseconds(60).count())));
  cluster_.Advance(random_.OneIn(10) ? step * 10 : step);
  cluster_.WakeDue();
}

void Storm::OneFault(NodeId member) {
  const uint64_t kind = random_.Below(std::size(weights_));
  if (random_.Below(20) >= weights_[kind]) return;
  switch (kind) {
    case 0:
    case 1:
      return void(cluster_.Drop(Anybody(), member));
    case 2:
      return void(cluster_.Repeat(Anybody(), member));
    case 3:
      return cluster_.Crash(member);
    case 4:
      if (const NodeId peer = Anybody(); peer != member) {
        cluster_.Step(member, PeerUnreachable{peer});
      }
      return;
    case 5:
      return cluster_.Isolate(member);
    case 6:
      return cluster_.Heal();
    case 7:
      return ChangeMembers(member);
    case 8:
      return CrashWithDamage(member);
    case 9:
      return cluster_.Step(member, TransferRequested{random_.OneIn(2) ? kNoNode : Anybody()});
    case 10:
      return SendTruth(member);
    default:
      return cluster_.Compact(member, cluster_.status(member).applied);
  }
}

// Any piece of its log is what a leader may send at any time. Ours asks from where the logs agree
// and sends all that it may; others need not.
void Storm::SendTruth(NodeId leader) {
  const NodeId to = Anybody();
  if (!cluster_.core(leader).leading() || to == leader) return;
  const Disk& log = cluster_.log(leader);
  AppendRequest request;
  request.prev_index = log.start.index + random_.Below(log.entries.size() + 1);
  request.prev_term = log.TermAt(request.prev_index);
  request.commit = cluster_.core(leader).commit();
  const uint64_t following = log.last_index() - request.prev_index;
  const uint64_t count = random_.Below(following + 1);
  for (uint64_t i = 1; i <= count; ++i) {
    request.entries.push_back(*log.Find(request.prev_index + i));
  }
  cluster_.Inject({leader, to, cluster_.core(leader).term(), request});
}

bool Storm::AllHave(const std::string& last) {
  const NodeId leader = cluster_.Leader();
  if (leader == kNoNode) return false;
  const std::vector<std::string>& first = cluster_.applied(leader);
  if (first.empty() || first.back() != last) return false;
  for (NodeId member : cluster_.core(leader).configuration().Members()) {
    if (!IsStarted(member)) return false;
    if (cluster_.applied(member) != first) return false;
  }
  return true;
}

}  // namespace conclave::raft
