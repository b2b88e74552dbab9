// What a restart may find of the state: how it says that it came to be, and with which members; and
// what is judged before any restart, an image of what a crash would leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "jepsen-style-tests/sim/raft_invariants.h"
#include "jepsen-style-tests/sim/raft_invariants_fixture.h"

namespace conclave::sim {
namespace {

using raft::Configuration;
using raft::Entry;
using raft::EntryKind;
using raft::LogIndex;
using raft::NodeId;
using raft::Term;
using ::testing::IsEmpty;

class RaftInvariantsStateTest : public RaftInvariantsTest {};

TEST_F(RaftInvariantsStateTest, AStateSaysThatItCameAsASnapshotThatNeverCame) {
  Commit2();
  b_.Apply(1, "", 1);
  rules_.OnCrash(NodeId(2));
  b_.Start({.applied = 1, .installed = 1, .revision = 1});
  ExpectProblem("durability",
                "the store of 2 says that it came as a snapshot of entry 1, its last was of 0");
}

TEST_F(RaftInvariantsStateTest, AStateDoesNotSayThatItCameAsASnapshot) {
  Commit2();
  c_.EnterTerm(1, 0);
  c_.Install(2, 1, 2);
  c_.ResetLog(2, 1);
  rules_.OnCrash(NodeId(3));
  c_.Start({.applied = 2, .installed = 0, .revision = 2});
  ExpectProblem("durability",
                "the store of 3 says that it came as a snapshot of entry 0, its last was of 2");
}

// The core takes a snapshot, and the power goes when its engine is the live one and nobody has been
// told.
TEST_F(RaftInvariantsStateTest, ACrashWhileAStateIsReplacedLeavesEither) {
  Commit2();
  for (const uint64_t found : {0, 2}) {
    c_.EnterTerm(1, 0);
    c_.view().log_starts_anew = true;
    c_.view().last_index = c_.view().commit = LogIndex(2);
    c_.Look();
    rules_.OnCrash(NodeId(3));
    c_.Start({.applied = found, .installed = found, .revision = found == 0 ? 1 : 2});
  }
  EXPECT_THAT(rules_.problems(), IsEmpty());
}

TEST_F(RaftInvariantsStateTest, AStateIsKeptWithoutItsMembers) {
  const Configuration alone{
      .voters = {NodeId(1), NodeId(2), NodeId(3)}, .outgoing = {}, .learners = {}};
  Elect1();
  const Entry change{Term(1), LogIndex(2), EntryKind::kConfiguration,
                     Bytes::Copy(raft::EncodeConfigurationEntry(alone, ""))};
  a_.WriteAndSync({change});
  b_.WriteAndSync({Noop(1, 1), change});
  b_.Acknowledge(1, 1, 2);
  a_.Apply(1, "", 1);
  a_.Apply(2, "", 1);
  a_.Commit(2);
  for (const std::string& kept : {raft::EncodeConfiguration(alone), std::string()}) {
    EXPECT_THAT(rules_.problems(), IsEmpty());
    rules_.OnCrash(NodeId(1));
    a_.Start({.applied = 2, .installed = 0, .revision = 1, .configuration = kept});
  }
  ExpectProblem("durability", "the store of 1 stands at entry 2 with no members");
}

TEST_F(RaftInvariantsStateTest, WhatACrashWouldLeaveIsJudgedBeforeItHappens) {
  Commit2();
  raft::WalContents image = b_.disk();
  rules_.OnCrashImage(NodeId(2), image);
  EXPECT_THAT(rules_.problems(), IsEmpty());
  image.entries.pop_back();
  rules_.OnCrashImage(NodeId(2), image);
  ExpectProblem("durability", "if the power went now, 2 lacks entry 2 of term 1");
}

}  // namespace
}  // namespace conclave::sim
