// The table of the strict reconfiguration check (reference: behaviour section 9.2), row by row.
#include "server/api/reconfiguration_check.h"

#include <gtest/gtest.h>

#include "kvstore/errors.h"

namespace conclave::server {
namespace {

constexpr raft::NodeId kSelf{1};

// Voters 1, 2, ... by letter: 's' started and steady, 'y' started and only just connected, 'd'
// started and down, 'n' never started.
std::vector<VoterHealth> Voters(std::string_view letters) {
  std::vector<VoterHealth> voters;
  for (char letter : letters) {
    voters.push_back({.id = raft::NodeId(voters.size() + 1),
                      .started = letter != 'n',
                      .connected = letter == 's' || letter == 'y',
                      .steady = letter == 's'});
  }
  return voters;
}

const absl::Status kOk;
const absl::Status kTooFew = kv::ErrMemberNotEnoughStarted();
const absl::Status kUnhealthy = kv::ErrUnhealthy();

TEST(ReconfigurationCheckTest, AVoterIsAddedIfTheOthersCanDecideWithoutIt) {
  EXPECT_EQ(MayAddVoter(Voters("s")), kOk) << "one grows to two whatever that costs";
  EXPECT_EQ(MayAddVoter(Voters("n")), kTooFew);
  EXPECT_EQ(MayAddVoter(Voters("ss")), kOk);
  EXPECT_EQ(MayAddVoter(Voters("sn")), kTooFew) << "two added in a row, the first never started";
  EXPECT_EQ(MayAddVoter(Voters("sss")), kOk);
  EXPECT_EQ(MayAddVoter(Voters("ssn")), kTooFew);
  EXPECT_EQ(MayAddVoter(Voters("ssss")), kOk);
  EXPECT_EQ(MayAddVoter(Voters("sssn")), kOk);
}

TEST(ReconfigurationCheckTest, NobodyIsAddedToAClusterThatIsNotSteady) {
  for (const auto may : {MayAddVoter, MayAddLearner}) {
    EXPECT_EQ(may(Voters("s")), kOk);
    EXPECT_EQ(may(Voters("sy")), kUnhealthy);
    EXPECT_EQ(may(Voters("sd")), kUnhealthy);
    EXPECT_EQ(may(Voters("ssy")), kUnhealthy);
    EXPECT_EQ(may(Voters("ssd")), kUnhealthy);
    EXPECT_EQ(may(Voters("sssd")), kOk);
    EXPECT_EQ(may(Voters("sssdd")), kUnhealthy);
    EXPECT_EQ(may(Voters("ssssd")), kOk);
  }
  EXPECT_EQ(MayAddLearner(Voters("sn")), kUnhealthy);
}

TEST(ReconfigurationCheckTest, ALearnerIsPromotedIfEnoughHaveStarted) {
  EXPECT_EQ(MayPromoteLearner(Voters("s")), kOk);
  EXPECT_EQ(MayPromoteLearner(Voters("n")), kTooFew);
  EXPECT_EQ(MayPromoteLearner(Voters("sn")), kOk);
  EXPECT_EQ(MayPromoteLearner(Voters("snn")), kTooFew);
  EXPECT_EQ(MayPromoteLearner(Voters("sdd")), kOk) << "only who never started is looked at";
}

TEST(ReconfigurationCheckTest, AVoterIsRemovedIfTheRestCanDecide) {
  EXPECT_EQ(MayRemoveVoter(Voters("s"), kSelf), kTooFew) << "there would be nobody";
  EXPECT_EQ(MayRemoveVoter(Voters("ss"), kSelf), kOk);
  EXPECT_EQ(MayRemoveVoter(Voters("sn"), kSelf), kTooFew);
  EXPECT_EQ(MayRemoveVoter(Voters("sn"), raft::NodeId(2)), kOk) << "who never started goes freely";
  EXPECT_EQ(MayRemoveVoter(Voters("sd"), raft::NodeId(2)), kOk) << "and who is down";
  EXPECT_EQ(MayRemoveVoter(Voters("sy"), raft::NodeId(2)), kUnhealthy);
  EXPECT_EQ(MayRemoveVoter(Voters("sss"), raft::NodeId(3)), kOk);
  EXPECT_EQ(MayRemoveVoter(Voters("ssd"), raft::NodeId(2)), kUnhealthy);
  EXPECT_EQ(MayRemoveVoter(Voters("ssd"), raft::NodeId(3)), kOk);
  EXPECT_EQ(MayRemoveVoter(Voters("ssssd"), raft::NodeId(2)), kOk);
  EXPECT_EQ(MayRemoveVoter(Voters("sssdd"), raft::NodeId(2)), kUnhealthy);
}

}  // namespace
}  // namespace conclave::server
