#include "jepsen-style-tests/runner/nemesis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jepsen-style-tests/sim/world.h"
#include "raft/base/check.h"

namespace conclave::sim {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;
using ::testing::SizeIs;

constexpr uint64_t kSeeds = 20;

[[noreturn]] void ThrowProcessEnded(bool bug, std::string_view what) {
  throw ProcessEnded{.bug = bug, .what = std::string(what)};
}

NemesisOptions AllFaults() {
  return {.kill = true,
          .crash = true,
          .stop = true,
          .pause = true,
          .wall_jump = true,
          .partition = true,
          .clog = true,
          .weather = true,
          .strand = true,
          .flap = true,
          .away = true,
          .install_crash = true,
          .client_cut = true,
          .disk_hang = true,
          .disk_full = true,
          .sync_error = true,
          .rot = true,
          .misdirect = true,
          .engine_damage = true,
          .between_max = Seconds(1)};
}

// A world without clients and its nemesis.
class Disturbed {
 public:
  Disturbed(uint64_t seed, const WorldOptions& world, const NemesisOptions& nemesis)
      : world_(world, Random(seed).Stream("world"), &trace_),
        nemesis_(&world_, nemesis, Random(seed).Stream("nemesis")) {
    SetSimulatedEnd(&ThrowProcessEnded);
  }
  ~Disturbed() { SetSimulatedEnd(nullptr); }
  Disturbed(const Disturbed&) = delete;
  Disturbed& operator=(const Disturbed&) = delete;

  World& world() { return world_; }
  Nemesis& nemesis() { return nemesis_; }
  uint64_t trace_hash() const { return trace_.hash(); }
  // Of the trace, since the last call.
  std::vector<std::string> TakeLines() { return std::exchange(lines_, {}); }

  void RunFor(Duration duration) {
    world_.scheduler().RunUntil(world_.scheduler().Now() + duration);
  }
  void FaultsFor(Duration duration) {
    nemesis_.StartMembers(Seconds(1), Duration::zero());
    RunFor(Seconds(1));
    nemesis_.Begin();
    RunFor(duration);
  }
  std::set<size_t> Running() {
    std::set<size_t> running;
    for (size_t position = 0; position < world_.size(); ++position) {
      const Member& member = world_.member(position);
      if (member.running() && !member.silent()) running.insert(position);
    }
    return running;
  }
  bool AwaitLeader(Duration most) {
    const Instant end = world_.scheduler().Now() + most;
    while (world_.leader() == nullptr) {
      if (!world_.scheduler().RunNext(end)) return false;
    }
    return true;
  }

 private:
  std::vector<std::string> lines_;
  Trace trace_{[this](std::string_view line) { lines_.emplace_back(line); }};
  World world_;
  Nemesis nemesis_;
};

// ---- Starting. ----

TEST(NemesisTest, MembersStartWithinTheSpread) {
  Disturbed disturbed(1, {.voters = 3, .learners = 2}, {});
  disturbed.nemesis().StartMembers(Seconds(1), Duration::zero());
  EXPECT_THAT(disturbed.Running(), IsEmpty());
  disturbed.RunFor(Seconds(1));
  EXPECT_THAT(disturbed.Running(), SizeIs(5));
}

TEST(NemesisTest, AMinorityMayStartLate) {
  std::set<size_t> running_soon;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Disturbed disturbed(seed, {.voters = 5}, {});
    disturbed.nemesis().StartMembers(Seconds(1), Seconds(20));
    disturbed.RunFor(Seconds(1));
    running_soon.insert(disturbed.Running().size());
    EXPECT_TRUE(disturbed.AwaitLeader(Seconds(20))) << seed;
    disturbed.RunFor(Seconds(20));
    EXPECT_THAT(disturbed.Running(), SizeIs(5)) << seed;
  }
  EXPECT_GE(*running_soon.begin(), 3u);
  EXPECT_LT(*running_soon.begin(), 5u);
}

