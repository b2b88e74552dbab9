// The rules of docs/decisions/0003: a request is answered once, and tried again only when its last
// attempt is void.
#include "server/stages/proposer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/errors.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::NodeId;
using raft::Proposal;
using raft::RejectReason;
using raft::RoleName;
using raft::Term;

constexpr NodeId kSelf{7};
constexpr NodeId kOther{8};

class ProposerTest : public ::testing::Test {
 protected:
  void SetLeader(NodeId leader, uint64_t term) {
    const RoleName role = leader == kSelf ? RoleName::kLeader : RoleName::kFollower;
    proposer_.OnRoleChange({.role = role, .term = Term(term), .leader = leader});
  }

  void Put(const std::string& key) {
    proposer_.Propose(kv::CommandKind::kPut, key,
                      [this](kv::ApplyResult result) { answers_.push_back(result.status); });
  }

  // What raft would be given now; checks that it is `count` proposals.
  std::vector<Proposal> Take(uint64_t term, size_t count, bool leading = false) {
    std::vector<Proposal> taken = proposer_.TakeProposals(Term(term), leading);
    EXPECT_EQ(taken.size(), count);
    return taken;
  }

  kv::CommandHeader HeaderOf(const Proposal& proposal) {
    return kv::DecodeCommand(proposal.payload.view())->header;
  }

  ManualExecutor lane_;
  int wakes_ = 0;
  std::vector<absl::Status> answers_;
  Proposer proposer_{
      {.member = kSelf, .first_request_id = 1000, .requests_max = 3, .bytes_max = 1000},
      &lane_,
      [this] { ++wakes_; }};
};

TEST_F(ProposerTest, TheIdentityGoesWithEveryAttempt) {
  SetLeader(kOther, 1);
  proposer_.Propose(kv::CommandKind::kPut, "a", [](kv::ApplyResult) {},
                    {.id = "an-id-of-nobody-else", .fingerprint = 5});
  const std::vector<Proposal> first = Take(1, 1);
  proposer_.OnAppliedTerm(Term(2));
  SetLeader(kOther, 2);
  const std::vector<Proposal> second = Take(2, 1);
  for (const Proposal& proposal : {first[0], second[0]}) {
    const auto command = kv::DecodeCommand(proposal.payload.view());
    ASSERT_TRUE(command.ok());
    EXPECT_EQ(command->identity.id, "an-id-of-nobody-else");
    EXPECT_EQ(command->identity.fingerprint, 5u);
    EXPECT_EQ(command->request, "a");
  }
}

TEST_F(ProposerTest, AnswersOnceWithTheResultOfApplying) {
  SetLeader(kOther, 1);
  Put("a");
  EXPECT_GT(wakes_, 0);
  const auto taken = Take(1, 1);
  EXPECT_TRUE(proposer_.Waits(HeaderOf(taken[0])));
  proposer_.Complete(HeaderOf(taken[0]), {});
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_[0].ok());
  EXPECT_FALSE(proposer_.Waits(HeaderOf(taken[0])));
  proposer_.Complete(HeaderOf(taken[0]), {});
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_EQ(proposer_.pending(), 0u);
}

TEST_F(ProposerTest, AnotherMembersRequestWithTheSameIdIsNotOurs) {
  SetLeader(kOther, 1);
  Put("a");
  kv::CommandHeader header = HeaderOf(Take(1, 1)[0]);
  header.proposer = kOther.value();
  EXPECT_FALSE(proposer_.Waits(header));
}

TEST_F(ProposerTest, WaitsForALeader) {
  Put("a");
  Take(1, 0);
  SetLeader(kOther, 2);
  Take(2, 1);
}

TEST_F(ProposerTest, RefusedAttemptIsTriedAgainUnderANewNumber) {
  SetLeader(kOther, 1);
  Put("a");
  const auto first = Take(1, 1);
  proposer_.OnFailed({{first[0].id, RejectReason::kNoLeader}});
  lane_.Advance(Milliseconds(20));
  const auto second = Take(1, 1);
  EXPECT_NE(first[0].id, second[0].id);
  EXPECT_EQ(first[0].payload, second[0].payload);
}

