// A member whose disk was damaged may find less than it promised, if it says so; what it promised
// still counts for others, and it must not go by what it has lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jepsen-style-tests/sim/raft_invariants.h"
#include "jepsen-style-tests/sim/raft_invariants_fixture.h"

namespace conclave::sim {
namespace {

using raft::LogIndex;
using raft::NodeId;
using ::testing::IsEmpty;

class RaftInvariantsLossTest : public RaftInvariantsTest {
 protected:
  // Member 1 leads with entries 1 and 2, and member 2 has acknowledged both.
  RaftInvariantsLossTest() {
    Elect1();
    a_.WriteAndSync({Command(2, 1, "x")});
    b_.WriteAndSync({Noop(1, 1), Command(2, 1, "x")});
    b_.Acknowledge(1, 1, 2);
  }

  // Entry 2 is gone from member 2, which says that entries up to `told` are.
  void LoseEntry2(uint64_t told) {
    b_.disk().entries.resize(1);
    b_.disk().lost_through = LogIndex(told);
  }
};

TEST_F(RaftInvariantsLossTest, ALossThatIsToldIsWell) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  b_.Look();
  b_.Restart();
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsLossTest, ALossWithoutDamage) {
  LoseEntry2(2);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
}

TEST_F(RaftInvariantsLossTest, ALossThatIsNotTold) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(0);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
}

TEST_F(RaftInvariantsLossTest, ALossThatIsForgotten) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  b_.disk().lost_through = LogIndex(0);
  b_.Restart();
  ExpectProblem("durability", "2 has forgotten that it lost entries up to 2");
}

TEST_F(RaftInvariantsLossTest, MoreIsMissingThanWasTouched) {
  b_.WriteAndSync({Command(3, 1, "y")});
  b_.Damage({Noop(1, 1), Command(2, 1, "x")});
  LoseEntry2(3);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
}

TEST_F(RaftInvariantsLossTest, MoreIsSaidToBeMissingThanThereWas) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(3);
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 2 of term 1, which was durable");
}

// Entry 1 was replaced by what is missing, and entry 2 came after that.
TEST_F(RaftInvariantsLossTest, WhatComesAfterDamageIsJoinedToWhatWasBefore) {
  b_.EnterTerm(2, 0);
  b_.WriteAndSync({Noop(1, 2)});
  b_.WriteAndSync({Command(2, 2, "y")});
  b_.Damage({Noop(1, 1)});
  b_.disk().entries = {Noop(1, 1), Command(2, 2, "y")};
  b_.Restart();
  ExpectProblem("durability", "2 lacks entry 1 of term 2, which was durable");
}

// The power goes between the entries and the record that says that nothing is missing any more.
TEST_F(RaftInvariantsLossTest, WhatIsFilledUpMayNotBeKnownToBeComplete) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  raft::AppendTask rest;
  rest.write = raft::WriteId(100);
  rest.entries = {Command(2, 1, "x")};
  rest.complete = true;
  for (const uint64_t told : {2, 0}) {
    rules_.OnAppend(NodeId(2), rest);
    b_.disk().entries = {Noop(1, 1), Command(2, 1, "x")};
    b_.disk().lost_through = LogIndex(told);
    b_.Restart();
    EXPECT_THAT(rules_.problems(), IsEmpty());
  }
  b_.disk().lost_through = LogIndex(2);
  b_.Restart();
  EXPECT_THAT(rules_.problems(), testing::Not(IsEmpty())) << "it was complete";
}

TEST_F(RaftInvariantsLossTest, DamageTakesNoVote) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.disk().hard_state.vote = raft::kNoNode;
  b_.Restart();
  ExpectProblem("durability", "2 has term 1 and vote 0, but term 1 and vote 1 were durable");
}

TEST_F(RaftInvariantsLossTest, WhatWasAcknowledgedBeforeStillCounts) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  a_.Commit(2);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsLossTest, WhatIsLostIsNotAcknowledgedAgain) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  b_.Acknowledge(1, 1, 2);
  ExpectProblem("left before durable", "2 acknowledges 2 with a log up to 1 on its disk");
}

TEST_F(RaftInvariantsLossTest, WhatIsFilledUpIsAcknowledged) {
  b_.Damage({Noop(1, 1)});
  LoseEntry2(2);
  b_.Restart();
  b_.WriteAndSync({Command(2, 1, "x")});
  b_.Look();
  b_.Acknowledge(1, 1, 2);
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

}  // namespace
}  // namespace conclave::sim
