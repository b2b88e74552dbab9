// The rules of appending (thesis 3.5), for every pair of small logs that a leader and a follower
// can have, every request of the leader, and everything that can be committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "raft/core/core.h"
#include "raft/core/memory_log.h"
#include "raft/core/small_logs.h"

namespace conclave::raft {
namespace {

constexpr NodeId kSelf{1}, kLeader{2};
constexpr Term kTerm(4);  // the leader's, after all terms of the logs
constexpr size_t kLengthMax = 4;

struct Case {
  Terms leader;
  Terms follower;
  uint64_t committed = 0;  // as far as the follower knows
  uint64_t prev = 0;
  uint64_t count = 0;
  uint64_t commit = 0;  // of the request
};

RecoveredState Recovered(const Case& c) {
  RecoveredState recovered;
  recovered.configuration.voters = {kSelf, kLeader, NodeId(3)};
  recovered.hard_state.term = Term(3);
  recovered.entries = EntriesOf(c.follower, 0, c.follower.size());
  recovered.applied = LogIndex(c.committed);
  return recovered;
}

AppendRequest RequestOf(const Case& c) {
  AppendRequest request;
  request.prev_index = LogIndex(c.prev);
  request.prev_term = Term(TermAt(c.leader, c.prev));
  request.commit = LogIndex(c.commit);
  request.entries = EntriesOf(c.leader, c.prev, c.count);
  return request;
}

// What the follower's log becomes, by the words of the thesis.
Terms Expected(const Case& c) {
  Terms log = c.follower;
  for (uint64_t index = c.prev + 1; index <= c.prev + c.count; ++index) {
    if (TermAt(log, index) == TermAt(c.leader, index)) continue;
    log.resize(index - 1);
    log.push_back(TermAt(c.leader, index));
  }
  return log;
}

Terms LogOf(const Core& core) {
  Terms log;
  for (LogIndex index(1); index <= core.last_index(); ++index) {
    log.push_back(core.LogStartAt(index)->term.value());
  }
  return log;
}

std::optional<AppendResponse> AnswerIn(const Output& output) {
  std::vector<Message> messages = output.messages;
  if (output.append) {
    const auto& held_back = output.append->after_durable;
    messages.insert(messages.end(), held_back.begin(), held_back.end());
  }
  for (const Message& message : messages) {
    if (const auto* response = std::get_if<AppendResponse>(&message.body)) return *response;
  }
  return std::nullopt;
}

void Check(const Case& c) {
  Core core({.id = kSelf}, Recovered(c), 1, Instant{});
  core.Step(Instant{}, Received{{kLeader, kSelf, kTerm, RequestOf(c)}});
  const std::optional<AppendResponse> answer = AnswerIn(core.TakeOutput());
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(core.CheckInvariants(), std::nullopt);
  const bool fits = c.prev == 0 || (c.prev <= c.follower.size() &&
                                    TermAt(c.follower, c.prev) == TermAt(c.leader, c.prev));
  ASSERT_EQ(answer->accepted, fits);
  if (!fits) {
    ASSERT_EQ(LogOf(core), c.follower) << "a refused request changes nothing";
    ASSERT_EQ(answer->index, LogIndex(c.prev));
    ASSERT_LE(answer->hint_index, answer->index);
    ASSERT_EQ(answer->hint_term, Term(TermAt(c.follower, answer->hint_index.value())));
    ASSERT_GE(answer->hint_index, LogIndex(std::min(Agreement(c.leader, c.follower), c.prev)))
        << "nothing that agrees is skipped";
    ASSERT_LE(answer->hint_term, Term(TermAt(c.leader, c.prev)));
    ASSERT_TRUE(answer->hint_index < answer->index ||
                answer->hint_term < Term(TermAt(c.leader, c.prev)))
        << "the leader must get somewhere";
    return;
  }
  ASSERT_EQ(LogOf(core), Expected(c));
  ASSERT_EQ(answer->index, LogIndex(c.prev + c.count));
  ASSERT_EQ(core.commit(), LogIndex(std::max(c.committed, std::min(c.commit, c.prev + c.count))));
}

// Calls `visit` with every pair of logs that can meet.
template <typename Visit>
void ForEveryPair(Visit visit) {
  const std::vector<Terms> logs = AllLogs(kLengthMax, 3);
  for (const Terms& leader : logs) {
    for (const Terms& follower : logs) {
      if (MayMeet(leader, follower)) visit(leader, follower);
    }
  }
}

TEST(AppendPropertyTest, EveryRequestOfEveryLeaderDoesWhatTheThesisSays) {
  uint64_t cases = 0;
  ForEveryPair([&](const Terms& leader, const Terms& follower) {
    const uint64_t agreement = Agreement(leader, follower);
    for (uint64_t committed = 0; committed <= agreement; ++committed) {
      for (uint64_t prev = 0; prev <= leader.size(); ++prev) {
        for (uint64_t count = 0; prev + count <= leader.size(); ++count) {
          for (uint64_t commit = committed; commit <= leader.size(); ++commit) {
            Check({leader, follower, committed, prev, count, commit});
            if (testing::Test::HasFatalFailure()) return;
            ++cases;
          }
        }
      }
    }
  });
  EXPECT_GT(cases, 10'000u);
}

// The exchange of refusals and hints, with the leader's side of it (replication.cc).
TEST(AppendPropertyTest, HintsFindThePlaceWhereTheLogsAgreeWithinOneExchangePerTerm) {
  ForEveryPair([&](const Terms& leader, const Terms& follower) {
    const MemoryLog theirs(LogIndex(0), Term(0), EntriesOf(leader, 0, leader.size()));
    const MemoryLog ours(LogIndex(0), Term(0), EntriesOf(follower, 0, follower.size()));
    LogIndex prev = theirs.last_index();
    int refusals = 0;
    while (ours.TermAt(prev) != theirs.TermAt(prev)) {
      const LogIndex hint = ours.LastAtMost(prev, *theirs.TermAt(prev));
      const LogIndex agree = theirs.LastAtMost(hint, *ours.TermAt(hint));
      ASSERT_LT(agree, prev);
      prev = agree;
      ++refusals;
    }
    ASSERT_EQ(prev, LogIndex(std::min<uint64_t>(Agreement(leader, follower), leader.size())));
    ASSERT_LE(refusals, 4) << "three terms, and the end of the log";
  });
}

}  // namespace
}  // namespace conclave::raft
