// The seeded bugs of the store that only tests of the store can show at once. Each is looked for in
// the code as it is, where it must not be, and with the bug switched on, where it must.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "kvstore/engine/memory_engine.h"
#include "kvstore/engine/snapshot.h"
#include "kvstore/errors.h"
#include "kvstore/test_store.h"
#include "raft/base/with_seeded_bug.h"

namespace conclave::kv {
namespace {

etcdserverpb::Member MemberNine() {
  etcdserverpb::Member member;
  member.set_id(9);
  member.add_peerurls("http://nine:2380");
  return member;
}

// What the store knows of its configuration after a restart.
std::string ConfigurationAfterRestart() {
  TestStore store;
  EXPECT_TRUE(store.RunConfiguration("c1", CommandKind::kMemberAdd, MemberNine()).status.ok());
  EXPECT_EQ(store->position().configuration, "c1");
  store.Restart();
  return store->position().configuration;
}

TEST(StoreSeededBugsTest, ConfigurationNotKept) {
  EXPECT_EQ(ConfigurationAfterRestart(), "c1");
  const WithSeededBug bug(SeededBug::kConfigurationNotKept);
  EXPECT_EQ(ConfigurationAfterRestart(), "");
}

// Adds a member under the id of one that was removed.
absl::Status AddRemovedId() {
  TestStore store;
  etcdserverpb::MemberRemoveRequest removal;
  removal.set_id(9);
  EXPECT_TRUE(store.RunConfiguration("c1", CommandKind::kMemberAdd, MemberNine()).status.ok());
  EXPECT_TRUE(store.RunConfiguration("c2", CommandKind::kMemberRemove, removal).status.ok());
  return store.RunConfiguration("c3", CommandKind::kMemberAdd, MemberNine()).status;
}

TEST(StoreSeededBugsTest, RemovedIdForgotten) {
  EXPECT_EQ(AddRemovedId(), ErrMemberNotFound());
  const WithSeededBug bug(SeededBug::kRemovedIdForgotten);
  EXPECT_EQ(AddRemovedId(), absl::OkStatus());
}

// What a new leader gives a lease of 60 s whose earlier namesake has a checkpoint that comes late
// in the log.
std::optional<int64_t> RemainingOfNamesake() {
  TestStore store;
  EXPECT_TRUE(store.Grant(5).ok());
  etcdserverpb::LeaseCheckpointRequest checkpoint;
  checkpoint.set_newest_grant(store->applied_index());
  checkpoint.add_checkpoints()->set_id(5);
  checkpoint.mutable_checkpoints(0)->set_remaining_ttl(3);
  EXPECT_TRUE(store.Revoke(5).ok());
  EXPECT_TRUE(store.Grant(5).ok());
  EXPECT_TRUE(store.Run(CommandKind::kLeaseCheckpoint, checkpoint).status.ok());
  store->lessor().Promote(Instant(Seconds(1)), Duration(0));
  return store->lessor().Remaining(5, Instant(Seconds(1)));
}

TEST(StoreSeededBugsTest, LeaseCheckpointInherited) {
  EXPECT_EQ(RemainingOfNamesake(), 60);
  const WithSeededBug bug(SeededBug::kLeaseCheckpointInherited);
  EXPECT_EQ(RemainingOfNamesake(), 3);
}

// How a snapshot ends whose second chunk is lost on the way and asked for again.
absl::Status FetchAndResume() {
  MemoryEngine from;
  WriteBatch batch;
  for (char key = 'a'; key <= 'z'; ++key) batch.Put(std::string(1, key), "value");
  from.Write(batch);
  SnapshotReader reader(from.NewView());
  MemoryEngine to;
  SnapshotWriter writer(&to);
  absl::Status status = writer.Write(reader.Next("", 50));
  (void)reader.Next(writer.last_key(), 50);  // lost
  while (status.ok() && !writer.finished()) {
    status = writer.Write(reader.Next(writer.last_key(), 50));
  }
  return status;
}

TEST(StoreSeededBugsTest, SnapshotResumeSkipsRow) {
  EXPECT_EQ(FetchAndResume(), absl::OkStatus());
  const WithSeededBug bug(SeededBug::kSnapshotResumeSkipsRow);
  EXPECT_TRUE(absl::IsDataLoss(FetchAndResume())) << "the sums of the snapshot tell";
}

}  // namespace
}  // namespace conclave::kv