// A leader that is known but cannot be reached refuses at once; asking it again with every drain
// would be a loop that never waits.
TEST_F(ProposerTest, RefusedAttemptsRestBeforeTheyAreTriedAgain) {
  SetLeader(kOther, 1);
  Put("a");
  Put("b");
  const auto taken = Take(1, 2);
  proposer_.OnFailed({{taken[0].id, RejectReason::kNoLeader}});
  Take(1, 0);
  proposer_.OnFailed({{taken[1].id, RejectReason::kNoLeader}});
  Take(1, 0);
  lane_.Advance(Milliseconds(20));
  Take(1, 2);
}

TEST_F(ProposerTest, LateRefusalOfAVoidAttemptDoesNotRepeatThePresentOne) {
  SetLeader(kOther, 1);
  Put("a");
  const auto first = Take(1, 1);
  proposer_.OnAppliedTerm(Term(2));
  Take(2, 1);
  proposer_.OnFailed({{first[0].id, RejectReason::kNoLeader}});
  Take(2, 0);
}

TEST_F(ProposerTest, AttemptIsVoidOnceALaterTermIsApplied) {
  SetLeader(kOther, 3);
  Put("a");
  Take(3, 1);
  proposer_.OnAppliedTerm(Term(3));
  Take(3, 0);
  proposer_.OnAppliedTerm(Term(4));
  const auto again = Take(4, 1);
  proposer_.OnAppliedTerm(Term(4));
  Take(4, 0);
  proposer_.Complete(HeaderOf(again[0]), {});
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_[0].ok());
}

// docs/snapshots.md: its entry is skipped or never comes, and nobody here will know which.
TEST_F(ProposerTest, AttemptOfAnEarlierTermThanASnapshotIsNeverMadeAgain) {
  SetLeader(kOther, 3);
  Put("a");
  Take(3, 1);
  proposer_.OnInstalled(Term(4));
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTimeout()});
  Take(4, 0);
}

TEST_F(ProposerTest, AttemptOfASnapshotsTermMayStillBeApplied) {
  SetLeader(kOther, 4);
  Put("a");
  Put("b");
  const auto taken = Take(4, 2);
  proposer_.OnInstalled(Term(4));
  EXPECT_TRUE(answers_.empty());
  proposer_.Complete(HeaderOf(taken[0]), {});
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_[0].ok());
  // The other one was skipped, or never comes.
  proposer_.OnAppliedTerm(Term(5));
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[1], kv::ErrTimeout());
  Take(5, 0);
}

TEST_F(ProposerTest, AttemptsThatASnapshotCannotHaveSkippedAreMadeAgain) {
  SetLeader(kOther, 5);
  Put("refused");
  Put("of a later term");
  Put("not yet proposed");
  proposer_.OnInstalled(Term(4));
  const auto taken = Take(5, 3);
  proposer_.OnInstalled(Term(4));
  proposer_.OnInstalled(Term(5));
  // A refusal says that it is in no log.
  proposer_.OnFailed({{taken[0].id, RejectReason::kNoLeader}});
  lane_.Advance(Milliseconds(20));
  const auto again = Take(6, 1);
  proposer_.OnAppliedTerm(Term(7));
  EXPECT_EQ(answers_, std::vector<absl::Status>(2, kv::ErrTimeout()));
  EXPECT_EQ(Take(7, 1)[0].payload, again[0].payload);
}

// To whoever decided it "not leader" says that it certainly came to nothing.
TEST_F(ProposerTest, LeadersDecisionThatASnapshotMayHaveSkippedIsUnknown) {
  SetLeader(kSelf, 5);
  absl::Status answer;
  proposer_.ProposeAsLeader(kv::CommandKind::kLeaseRevoke, "x", Term(5),
                            [&](kv::ApplyResult result) { answer = result.status; });
  Take(5, 1, /*leading=*/true);
  SetLeader(kOther, 6);
  proposer_.OnInstalled(Term(6));
  EXPECT_EQ(answer, kv::ErrTimeout());
}

TEST_F(ProposerTest, LeadersOwnDecisionsAreBoundToTheirTerm) {
  SetLeader(kSelf, 5);
  std::vector<absl::Status> answers;
  auto propose = [&] {
    proposer_.ProposeAsLeader(kv::CommandKind::kLeaseRevoke, "x", Term(5),
                              [&](kv::ApplyResult result) { answers.push_back(result.status); });
  };
  propose();
  Take(6, 0, /*leading=*/true);
  propose();
  Take(5, 0, /*leading=*/false);
  propose();
  const auto taken = Take(5, 1, /*leading=*/true);
  proposer_.OnAppliedTerm(Term(6));
  Take(6, 0, /*leading=*/true);
  EXPECT_EQ(answers, std::vector<absl::Status>(3, kv::ErrNotLeader()));
}

