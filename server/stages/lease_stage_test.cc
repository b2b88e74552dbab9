// Who may end a lease, and when (reference: behaviour section 7).
#include "server/stages/lease_stage.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "kvstore/engine/memory_engine.h"
#include "kvstore/errors.h"
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
    ASSERT_TRUE(lessor_.Grant(id, ttl_seconds, /*index=*/1, batch).ok());
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

  // The proposals of the leader of `term` are taken, committed and applied, as the apply stage does
  // it; returns how many there were.
  size_t CommitProposals(uint64_t term) {
    const auto proposals = proposer_.TakeProposals(Term(term), /*leading=*/true);
    std::vector<kv::CommandHeader> headers;
    for (const raft::Proposal& proposal : proposals) {
      const auto command = kv::DecodeCommand(proposal.payload.view());
      ApplyCommand(*command);
      headers.push_back(command->header);
    }
    for (const kv::CommandHeader& header : headers) proposer_.Complete(header, {});
    if (!proposals.empty()) stage_.OnApplied(Term(term));
    return proposals.size();
  }

  void ApplyCommand(const kv::Command& command) {
    kv::WriteBatch batch;
    if (command.header.kind == kv::CommandKind::kLeaseRevoke) {
      etcdserverpb::LeaseRevokeRequest request;
      ASSERT_TRUE(request.ParseFromString(std::string(command.request)));
      ASSERT_TRUE(lessor_.Revoke(request.id(), batch).ok());
    } else {
      ASSERT_EQ(command.header.kind, kv::CommandKind::kLeaseCheckpoint);
      etcdserverpb::LeaseCheckpointRequest request;
      ASSERT_TRUE(request.ParseFromString(std::string(command.request)));
      kv::LeaseCheckpoints checkpoints{.leases = {}, .newest_grant = request.newest_grant()};
      for (const auto& lease : request.checkpoints()) {
        checkpoints.leases.push_back({lease.id(), lease.remaining_ttl()});
      }
      checkpoint_sizes_.push_back(checkpoints.leases.size());
      lessor_.Checkpoint(checkpoints, batch);
    }
    engine_.Write(batch);
  }

  std::vector<size_t> checkpoint_sizes_;
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

// ---- Pacing. ----

TEST_F(LeaseStageTest, ManyThatRunOutTogetherAreRevokedAFewAtATime) {
  Lead(1);
  stage_.OnApplied(Term(1));
  constexpr size_t kLeases = 5000;
  for (size_t id = 1; id <= kLeases; ++id) Grant(static_cast<int64_t>(id), 10);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(9999));
  EXPECT_EQ(CommitProposals(1), 0u);
  Duration taken{};
  while (lessor_.size() > 0 && taken < Seconds(10)) {
    lane_.Advance(Milliseconds(5));
    taken += Milliseconds(5);
    ASSERT_LE(CommitProposals(1), 5u) << "whatever is proposed beside them waits for no more";
  }
  EXPECT_EQ(lessor_.size(), 0u);
  EXPECT_GE(taken, Milliseconds(4990)) << "1,000 a second";
  EXPECT_LE(taken, Milliseconds(5100));
}

TEST_F(LeaseStageTest, RevokesWaitWhileManyAreNotAppliedYet) {
  Lead(1);
  stage_.OnApplied(Term(1));
  for (int64_t id = 1; id <= 500; ++id) Grant(id, 10);
  stage_.OnApplied(Term(1));
  lane_.Advance(Seconds(14));
  EXPECT_EQ(proposer_.pending(), 64u);
  EXPECT_EQ(CommitProposals(1), 64u);
  lane_.Advance(Milliseconds(5));
  EXPECT_EQ(proposer_.pending(), 5u) << "and they go on";
}

// ---- Checkpoints. ----

TEST_F(LeaseStageTest, ManyCheckpointsShareAnEntry) {
  Lead(1);
  stage_.OnApplied(Term(1));
  for (int64_t id = 1; id <= 2500; ++id) Grant(id, 100);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(49'999));
  EXPECT_EQ(CommitProposals(1), 0u) << "nothing before half is gone";
  for (int i = 0; i < 29; ++i) {
    lane_.Advance(Seconds(1));
    EXPECT_LE(CommitProposals(1), 1u);
  }
  EXPECT_EQ(checkpoint_sizes_, (std::vector<size_t>{1000, 1000, 500})) << "one each second";
  Change(RoleName::kLeader, 2, kSelf);
  stage_.OnApplied(Term(2));
  EXPECT_EQ(lessor_.Remaining(1, lane_.Now()), 51) << "half, and the extension";
  EXPECT_EQ(lessor_.Remaining(2500, lane_.Now()), 49) << "two seconds later it had less";
}

TEST_F(LeaseStageTest, NothingIsProposedForLeasesThatAreKeptAliveOrShort) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 90);
  stage_.OnApplied(Term(1));
  for (int i = 0; i < 20; ++i) {
    lane_.Advance(Seconds(30));
    ASSERT_TRUE(lessor_.Renew(10, lane_.Now()).ok());
  }
  Grant(20, 30);
  stage_.OnApplied(Term(1));
  lane_.Advance(Milliseconds(29'999));
  EXPECT_EQ(proposer_.pending(), 0u);
}

TEST_F(LeaseStageTest, ACheckpointThatRaftRefusesIsTakenAgain) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 100);
  stage_.OnApplied(Term(1));
  lane_.Advance(Seconds(51));
  const auto proposals = proposer_.TakeProposals(Term(1), /*leading=*/true);
  ASSERT_EQ(proposals.size(), 1u);
  EXPECT_TRUE(lessor_.Checkpointed(10));
  proposer_.OnFailed({{proposals[0].id, raft::RejectReason::kTransferring}});
  EXPECT_FALSE(lessor_.Checkpointed(10));
  lane_.Advance(Seconds(1));
  EXPECT_EQ(CommitProposals(1), 1u);
  EXPECT_TRUE(lessor_.Checkpointed(10));
}

TEST_F(LeaseStageTest, ARenewalForgetsItBehindWhateverIsUnderWay) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 100);
  stage_.OnApplied(Term(1));
  lane_.Advance(Seconds(51));
  ASSERT_TRUE(lessor_.Renew(10, lane_.Now()).ok());
  std::optional<absl::Status> forgotten;
  stage_.ForgetCheckpoint(10, [&](const absl::Status& status) { forgotten = status; });
  EXPECT_FALSE(forgotten.has_value());
  EXPECT_EQ(CommitProposals(1), 2u);
  EXPECT_EQ(forgotten, absl::OkStatus());
  EXPECT_FALSE(lessor_.Checkpointed(10));
}

TEST_F(LeaseStageTest, ADeposedLeaderForgetsNothing) {
  Lead(1);
  stage_.OnApplied(Term(1));
  Grant(10, 100);
  std::optional<absl::Status> forgotten;
  stage_.ForgetCheckpoint(10, [&](const absl::Status& status) { forgotten = status; });
  Follow(2);
  EXPECT_TRUE(proposer_.TakeProposals(Term(2), /*leading=*/false).empty());
  EXPECT_EQ(forgotten, kv::ErrNotPrimaryLessor());
}

}  // namespace
}  // namespace conclave::server
