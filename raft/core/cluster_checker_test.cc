// That each promise that the cluster's checkers watch over can be seen to be broken: histories in
// which all is well, and the same with one event that must not be.
#include "raft/core/cluster_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "raft/core/request_checker.h"
#include "raft/core/small_logs.h"

namespace conclave::raft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr NodeId k1{1}, k2{2}, k3{3};

Configuration ThreeVoters() { return {.voters = {k1, k2, k3}, .outgoing = {}, .learners = {}}; }

Disk DiskOf(const Terms& log, uint64_t term, NodeId vote) {
  Disk disk;
  disk.hard_state = {Term(term), vote};
  disk.entries = EntriesOf(log, 0, log.size());
  return disk;
}

class ClusterCheckerTest : public testing::Test {
 protected:
  void Written(NodeId member, const Terms& log, uint64_t after) {
    const Disk disk = DiskOf(log, 9, kNoNode);
    checker_.OnWritten(member, disk, EntriesOf(log, after, log.size() - after));
  }
  // A vote is given, with `disk` as it is when the message leaves.
  void Vote(NodeId from, NodeId to, uint64_t term, const Disk& disk) {
    checker_.OnSent({from, to, Term(term), VoteResponse{.pre_vote = false, .granted = true}}, disk);
  }
  void Accepted(NodeId from, uint64_t index, uint64_t term, const Disk& disk) {
    AppendResponse response;
    response.accepted = true;
    response.index = LogIndex(index);
    checker_.OnSent({from, k1, Term(term), response}, disk);
  }
  // 1 leads `term` with the votes of 1 and 2.
  void Leads(uint64_t term, const Terms& log) {
    checker_.OnHardState(k1, {Term(term), k1});
    Vote(k2, k1, term, DiskOf({}, term, k1));
    const Disk disk = DiskOf(log, term, k1);
    checker_.OnLeader(k1, Term(term), ThreeVoters(), disk, disk);
  }
  bool IsHeld(NodeId id, LogIndex index, Term term) const {
    return disks_.contains(id) && disks_.at(id).TermAt(index) == term;
  }
  // In the term of its last entry.
  void Commits(NodeId member, uint64_t commit, const Terms& log) {
    checker_.OnCommit(member, LogIndex(commit), ThreeVoters(), DiskOf(log, log.back(), kNoNode),
                      [&](auto... of) { return IsHeld(of...); });
  }
  void ExpectProblem(const std::string& rule) {
    EXPECT_THAT(findings_.problems(), ElementsAre(StartsWith(rule)));
  }

  Findings findings_;
  ClusterChecker checker_{&findings_};
  std::map<NodeId, Disk> disks_;
};

TEST_F(ClusterCheckerTest, LogMatchingLooksAtTheEntryAndAtTheOneBefore) {
  Written(k1, {1, 1, 2}, 0);
  Written(k2, {1, 1, 2}, 1);
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Written(k3, {1, 2, 2}, 2);  // 3/2 after 2/2, which was after 2/1 before
  ExpectProblem("log matching");
}

TEST_F(ClusterCheckerTest, OneVotePerTerm) {
  Vote(k2, k1, 5, DiskOf({}, 5, k1));
  Vote(k2, k1, 5, DiskOf({}, 5, k1));
  Vote(k2, k3, 6, DiskOf({}, 6, k3));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  checker_.OnHardState(k2, {Term(5), k3});
  ExpectProblem("one vote per term");
}

TEST_F(ClusterCheckerTest, AVoteLeavesAfterItIsDurable) {
  Vote(k2, k1, 5, DiskOf({}, 4, kNoNode));
  ExpectProblem("left before durable: the vote");
}

TEST_F(ClusterCheckerTest, ACandidatesRequestIsAVoteForItself) {
  checker_.OnSent({k1, k2, Term(5), VoteRequest{}}, DiskOf({}, 5, k1));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  checker_.OnSent({k1, k2, Term(6), VoteRequest{}}, DiskOf({}, 5, k1));
  ExpectProblem("left before durable: the vote of 1 for 1");
}

TEST_F(ClusterCheckerTest, PreVotesAndRefusalsAreNoVotes) {
  checker_.OnSent(
      {k1, k2, Term(6),
       VoteRequest{.pre_vote = true, .transfer = false, .last_index = {}, .last_term = {}}},
      DiskOf({}, 5, k1));
  checker_.OnSent({k2, k1, Term(6), VoteResponse{.pre_vote = true, .granted = true}},
                  DiskOf({}, 5, k3));
  checker_.OnSent({k2, k1, Term(6), VoteResponse{.pre_vote = false, .granted = false}},
                  DiskOf({}, 5, k3));
  EXPECT_THAT(findings_.problems(), IsEmpty());
}