TEST(NemesisTest, HealingTheCoreStartsThoseOfItThatAreLate) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Disturbed disturbed(seed, {.voters = 5}, {});
    disturbed.nemesis().StartMembers(Milliseconds(1), Seconds(1000));
    disturbed.RunFor(Milliseconds(10));
    const std::set<size_t> core = disturbed.nemesis().HealCore();
    for (size_t position : core) EXPECT_THAT(disturbed.Running(), Contains(position)) << seed;
  }
}

// ---- Faults. ----

TEST(NemesisTest, WithoutAnEnabledFaultNothingHappens) {
  Disturbed disturbed(1, {}, {});
  disturbed.FaultsFor(Seconds(30));
  EXPECT_THAT(disturbed.nemesis().faults(), IsEmpty());
  EXPECT_THAT(disturbed.Running(), SizeIs(3));
}

TEST(NemesisTest, OnlyEnabledFaultsAreDoneAndCounted) {
  const std::vector<std::pair<bool NemesisOptions::*, std::set<std::string>>> classes = {
      {&NemesisOptions::kill, {"kill"}},
      {&NemesisOptions::crash, {"crash", "crash-all", "crash-in-write"}},
      {&NemesisOptions::stop, {"stop"}},
      {&NemesisOptions::pause, {"pause"}},
      {&NemesisOptions::wall_jump, {"wall-jump"}},
      {&NemesisOptions::partition, {"partition"}},
      {&NemesisOptions::clog, {"clog"}},
      {&NemesisOptions::weather, {"weather"}},
      {&NemesisOptions::strand, {"strand", "write-in-vain"}},
      {&NemesisOptions::flap, {"flap"}},
      {&NemesisOptions::client_cut, {"client-cut"}},
      {&NemesisOptions::disk_hang, {"disk-hang"}},
      {&NemesisOptions::disk_full, {"disk-full"}},
      {&NemesisOptions::sync_error, {"sync-error"}},
      {&NemesisOptions::rot, {"rot"}},
      {&NemesisOptions::misdirect, {"misdirect"}},
      {&NemesisOptions::engine_damage, {"engine-damage"}}};
  for (const auto& [enabled, expected] : classes) {
    NemesisOptions only{.between_max = Milliseconds(600), .lasts_max = Milliseconds(500)};
    only.*enabled = true;
    Disturbed disturbed(1, {}, only);
    disturbed.FaultsFor(Seconds(30));
    std::set<std::string> done;
    uint64_t times = 0;
    for (const auto& [name, count] : disturbed.nemesis().faults()) {
      done.insert(name);
      times += count;
    }
    EXPECT_EQ(done, expected);
    EXPECT_GE(times, 10u) << *expected.begin();
  }
}

TEST(NemesisTest, TheSameSeedDoesTheSame) {
  const auto trace_hash = [](uint64_t seed) {
    Disturbed disturbed(seed, {.voters = 5}, AllFaults());
    disturbed.FaultsFor(Seconds(20));
    return disturbed.trace_hash();
  };
  EXPECT_EQ(trace_hash(1), trace_hash(1));
  EXPECT_NE(trace_hash(1), trace_hash(2));
}

// ---- Healing. ----

TEST(NemesisTest, AHealedCoreIsASoundMajorityThatRunsAndIsConnected) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const size_t voters = seed % 2 == 0 ? 3 : 5;
    Disturbed disturbed(seed, {.voters = voters, .learners = 1}, AllFaults());
    disturbed.FaultsFor(Seconds(20));
    const std::set<size_t> core = disturbed.nemesis().HealCore();
    EXPECT_GE(core.size(), voters / 2 + 1);
    EXPECT_THAT(core, Each(Lt(voters)));
    const std::map<std::string, uint64_t> faults = disturbed.nemesis().faults();

    // What was on its way may still end one of them, which is then started again.
    disturbed.RunFor(Seconds(2));
    World& world = disturbed.world();
    for (const size_t position : core) {
      const std::string name = world.member(position).name();
      ASSERT_THAT(disturbed.Running(), Contains(position));
      EXPECT_FALSE(world.member(position).broken()) << name;
      EXPECT_FALSE(world.member(position).lane().paused()) << name;
      EXPECT_FALSE(world.member(position).disk().full()) << name;
      EXPECT_FALSE(world.member(position).disk().hung()) << name;
      for (const size_t other : core) EXPECT_FALSE(world.LinkIsCut(position, other)) << name;
    }
    EXPECT_TRUE(disturbed.AwaitLeader(Seconds(30)));
    disturbed.RunFor(Seconds(20));
    EXPECT_EQ(disturbed.nemesis().faults(), faults) << "no more faults";
    EXPECT_THAT(world.Problems(), IsEmpty());
  }
}

