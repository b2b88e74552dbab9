// Clusters under random faults: lost, repeated, delayed and overtaking messages, broken
// connections, cuts, slow disks, crashes that keep only what is durable, transfers, compaction with
// snapshots, members that come and go, and disks that lose entries. A seed chooses the cluster, its
// limits and how likely each fault is; after the faults everybody must come to agree again. A
// failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "fmt/format.h"
#include "raft/base/random.h"
#include "raft/core/test_cluster.h"

namespace conclave::raft {
namespace {

using testing::IsEmpty;

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
  return options;
}

class Storm {
 public:
  explicit Storm(uint64_t seed)
      : random_(seed), options_(RandomOptions(random_, seed)), cluster_(options_) {
    for (uint64_t& weight : weights_) weight = random_.OneIn(4) ? 0 : random_.Between(1, 10);
    // Not in one run: damage is survived by who keeps a majority of whole logs.
    (random_.OneIn(2) ? damages_ : changes_) = true;
  }

  void Run(int events) {
    for (int i = 0; i < events && cluster_.problems().empty(); ++i) OneEvent();
  }

  // Everybody comes back, nothing is lost any more: the cluster must take a proposal and agree on
  // everything.
  bool Recovers() {
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

  TestCluster& cluster() { return cluster_; }

  // Where everybody stands, for a run that did not recover.
  std::string Describe() {
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

 private:
  NodeId Anybody() { return cluster_.members()[random_.Below(cluster_.members().size())]; }

  bool IsStarted(NodeId member) {
    const std::vector<NodeId>& started = cluster_.members();
    return std::find(started.begin(), started.end(), member) != started.end();
  }

  // Members that the configurations know and that were never started.
  void JoinAll() {
    for (NodeId member : std::vector(cluster_.members())) {
      if (!cluster_.alive(member)) continue;
      const Configuration configuration = cluster_.core(member).configuration();
      for (NodeId named : configuration.Members()) {
        if (!IsStarted(named)) cluster_.Join(named, member);
      }
    }
  }

  MemberChange AnyChange() {
    constexpr uint64_t kIdsMax = 7;
    return {static_cast<MemberChangeKind>(random_.Between(1, 3)),
            NodeId(random_.Between(1, kIdsMax))};
  }

  void ChangeMembers(NodeId member) {
    if (!changes_) return;
    std::vector<MemberChange> changes = {AnyChange()};
    if (random_.OneIn(4)) changes.push_back(AnyChange());
    if (random_.OneIn(4)) changes.push_back(AnyChange());
    cluster_.ProposeChange(random_.OneIn(3) ? member : cluster_.LeaderOr(member), changes);
    if (random_.OneIn(2)) JoinAll();
  }

  // Its power goes, and its disk loses entries that only its log holds; never two members' at once.
  void CrashWithDamage(NodeId member) {
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

  void OneEvent() {
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

  void DeliverOne() {
    const NodeId from = Anybody();
    const NodeId to = Anybody();
    const size_t underway = cluster_.Underway(from, to);
    if (underway == 0) return;
    const bool overtakes = random_.Below(20) < weights_[0];
    cluster_.Deliver(from, to, overtakes ? random_.Below(underway) : 0);
  }

  void PassTime() {
    const Duration step(random_.Below(static_cast<uint64_t>(Milliseconds(60).count())));
    cluster_.Advance(random_.OneIn(10) ? step * 10 : step);
    cluster_.WakeDue();
  }

  void OneFault(NodeId member) {
    const uint64_t kind = random_.Below(11);
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
      default:
        return cluster_.Compact(member, cluster_.status(member).applied);
    }
  }

  bool AllHave(const std::string& last) {
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

  Random random_;
  const TestCluster::Options options_;
  TestCluster cluster_;
  bool damages_ = false;
  bool changes_ = false;
  uint64_t weights_[11] = {};
  uint64_t proposals_ = 0;
};

// Twelve groups of seeds, so that ctest shows how far a run got.
class StormTest : public testing::TestWithParam<uint64_t> {};

TEST_P(StormTest, KeepsEveryPromiseAndRecovers) {
  constexpr uint64_t kSeedsPerGroup = 60;
  for (uint64_t i = 0; i < kSeedsPerGroup; ++i) {
    const uint64_t seed = GetParam() * kSeedsPerGroup + i;
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Storm storm(seed);
    storm.Run(3000);
    ASSERT_THAT(storm.cluster().problems(), IsEmpty());
    ASSERT_TRUE(storm.Recovers()) << storm.Describe();
    ASSERT_THAT(storm.cluster().problems(), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, StormTest, testing::Range<uint64_t>(0, 12));

}  // namespace
}  // namespace conclave::raft