TEST_F(ClusterCheckerTest, AnAcknowledgementLeavesAfterItsEntriesAreDurable) {
  Accepted(k2, 2, 5, DiskOf({1, 1}, 5, kNoNode));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Accepted(k2, 3, 5, DiskOf({1, 1}, 5, kNoNode));
  ExpectProblem("left before durable: 2 acknowledges 3");
}

TEST_F(ClusterCheckerTest, AnAcknowledgementLeavesAfterItsTermIsDurable) {
  Accepted(k2, 1, 6, DiskOf({1, 1}, 5, kNoNode));
  ExpectProblem("left before durable: 2 acknowledges in term 6");
}

TEST_F(ClusterCheckerTest, AnAcknowledgementOfAnEarlierTermMayBeOvertaken) {
  Accepted(k2, 7, 5, DiskOf({1, 1}, 6, kNoNode));
  EXPECT_THAT(findings_.problems(), IsEmpty());
}

TEST_F(ClusterCheckerTest, OneLeaderPerTerm) {
  checker_.OnSent({k1, k2, Term(5), Heartbeat{}}, DiskOf({}, 5, k1));
  checker_.OnSent({k3, k2, Term(6), Heartbeat{}}, DiskOf({}, 6, k3));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  checker_.OnSent({k3, k2, Term(5), AppendRequest{}}, DiskOf({}, 6, k3));
  ExpectProblem("election safety: 1 and 3 lead term 5");
}

TEST_F(ClusterCheckerTest, ALeaderHasTheVotesOfAQuorum) {
  Leads(5, {});
  EXPECT_THAT(findings_.problems(), IsEmpty());
  checker_.OnHardState(k1, {Term(6), k1});
  const Disk disk = DiskOf({}, 6, k1);
  checker_.OnLeader(k1, Term(6), ThreeVoters(), disk, disk);
  ExpectProblem("election safety: 1 leads term 6 without the votes of a quorum");
}

TEST_F(ClusterCheckerTest, ALeadersOwnVoteIsDurable) {
  checker_.OnHardState(k1, {Term(5), k1});
  Vote(k2, k1, 5, DiskOf({}, 5, k1));
  checker_.OnLeader(k1, Term(5), ThreeVoters(), DiskOf({}, 5, k1), DiskOf({}, 4, kNoNode));
  ExpectProblem("election safety: 1 leads term 5 without a durable vote for itself");
}

TEST_F(ClusterCheckerTest, ALeaderHasWhatWasCommittedBefore) {
  disks_ = {{k2, DiskOf({1, 1}, 1, kNoNode)}, {k3, DiskOf({1, 1}, 1, kNoNode)}};
  Commits(k2, 2, {1, 1});
  Leads(5, {1, 1, 5});
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Leads(6, {1, 6});
  ExpectProblem("leader completeness: 1 leads term 6 without committed entry 2 of term 1");
}

// The leader of term 3 commits an entry of term 1 with its own. Meanwhile the votes of term 2
// arrive.
TEST_F(ClusterCheckerTest, ALateLeaderNeedNotHaveOldEntriesOfALaterCommit) {
  disks_ = {{k2, DiskOf({1, 1, 3}, 3, kNoNode)}, {k3, DiskOf({1, 1, 3}, 3, kNoNode)}};
  Commits(k2, 1, {1});
  Commits(k2, 3, {1, 1, 3});
  Leads(2, {1});
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Leads(4, {1});
  ExpectProblem("leader completeness: 1 leads term 4 without committed entry 3 of term 3");
}

TEST_F(ClusterCheckerTest, ALeaderHasWhatWasCommittedInAnEarlierTermOnly) {
  disks_ = {{k2, DiskOf({1, 1, 3}, 3, kNoNode)}, {k3, DiskOf({1, 1, 3}, 3, kNoNode)}};
  Commits(k2, 2, {1, 1});
  Commits(k2, 3, {1, 1, 3});
  Leads(2, {1});
  ExpectProblem("leader completeness: 1 leads term 2 without committed entry 2 of term 1");
}

TEST_F(ClusterCheckerTest, ACommitIsOnTheDisksOfAQuorum) {
  disks_ = {{k1, DiskOf({1, 1}, 1, kNoNode)}, {k2, DiskOf({1}, 1, kNoNode)}};
  Commits(k1, 1, {1, 1});
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Commits(k1, 2, {1, 1});
  ExpectProblem("commit without quorum: 1 commits 2 of term 1");
}

TEST_F(ClusterCheckerTest, AJointCommitIsOnTheDisksOfBothQuorums) {
  const Configuration joint{.voters = {k1}, .outgoing = {k1, k2, k3}, .learners = {}};
  disks_ = {{k1, DiskOf({1}, 1, kNoNode)}};
  checker_.OnCommit(k1, LogIndex(1), joint, disks_.at(k1),
                    [&](auto... of) { return IsHeld(of...); });
  ExpectProblem("commit without quorum: 1 commits 1 of term 1");
}

