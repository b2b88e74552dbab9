// Who may end a lease, and when (reference: behaviour section 7).
#include "server/stages/lease_stage.h"

#include <gtest/gtest.h>

#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::NodeId;
using raft::RoleName;
using raft::Term;

constexpr NodeId kSelf{1};

class LeaseStageTest : public ::testing::Test {
 protected:
  void Lead(uint64_t term) { Change(RoleName::kLeader, term, kSelf); }
  void Follow(uint64_t term) { Change(RoleName::kFollower, term, NodeId(2)); }

  void Change(RoleName role, uint64_t term, NodeId leader) {
    const raft::RoleChange change{.role = role, .term = Term(term), .leader = leader};
    proposer_.OnRoleChange(change);
    stage_.OnRoleChange(change);
  }

  void Grant(int64_t id, int64_t ttl_seconds) {
    kv::WriteBatch batch;
    ASSERT_TRUE(lessor_.Grant(id, ttl_seconds, batch).ok());
    engine_.Write(batch);
  }

  // The leases whose revoke is proposed now in `term`.
  std::vector<int64_t> Revoked(uint64_t term, bool leading = true) {
    std::vector<int64_t> ids;
    for (const raft::Proposal& proposal : proposer_.TakeProposals(Term(term), leading)) {
      const auto command = kv::DecodeCommand(proposal.payload.view());
      EXPECT_EQ(command->header.kind, kv::CommandKind::kLeaseRevoke);
      etcdserverpb::LeaseRevokeRequest request;
      EXPECT_TRUE(request.ParseFromArray(command->request.data(),
                                         static_cast<int>(command->request.size())));
      ids.push_back(request.id());
    }
    return ids;
  }

  ManualExecutor lane_;
  kv::MemoryEngine engine_;
  kv::Lessor lessor_{&engine_};
  Proposer proposer_{{.member = kSelf}, &lane_, [] {}};
  LeaseStage stage_{{.extend_on_promotion = Seconds(1)}, &lane_, &lessor_, &proposer_};
};

TEST_F(LeaseStageTest, LeaderRevokesWhatHasRunOutAndNotEarlier) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 5);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(4999));
  EXPECT_TRUE(Revoked(1).empty());
  lane_.Advance(Milliseconds(500));
  EXPECT_EQ(Revoked(1), std::vector<int64_t>{10});
}

TEST_F(LeaseStageTest, NewLeaderStartsNothingBeforeAnEntryOfItsTermIsApplied) {
  Grant(10, 2);
  Lead(3);
  stage_.OnApplied(Term(2));
  EXPECT_FALSE(lessor_.promoted());
  stage_.OnApplied(Term(3));
  EXPECT_TRUE(lessor_.promoted());
}

TEST_F(LeaseStageTest, NewLeaderGivesEveryLeaseItsFullTimeAndTheExtension) {
  Grant(10, 5);
  Lead(2);
  stage_.OnApplied(Term(2));
  lane_.Advance(Milliseconds(5900));
  EXPECT_TRUE(Revoked(2).empty());
  lane_.Advance(Milliseconds(600));
  EXPECT_EQ(Revoked(2), std::vector<int64_t>{10});
}

TEST_F(LeaseStageTest, FollowerRevokesNothing) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 2);
  stage_.OnApplied(Term(1));
  Follow(2);
  EXPECT_FALSE(lessor_.promoted());
  lane_.Advance(Seconds(60));
  EXPECT_TRUE(Revoked(2, /*leading=*/false).empty());
}

TEST_F(LeaseStageTest, RevokeOfADeposedLeaderIsNeverPassedOn) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 2);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(2500));  // proposed, but raft has not taken it yet
  ASSERT_EQ(proposer_.pending(), 1u);
  EXPECT_TRUE(Revoked(2, /*leading=*/false).empty());
  EXPECT_EQ(proposer_.pending(), 0u);
}

// As while leadership is handed over to a member that then does not take it.
TEST_F(LeaseStageTest, RevokeThatRaftRefusesIsSoonProposedAgain) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 2);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(2500));
  const auto proposals = proposer_.TakeProposals(Term(1), /*leading=*/true);
  ASSERT_EQ(proposals.size(), 1u);
  proposer_.OnFailed({{proposals[0].id, raft::RejectReason::kTransferring}});
  lane_.Advance(Milliseconds(500));
  EXPECT_EQ(Revoked(1), std::vector<int64_t>{10});
}

// As after a long pause of the process: the request's time is over before raft was asked.
TEST_F(LeaseStageTest, RevokeThatWasNeverProposedIsTriedAgain) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 2);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(9500));  // due after 2 s, given up 7 s later
  EXPECT_EQ(proposer_.failed_total(), 1u);
  lane_.Advance(Milliseconds(500));
  EXPECT_EQ(Revoked(1), std::vector<int64_t>{10});
}

// A second revoke might end a lease that was granted under the same id meanwhile.
TEST_F(LeaseStageTest, RevokeWhoseEntryMayStillBeAppliedIsNotRepeated) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 2);
  stage_.OnApplied(Term(1));
  lane_.Advance(Seconds(3));
  EXPECT_EQ(Revoked(1).size(), 1u);
  lane_.Advance(Seconds(60));  // far beyond the proposer's timeout
  EXPECT_TRUE(Revoked(1).empty());
}

}  // namespace
}  // namespace conclave::server
