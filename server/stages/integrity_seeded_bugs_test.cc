// The seeded bugs of docs/integrity.md that whole members show at once. Each is looked for in the
// code as it is, where it must not be, and with the bug switched on, where it must.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "raft/base/with_seeded_bug.h"
#include "server/stages/spoiled_value.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

void Put(TestCluster& cluster, size_t member, const std::string& value) {
  auto answer = std::make_shared<absl::Status>();
  cluster.Put(member, "key", value, answer);
  cluster.Run(Milliseconds(50));
}

size_t LeaderAfterAWhile(TestCluster& cluster) {
  EXPECT_TRUE(cluster.RunUntilLeader());
  cluster.Run(Seconds(2));
  return cluster.leader();
}

// Whether a member that stays wrong comes to lead when it might: the leader goes away again and
// again.
bool AWrongMemberLeads() {
  NodeOptions options;
  options.snapshot_source.sessions_max = 0;  // nobody gets a state
  TestCluster cluster(3, 5, options);
  const size_t led = LeaderAfterAWhile(cluster);
  const size_t odd = (led + 1) % 3;
  Put(cluster, led, "right");
  SpoilValue(*cluster.member(odd).engine, "key");
  Put(cluster, led, "again");
  cluster.Run(Seconds(1));
  EXPECT_TRUE(cluster.node(odd).fenced());
  for (int i = 0; i < 10; ++i) {
    const size_t goes = cluster.leader();
    if (goes == odd) return true;
    cluster.Crash(goes);
    EXPECT_TRUE(cluster.RunUntilLeader());
    if (cluster.leader() == odd) return true;
    cluster.Restart(goes);
    LeaderAfterAWhile(cluster);
  }
  return false;
}

TEST(IntegritySeededBugsTest, FencedCampaigns) {
  EXPECT_FALSE(AWrongMemberLeads());
  const WithSeededBug bug(SeededBug::kFencedCampaigns);
  EXPECT_TRUE(AWrongMemberLeads());
}

// How many members are found to be wrong after all have been restarted, one by one.
uint64_t FoundAfterRestarts() {
  TestCluster cluster(3, 5);
  Put(cluster, LeaderAfterAWhile(cluster), "value");
  uint64_t found = 0;
  for (size_t member = 0; member < 3; ++member) {
    cluster.Stop(member);
    cluster.Restart(member);
    Put(cluster, LeaderAfterAWhile(cluster), "value");
    cluster.Run(Seconds(2));
    for (size_t i = 0; i < 3; ++i) found += cluster.node(i).counters().divergences_found;
  }
  return found;
}

TEST(IntegritySeededBugsTest, ChainForgotten) {
  EXPECT_EQ(FoundAfterRestarts(), 0u);
  const WithSeededBug bug(SeededBug::kChainForgotten);
  EXPECT_GT(FoundAfterRestarts(), 0u);
}

// Whether a follower whose value has gone bad is found.
bool IsFound() {
  TestCluster cluster(3, 5);
  const size_t led = LeaderAfterAWhile(cluster);
  Put(cluster, led, "right");
  SpoilValue(*cluster.member((led + 1) % 3).engine, "key");
  Put(cluster, led, "again");
  cluster.Run(Seconds(1));
  return cluster.node(led).counters().divergences_found == 1;
}

TEST(IntegritySeededBugsTest, ChainsNotCompared) {
  EXPECT_TRUE(IsFound());
  const WithSeededBug bug(SeededBug::kChainsNotCompared);
  EXPECT_FALSE(IsFound());
}

// What a member that waits for its put's result makes of it now and then.
TEST(IntegritySeededBugsTest, PutSpoiled) {
  const auto found = [] {
    TestCluster cluster(3, 5);
    const size_t led = LeaderAfterAWhile(cluster);
    for (int i = 0; i < 20; ++i) Put(cluster, (led + 1) % 3, "value");
    cluster.Run(Seconds(1));
    uint64_t count = 0;
    for (size_t i = 0; i < 3; ++i) count += cluster.node(i).counters().divergences_found;
    return count;
  };
  EXPECT_EQ(found(), 0u);
  const WithSeededBug bug(SeededBug::kPutSpoiled);
  EXPECT_GT(found(), 0u);
}

// Whether a member serves although its engine was found damaged a moment ago.
bool ServesWithoutAState() {
  NodeOptions options;
  options.log_keeper.entries_max = 10;
  options.core.tail_entries_max = 5;
  TestCluster cluster(3, 5, options);
  const size_t led = LeaderAfterAWhile(cluster);
  for (int i = 0; i < 60; ++i) Put(cluster, led, "value");
  const size_t odd = (led + 1) % 3;
  cluster.Crash(odd);
  cluster.member(odd).home_disk.Damage();
  cluster.Restart(odd);
  return !cluster.node(odd).fenced();
}

TEST(IntegritySeededBugsTest, LostStateServed) {
  EXPECT_FALSE(ServesWithoutAState());
  const WithSeededBug bug(SeededBug::kLostStateServed);
  EXPECT_TRUE(ServesWithoutAState());
}

}  // namespace
}  // namespace conclave::server
