// Linearizable reads wait for a read index asked for after they came, and for apply to reach it
// (thesis 6.4).
#include "server/stages/read_gate.h"

#include <gtest/gtest.h>

#include <vector>

#include "kvstore/errors.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::LogIndex;
using raft::NodeId;
using raft::ReadId;

class ReadGateTest : public ::testing::Test {
 protected:
  void SetLeader(NodeId leader) {
    gate_.OnRoleChange(
        {.role = raft::RoleName::kFollower, .term = raft::Term(1), .leader = leader});
  }
  void Read() {
    gate_.Read([this](const absl::Status& status) { answers_.push_back(status); });
  }

  ManualExecutor lane_;
  int wakes_ = 0;
  std::vector<absl::Status> answers_;
  ReadGate gate_{{.timeout = Seconds(7), .retry_after = Milliseconds(500), .reads_max = 4},
                 &lane_,
                 [this] { ++wakes_; }};
};

TEST_F(ReadGateTest, WaitsForTheIndexAndForApply) {
  SetLeader(NodeId(2));
  Read();
  Read();
  const auto read = gate_.TakeRead();
  ASSERT_TRUE(read);
  gate_.OnApplied(LogIndex(4));
  EXPECT_TRUE(answers_.empty());
  gate_.OnReady({{*read, LogIndex(5)}});
  EXPECT_TRUE(answers_.empty());
  gate_.OnApplied(LogIndex(5));
  EXPECT_EQ(answers_, std::vector<absl::Status>(2, absl::OkStatus()));
}

TEST_F(ReadGateTest, ReadThatComesAfterTheQuestionAsksItsOwn) {
  SetLeader(NodeId(2));
  Read();
  const auto first = gate_.TakeRead();
  Read();
  gate_.OnReady({{*first, LogIndex(0)}});
  EXPECT_EQ(answers_.size(), 1u);
  const auto second = gate_.TakeRead();
  ASSERT_TRUE(second);
  EXPECT_NE(*first, *second);
}

TEST_F(ReadGateTest, AsksNobodyWithoutALeader) {
  Read();
  EXPECT_FALSE(gate_.TakeRead());
  SetLeader(NodeId(2));
  EXPECT_TRUE(gate_.TakeRead());
}

TEST_F(ReadGateTest, LostAnswerIsAskedForAgainAndTheOldOneIgnored) {
  SetLeader(NodeId(2));
  Read();
  const auto lost = gate_.TakeRead();
  lane_.Advance(Milliseconds(600));
  const auto again = gate_.TakeRead();
  ASSERT_TRUE(again);
  gate_.OnReady({{*lost, LogIndex(0)}});
  EXPECT_TRUE(answers_.empty());
  gate_.OnReady({{*again, LogIndex(0)}});
  EXPECT_EQ(answers_.size(), 1u);
}

TEST_F(ReadGateTest, RefusedReadIsAskedForAgain) {
  SetLeader(NodeId(2));
  Read();
  const auto refused = gate_.TakeRead();
  gate_.OnFailed({{*refused, raft::RejectReason::kNoLeader}});
  EXPECT_FALSE(gate_.TakeRead()) << "it would be refused again at once";
  lane_.Advance(Milliseconds(50));
  EXPECT_TRUE(gate_.TakeRead());
  EXPECT_TRUE(answers_.empty());
}

TEST_F(ReadGateTest, TimesOut) {
  Read();
  lane_.Advance(Milliseconds(6900));
  EXPECT_TRUE(answers_.empty());
  lane_.Advance(Milliseconds(200));
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTimeout()});
}

TEST_F(ReadGateTest, BoundsTheReadsThatWait) {
  for (int i = 0; i < 5; ++i) Read();
  EXPECT_EQ(answers_, std::vector<absl::Status>{kv::ErrTooManyRequests()});
}

}  // namespace
}  // namespace conclave::server
