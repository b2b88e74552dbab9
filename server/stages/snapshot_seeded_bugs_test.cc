// The seeded bugs of docs/snapshots.md that whole members show at once. Each is looked for in the
// code as it is, where it must not be, and with the bug switched on, where it must.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "raft/base/with_seeded_bug.h"
#include "server/stages/test_cluster.h"

namespace conclave::server {
namespace {

// How many snapshots a member needs that gets entries more slowly than they come, where what the
// log keeps for it is shorter than it stays behind.
uint64_t SnapshotsOfASlowMember() {
  NodeOptions options;
  options.core.tail_bytes_max = 500;
  options.core.append_entries_max = 1;
  options.core.inflight_appends_max = 1;
  options.log_keeper.entries_max = 10;
  TestCluster cluster(3, 5, options);
  EXPECT_TRUE(cluster.RunUntilLeader());
  const size_t led = cluster.leader();
  const size_t slow = (led + 1) % 3;
  const auto put = [&](int count) {
    for (int i = 0; i < count; ++i) {
      cluster.Put(led, "key" + std::to_string(i % 5), std::string(200, 'v'),
                  std::make_shared<absl::Status>());
      cluster.Run(Milliseconds(2));
    }
  };
  cluster.Isolate(slow);
  put(100);
  cluster.Heal();
  put(3000);
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster.store(slow).applied_index(), cluster.store(led).applied_index());
  return cluster.node(led).snapshots_sent().begun;
}

TEST(SnapshotSeededBugsTest, SnapshotLogLetGoEarly) {
  EXPECT_EQ(SnapshotsOfASlowMember(), 1u);
  const WithSeededBug bug(SeededBug::kSnapshotLogLetGoEarly);
  EXPECT_GT(SnapshotsOfASlowMember(), 1u);
}

}  // namespace
}  // namespace conclave::server
