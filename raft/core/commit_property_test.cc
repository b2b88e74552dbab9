// What a leader commits (thesis 3.5, 3.6.2), for every small log that it can have been elected with
// and everything that its followers can have acknowledged.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "raft/core/core.h"
#include "raft/core/small_logs.h"

namespace conclave::raft {
namespace {

constexpr NodeId kSelf{1};
constexpr Term kTerm(4);

// A leader of term 4 whose log is `log` and the no-op of its term.
class Leader {
 public:
  Leader(const Terms& log, size_t voters)
      : core_({.id = kSelf}, Recovered(log, voters), 1, Instant{}), last_(log.size() + 1) {
    const Instant campaign{Seconds(10)};
    core_.Step(campaign, Woke{});
    core_.TakeOutput();
    for (uint64_t id = 2; id <= voters; ++id) Grant(campaign, NodeId(id), /*pre_vote=*/true);
    own_vote_ = core_.TakeOutput().append->write;
    core_.Step(campaign, Appended{own_vote_});
    for (uint64_t id = 2; id <= voters; ++id) Grant(campaign, NodeId(id), /*pre_vote=*/false);
    no_op_ = core_.TakeOutput().append->write;
  }

  Core& core() { return core_; }
  LogIndex last() const { return LogIndex(last_); }
  void FinishNoOp() { core_.Step(Instant(Seconds(10)), Appended{no_op_}); }
  void Acknowledge(NodeId follower, uint64_t index) {
    AppendResponse response;
    response.accepted = true;
    response.index = LogIndex(index);
    core_.Step(Instant(Seconds(10)), Received{{follower, kSelf, kTerm, response}});
  }

 private:
  static RecoveredState Recovered(const Terms& log, size_t voters) {
    RecoveredState recovered;
    for (uint64_t id = 1; id <= voters; ++id) {
      recovered.configuration.voters.push_back(NodeId(id));
    }
    recovered.hard_state.term = kTerm.Prev();
    recovered.entries = EntriesOf(log, 0, log.size());
    return recovered;
  }

  void Grant(Instant now, NodeId voter, bool pre_vote) {
    core_.Step(
        now, Received{{voter, kSelf, kTerm, VoteResponse{.pre_vote = pre_vote, .granted = true}}});
  }

  Core core_;
  uint64_t last_;
  WriteId own_vote_;
  WriteId no_op_;
};

// The greatest index of the leader's own term that more than half of the disks hold, itself among
// them; 0 if there is none.
LogIndex Expected(uint64_t term_start, std::vector<uint64_t> held) {
  std::sort(held.begin(), held.end(), std::greater<>());
  const uint64_t majority_holds = held[held.size() / 2];
  return LogIndex(majority_holds >= term_start ? majority_holds : 0);
}

void CheckAll(size_t voters, const Terms& log) {
  const uint64_t last = log.size() + 1;
  std::vector<uint64_t> matches(voters - 1, 0);
  for (;;) {
    for (const bool durable : {false, true}) {
      Leader leader(log, voters);
      ASSERT_TRUE(leader.core().leading());
      ASSERT_EQ(leader.core().last_index(), leader.last());
      if (durable) leader.FinishNoOp();
      for (size_t i = 0; i < matches.size(); ++i) leader.Acknowledge(NodeId(i + 2), matches[i]);
      std::vector<uint64_t> held = matches;
      held.push_back(durable ? last : last - 1);
      ASSERT_EQ(leader.core().commit(), Expected(last, held));
      ASSERT_EQ(leader.core().CheckInvariants(), std::nullopt);
    }
    size_t digit = 0;
    while (digit < matches.size() && ++matches[digit] > last) matches[digit++] = 0;
    if (digit == matches.size()) return;
  }
}

TEST(CommitPropertyTest, ThreeVotersCommitWhatTwoOfThemHoldOfTheLeadersOwnTerm) {
  for (const Terms& log : AllLogs(4, 3)) {
    CheckAll(3, log);
    if (HasFatalFailure()) return;
  }
}

TEST(CommitPropertyTest, FiveVotersCommitWhatThreeOfThemHoldOfTheLeadersOwnTerm) {
  for (const Terms& log : AllLogs(2, 3)) {
    CheckAll(5, log);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace conclave::raft
