#include "jepsen-style-tests/runner/swarm_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

constexpr uint64_t kSeeds = 2000;

const std::vector<SwarmOptions>& Drawn() {
  static const auto* const drawn = [] {
    auto* all = new std::vector<SwarmOptions>;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      all->push_back(DrawSwarmOptions(Random(seed)));
    }
    return all;
  }();
  return *drawn;
}

// How many of a hundred seeds it holds for.
double Percent(const std::function<bool(const SwarmOptions& options)>& holds) {
  size_t count = 0;
  for (const SwarmOptions& options : Drawn()) count += holds(options) ? 1 : 0;
  return 100.0 * static_cast<double>(count) / kSeeds;
}

const std::vector<std::pair<bool NemesisOptions::*, std::string>>& FaultClasses() {
  static const auto* const classes =
      new std::vector<std::pair<bool NemesisOptions::*, std::string>>{
          {&NemesisOptions::kill, "kill"},
          {&NemesisOptions::crash, "crash"},
          {&NemesisOptions::stop, "stop"},
          {&NemesisOptions::pause, "pause"},
          {&NemesisOptions::wall_jump, "wall-jump"},
          {&NemesisOptions::partition, "partition"},
          {&NemesisOptions::clog, "clog"},
          {&NemesisOptions::weather, "weather"},
          {&NemesisOptions::strand, "strand"},
          {&NemesisOptions::flap, "flap"},
          {&NemesisOptions::client_cut, "client-cut"},
          {&NemesisOptions::disk_hang, "disk-hang"},
          {&NemesisOptions::disk_full, "disk-full"},
          {&NemesisOptions::sync_error, "sync-error"},
          {&NemesisOptions::rot, "rot"},
          {&NemesisOptions::misdirect, "misdirect"},
          {&NemesisOptions::engine_damage, "engine-damage"}};
  return *classes;
}

TEST(SwarmOptionsTest, TheSameSeedDrawsTheSame) {
  std::set<std::string> texts;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const SwarmOptions again = DrawSwarmOptions(Random(seed));
    EXPECT_EQ(again.Describe(), Drawn()[seed - 1].Describe());
    EXPECT_EQ(again.world.member.store.seed, Drawn()[seed - 1].world.member.store.seed);
    texts.insert(again.Describe());
  }
  EXPECT_EQ(texts.size(), 50u);
}