TEST(NemesisTest, ACoreIsCutFromTheRestInOneDirectionAtLeast) {
  std::set<bool> both_directions;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Disturbed disturbed(seed, {.voters = 5}, {});
    disturbed.FaultsFor(Seconds(1));
    const std::set<size_t> core = disturbed.nemesis().HealCore();
    World& world = disturbed.world();
    for (size_t from = 0; from < world.size(); ++from) {
      for (size_t to = 0; to < world.size(); ++to) {
        if (!core.contains(from) || core.contains(to)) continue;
        EXPECT_TRUE(world.LinkIsCut(from, to));
        both_directions.insert(world.LinkIsCut(to, from));
      }
    }
  }
  EXPECT_THAT(both_directions, SizeIs(2));
}

TEST(NemesisTest, HealAllRestartsAndReconnectsAllThatAreNotBroken) {
  std::set<bool> any_damaged;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Disturbed disturbed(seed, {.voters = 3, .learners = 1}, AllFaults());
    disturbed.FaultsFor(Seconds(20));
    disturbed.nemesis().HealCore();
    disturbed.RunFor(Seconds(5));
    disturbed.nemesis().HealAll();
    disturbed.RunFor(Seconds(5));
    World& world = disturbed.world();
    size_t broken = 0;
    for (size_t position = 0; position < world.size(); ++position) {
      Member& member = world.member(position);
      if (member.broken()) {
        ++broken;
      } else {
        ASSERT_THAT(disturbed.Running(), Contains(position));
        EXPECT_FALSE(member.lane().paused()) << member.name();
      }
      EXPECT_FALSE(member.disk().full()) << member.name();
      EXPECT_FALSE(member.disk().hung()) << member.name();
      for (size_t other = 0; other < world.size(); ++other) {
        EXPECT_FALSE(world.LinkIsCut(position, other)) << member.name();
      }
    }
    EXPECT_LE(broken, 1u) << "damage is for a minority";
    const std::vector<std::string> lines = disturbed.TakeLines();
    any_damaged.insert(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("is damaged") != std::string::npos;
    }));
    EXPECT_TRUE(disturbed.AwaitLeader(Seconds(30)));
    disturbed.RunFor(Seconds(30));
    for (size_t position = 0; position < world.size(); ++position) {
      EXPECT_EQ(world.IsWhole(position), !world.member(position).broken());
    }
    EXPECT_THAT(world.Problems(), IsEmpty());
  }
  EXPECT_THAT(any_damaged, SizeIs(2));
}

TEST(NemesisTest, NoMemberLosesPowerInAWriteAfterItIsHealed) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Disturbed disturbed(seed, {}, {.crash = true, .between_max = Milliseconds(500)});
    disturbed.FaultsFor(Seconds(10));
    disturbed.nemesis().HealAll();
    disturbed.TakeLines();  // among them those of members that were about to
    disturbed.RunFor(Seconds(20));
    EXPECT_THAT(disturbed.TakeLines(), Each(Not(HasSubstr("loses power")))) << seed;
    EXPECT_THAT(disturbed.Running(), SizeIs(3)) << seed;
  }
}

}  // namespace
}  // namespace conclave::sim