TEST_F(ClusterCheckerTest, AllCommitTheSame) {
  disks_ = {{k1, DiskOf({1, 2}, 2, kNoNode)}, {k2, DiskOf({1, 2}, 2, kNoNode)}};
  Commits(k1, 2, {1, 2});
  Commits(k2, 2, {1, 2});
  EXPECT_THAT(findings_.problems(), IsEmpty());
  Commits(k3, 2, {1, 1});
  ExpectProblem("state machine safety: 3 believes another entry 2 to be committed");
}

TEST_F(ClusterCheckerTest, NobodyCommitsWhatItDoesNotHave) {
  Commits(k1, 3, {1, 2});
  ExpectProblem("state machine safety: 1 believes 3 to be committed, its log ends at 2");
}

TEST_F(ClusterCheckerTest, OnlyWhatIsCommittedAndDurableIsApplied) {
  disks_ = {{k1, DiskOf({1, 1}, 1, kNoNode)}, {k2, DiskOf({1, 1}, 1, kNoNode)}};
  Commits(k1, 2, {1, 1});
  checker_.OnApply(k1, LogIndex(1), "", disks_.at(k1));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  checker_.OnApply(k3, LogIndex(1), "", DiskOf({}, 1, kNoNode));
  ExpectProblem("left before durable: 3 applies entry 1");
}

TEST_F(ClusterCheckerTest, AnEntryThatIsNotCommittedIsNotApplied) {
  checker_.OnApply(k1, LogIndex(1), "", DiskOf({1}, 1, kNoNode));
  ExpectProblem("state machine safety: 1 applies 1, which is not committed");
}

TEST_F(ClusterCheckerTest, TheEntryThatIsCommittedIsTheOneThatIsApplied) {
  disks_ = {{k1, DiskOf({1}, 1, kNoNode)}, {k2, DiskOf({1}, 1, kNoNode)}};
  Commits(k1, 1, {1});
  checker_.OnApply(k1, LogIndex(1), "another", disks_.at(k1));
  ExpectProblem("state machine safety: 1 applies another entry 1");
}

// ---- Requests. ----

class RequestCheckerTest : public ClusterCheckerTest {
 protected:
  // The command is committed at the end of the log, in term 1.
  void CommitCommand(const std::string& payload) {
    log_.push_back({Term(1), LogIndex(log_.size() + 1), EntryKind::kCommand, Bytes::Copy(payload)});
    Disk disk;
    disk.hard_state = {Term(1), kNoNode};
    disk.entries = log_;
    checker_.OnCommit(k1, disk.last_index(), ThreeVoters(), disk,
                      [](NodeId, LogIndex, Term) { return true; });
    requests_.OnCommit();
  }

  std::vector<Entry> log_;
  RequestChecker requests_{&checker_, &findings_};
};

TEST_F(RequestCheckerTest, ARefusedCommandIsNeverCommitted) {
  requests_.OnProposed(Term(1), "x");
  requests_.OnProposed(Term(1), "y");
  requests_.OnProposalFailed("x");
  CommitCommand("y");
  EXPECT_THAT(findings_.problems(), IsEmpty());
  CommitCommand("x");
  ExpectProblem("x was refused, and committed");
}

TEST_F(RequestCheckerTest, ACommittedCommandIsNeverRefused) {
  requests_.OnProposed(Term(1), "x");
  CommitCommand("x");
  requests_.OnProposalFailed("x");
  ExpectProblem("x was committed, and refused");
}

TEST_F(RequestCheckerTest, ACommandIsCommittedInTheTermInWhichItWasProposed) {
  requests_.OnProposed(Term(2), "x");
  CommitCommand("x");
  ExpectProblem("x was committed in term 1, where it was not proposed");
}

TEST_F(RequestCheckerTest, AReadSeesWhatWasCommittedBeforeItCame) {
  requests_.OnProposed(Term(1), "x");
  requests_.OnReadRequested(k2, ReadId(1));
  CommitCommand("x");
  requests_.OnReadRequested(k2, ReadId(2));
  requests_.OnReadReady(k2, ReadId(1), LogIndex(0));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  requests_.OnReadReady(k2, ReadId(2), LogIndex(0));
  ExpectProblem("a read of 2 at 0 misses 1");
}

TEST_F(RequestCheckerTest, AReadIsAnsweredOnce) {
  requests_.OnReadRequested(k2, ReadId(1));
  requests_.OnReadReady(k2, ReadId(1), LogIndex(0));
  EXPECT_THAT(findings_.problems(), IsEmpty());
  requests_.OnReadFailed(k2, ReadId(1));
  ExpectProblem("a read of 2 was answered twice");
}

TEST_F(RequestCheckerTest, ACrashEndsTheReadsOfAMember) {
  requests_.OnReadRequested(k2, ReadId(1));
  requests_.OnCrash(k2);
  requests_.OnReadReady(k2, ReadId(1), LogIndex(0));
  ExpectProblem("a read of 2 was answered twice");
}

}  // namespace
}  // namespace conclave::raft