TEST(SwarmOptionsTest, ClustersHaveOneToSevenVotersAndSometimesLearners) {
  std::map<size_t, size_t> voters;
  std::set<size_t> learners;
  for (const SwarmOptions& options : Drawn()) {
    ++voters[options.world.voters];
    learners.insert(options.world.learners);
  }
  std::vector<size_t> sizes;
  for (const auto& [size, count] : voters) {
    sizes.push_back(size);
    EXPECT_GE(count, kSeeds / 25) << size;
  }
  EXPECT_THAT(sizes, ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(learners, ElementsAre(0, 1, 2));
  EXPECT_THAT(Percent([](const auto& options) { return options.world.learners > 0; }),
              AllOf(Ge(10), Le(20)));
}

TEST(SwarmOptionsTest, OneInTenToTwentyRunsOnLevelDb) {
  EXPECT_THAT(Percent([](const auto& options) { return options.world.member.leveldb; }),
              AllOf(Ge(5), Le(20)));
}

TEST(SwarmOptionsTest, SomeStartLateInAFewSeedsAndNotBeyondTheFaults) {
  const auto late = [](const SwarmOptions& options) {
    return options.late_start > Duration::zero();
  };
  EXPECT_THAT(Percent(late), AllOf(Ge(10), Le(20)));
  for (const SwarmOptions& options : Drawn()) {
    EXPECT_LE(options.late_start, options.fault_phase);
    EXPECT_THAT(options.fault_phase, AllOf(Ge(Seconds(10)), Le(Seconds(50))));
  }
}

TEST(SwarmOptionsTest, RaftAndLogCanWork) {
  for (const SwarmOptions& options : Drawn()) {
    const MemberOptions& member = options.world.member;
    const raft::CoreConfig& core = member.node.core;
    EXPECT_GT(core.heartbeat_interval, Duration::zero());
    EXPECT_GE(core.election_timeout, 4 * core.heartbeat_interval);
    for (const size_t limit :
         {core.append_bytes_max, core.append_entries_max, core.inflight_appends_max,
          core.inflight_bytes_max, core.uncommitted_bytes_max, core.apply_bytes_max,
          member.node.unapplied_entries_max, member.call_window_bytes, member.write_buffer_bytes}) {
      EXPECT_GT(limit, 0u);
    }
    EXPECT_GT(member.node.log_keeper.entries_max, 0u);
    EXPECT_GE(member.segment_bytes, 4096u);
    EXPECT_GE(member.flush_time, Duration::zero());
    EXPECT_GE(member.full_buffer.time_max, Milliseconds(1));
    EXPECT_GE(member.disk_read_time, Milliseconds(1));
    EXPECT_GT(member.store.compaction_batch, 0u);
    EXPECT_GT(member.store.watch.response_bytes_max, 0u);
    EXPECT_GT(member.store.watch.catch_up_revisions_max, 0u);
    EXPECT_GT(member.store.watch.catch_up_bytes_max, 0u);
  }
}

TEST(SwarmOptionsTest, NetworksAndDisksHaveSaneRanges) {
  for (const SwarmOptions& options : Drawn()) {
    const NetworkOptions& network = options.world.network;
    EXPECT_GT(network.delay_min, Duration::zero());
    EXPECT_LE(network.delay_min, network.delay_max);
    EXPECT_LE(network.slow_permille, 1000u);
    EXPECT_LE(network.loss_permille, 100u) << "nothing would ever get through";
    EXPECT_LE(network.repeat_permille, 1000u);
    EXPECT_GT(options.world.connection_timeout, Duration::zero());
    EXPECT_THAT(options.world.clock_rate_ppm_max, AllOf(Ge(0), Le(20'000)));

    const DiskOptions& disk = options.world.member.disk;
    EXPECT_GT(disk.sync_min, Duration::zero());
    EXPECT_LE(disk.sync_min, disk.sync_max);
    EXPECT_LE(disk.sync_max, disk.slow_max);
    // LevelDB must not see an I/O error (sim_disk.h).
    EXPECT_EQ(disk.faults_under, Member::kWalDirectory);
    EXPECT_EQ(disk.read_error_one_in, 0u);
  }
  EXPECT_THAT(Percent([](const auto& options) { return options.world.network.ordered; }),
              AllOf(Ge(50), Le(70)));
  EXPECT_GE(Percent([](const auto& options) { return options.world.network.loss_permille > 0; }),
            20);
}

TEST(SwarmOptionsTest, EveryFaultClassIsOnInSomeSeedsAndOffInMost) {
  for (const auto& [enabled, name] : FaultClasses()) {
    EXPECT_THAT(Percent([on = enabled](const auto& options) { return options.nemesis.*on; }),
                AllOf(Ge(2), Le(60)))
        << name;
  }
}

TEST(SwarmOptionsTest, TimesOfFaultsAreInOrder) {
  for (const SwarmOptions& options : Drawn()) {
    EXPECT_GT(options.nemesis.between_min, Duration::zero());
    EXPECT_LE(options.nemesis.between_min, options.nemesis.between_max);
    EXPECT_GE(options.nemesis.lasts_max, Milliseconds(20));
    EXPECT_LT(options.nemesis.between_max, options.fault_phase) << "no fault might come";
  }
}

TEST(SwarmOptionsTest, TheDescriptionNamesWhatIsOn) {
  SwarmOptions options;
  options.world.voters = 5;
  options.world.learners = 2;
  EXPECT_THAT(options.Describe(), HasSubstr("5 voters, 2 learners, engine memory"));
  EXPECT_THAT(options.Describe(), HasSubstr("faults    none for 30.0 s\n"));
  options.world.member.leveldb = true;
  EXPECT_THAT(options.Describe(), HasSubstr("engine leveldb"));
  EXPECT_THAT(options.Describe(), Not(HasSubstr("late")));
  options.late_start = Seconds(5);
  EXPECT_THAT(options.Describe(), HasSubstr("start late"));
  for (const auto& [enabled, name] : FaultClasses()) {
    SwarmOptions only;
    only.nemesis.*enabled = true;
    EXPECT_THAT(only.Describe(), HasSubstr("faults    " + name + " for 30.0 s"));
  }
}

}  // namespace
}  // namespace conclave::sim