TEST_F(ProposerTest, BoundsCountAndBytes) {
  SetLeader(kOther, 1);
  for (const char* key : {"a", "b", "c", "d"}) Put(key);
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTooManyRequests()});
  for (const Proposal& proposal : Take(1, 3)) proposer_.Complete(HeaderOf(proposal), {});
  answers_.clear();
  Put(std::string(1001, 'x'));
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTooManyRequests()});
}

TEST_F(ProposerTest, TooManyAtTheLeaderReachesTheClient) {
  SetLeader(kOther, 1);
  Put("a");
  proposer_.OnFailed({{Take(1, 1)[0].id, RejectReason::kTooMany}});
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTooManyRequests()});
}

struct TimeoutCase {
  bool propose;
  bool lose_leader;
  absl::Status expected;
};

TEST_F(ProposerTest, TimeoutsSayWhatIsKnown) {
  const TimeoutCase cases[] = {
      {false, false, absl::DeadlineExceededError("context deadline exceeded")},
      {true, false, kv::ErrTimeout()},
      {true, true, kv::ErrTimeoutDueToLeaderFail()},
  };
  for (const TimeoutCase& c : cases) {
    answers_.clear();
    SetLeader(c.propose ? kOther : raft::kNoNode, 1);
    Put("a");
    if (c.propose) Take(1, 1);
    if (c.lose_leader) SetLeader(raft::kNoNode, 2);
    lane_.Advance(Seconds(6));
    EXPECT_TRUE(answers_.empty());
    lane_.Advance(Milliseconds(1100));
    EXPECT_EQ(answers_, std::vector<absl::Status>{c.expected});
    EXPECT_EQ(proposer_.pending(), 0u);
  }
}

// ---- Changes of membership. ----

class ChangeProposerTest : public ProposerTest {
 protected:
  void Change(raft::MemberChangeKind kind, uint64_t term) {
    proposer_.ProposeChange(kv::CommandKind::kMemberAdd, "member", {{kind, NodeId(9)}}, Term(term),
                            [this](kv::ApplyResult result) { answers_.push_back(result.status); });
  }
};

TEST_F(ChangeProposerTest, CarriesItsChangesAndWaitsWhileAnotherIsUnderWay) {
  SetLeader(kSelf, 1);
  Change(raft::MemberChangeKind::kAddLearner, 1);
  const Proposal first = Take(1, 1, /*leading=*/true)[0];
  ASSERT_EQ(first.changes.size(), 1u);
  EXPECT_EQ(first.changes[0].node, NodeId(9));
  proposer_.OnFailed({{first.id, RejectReason::kChangeUnderWay}});
  Take(1, 0, /*leading=*/true);
  lane_.Advance(Milliseconds(20));
  const Proposal second = Take(1, 1, /*leading=*/true)[0];
  EXPECT_EQ(second.changes, first.changes);
  EXPECT_TRUE(answers_.empty());
  lane_.Advance(Seconds(8));
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTimeout()});
}

TEST_F(ChangeProposerTest, AChangeThatDoesNotFitSaysWhy) {
  SetLeader(kSelf, 1);
  Change(raft::MemberChangeKind::kAddLearner, 1);
  proposer_.OnFailed({{Take(1, 1, true)[0].id, RejectReason::kBadChange}});
  Change(raft::MemberChangeKind::kRemove, 1);
  proposer_.OnFailed({{Take(1, 1, true)[0].id, RejectReason::kBadChange}});
  EXPECT_EQ(answers_, (std::vector<absl::Status>{kv::ErrMemberExists(), kv::ErrMemberNotFound()}));
}

TEST_F(ChangeProposerTest, AChangeIsNeverMadeInAnotherTerm) {
  SetLeader(kSelf, 1);
  Change(raft::MemberChangeKind::kAddLearner, 1);
  proposer_.OnFailed({{Take(1, 1, true)[0].id, RejectReason::kChangeUnderWay}});
  SetLeader(kSelf, 2);
  Take(2, 0, /*leading=*/true);
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrNotLeader()});
}

}  // namespace
}  // namespace conclave::server
