// The seeded bugs of the membership service that only its tests can show at once. Each is looked
// for in the code as it is, where it must not be, and with the bug switched on, where it must.
#include <gtest/gtest.h>

#include <vector>

#include "kvstore/errors.h"
#include "raft/base/with_seeded_bug.h"
#include "server/api/reconfiguration_check.h"
#include "server/api/test_api.h"

namespace conclave::server {
namespace {

// One learner is allowed. The second is asked for when the entry that adds the first is in the log
// and not applied.
absl::Status AddSecondLearnerTooSoon() {
  MemberKeeperOptions options;
  options.learners_max = 1;
  TestApi api(3, ApiOptions{}, options);
  api.Run(options.health_interval);
  etcdserverpb::Member first;
  first.set_id(77);
  first.set_islearner(true);
  first.add_peerurls("http://d:2380");
  const size_t leader = api.leader();
  api.cluster().Isolate(leader);  // for less than an election timeout
  api.cluster().node(leader).ChangeMembers(
      kv::CommandKind::kMemberAdd, first.SerializeAsString(),
      {{.kind = raft::MemberChangeKind::kAddLearner, .node = raft::NodeId(77)}},
      [](const kv::ApplyResult& result) { EXPECT_TRUE(result.status.ok()); });
  etcdserverpb::MemberAddRequest second;
  second.add_peerurls("http://e:2380");
  second.set_islearner(true);
  api.Run(Milliseconds(2));
  const auto call =
      api.Start(leader, "/etcdserverpb.Cluster/MemberAdd", second.SerializeAsString());
  api.Run(Milliseconds(2));
  EXPECT_FALSE(call->status().has_value());
  api.cluster().Heal();
  api.Run(Seconds(2));
  return call->status().value_or(absl::UnknownError("not answered"));
}

TEST(MembershipSeededBugsTest, MemberChangeJudgedEarly) {
  EXPECT_EQ(AddSecondLearnerTooSoon(), kv::ErrTooManyLearners());
  const WithSeededBug bug(SeededBug::kMemberChangeJudgedEarly);
  EXPECT_EQ(AddSecondLearnerTooSoon(), absl::OkStatus());
}

// Of three voters two have never started.
absl::Status PromoteAmongUnstarted() {
  std::vector<VoterHealth> voters(3);
  for (size_t i = 0; i < voters.size(); ++i) voters[i].id = raft::NodeId(i + 1);
  voters[0].started = voters[0].connected = voters[0].steady = true;
  return MayPromoteLearner(voters);
}

TEST(MembershipSeededBugsTest, UnstartedVoterCounted) {
  EXPECT_EQ(PromoteAmongUnstarted(), kv::ErrMemberNotEnoughStarted());
  const WithSeededBug bug(SeededBug::kUnstartedVoterCounted);
  EXPECT_EQ(PromoteAmongUnstarted(), absl::OkStatus());
}

}  // namespace
}  // namespace conclave::server
