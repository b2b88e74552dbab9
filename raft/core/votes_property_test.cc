// Every request for a vote or a pre-vote, to a member in every condition, against the rules told in
// one place: who answers, what, in which term, and what must be on disk first.
#include <gtest/gtest.h>

#include <optional>

#include "fmt/format.h"
#include "raft/core/core.h"
#include "raft/core/small_logs.h"

namespace conclave::raft {
namespace {

constexpr NodeId kSelf{1}, kCandidate{2}, kOther{3};
constexpr Term kTerm(5);

// What a member knows when it is asked.
enum class Condition : uint8_t {
  kFree,            // knows no leader and has not voted
  kVotedForAsker,   // in this term
  kVotedForOther,   // in this term
  kHearsLeader,     // heard it a moment ago
  kLostSilently,    // heard it more than an election timeout ago
  kLostConnection,  // heard it a moment ago, and its connection has broken since
  kLeads,
  kLostEntries,  // free, but its disk has lost something
};
constexpr Condition kConditions[] = {
    Condition::kFree,        Condition::kVotedForAsker, Condition::kVotedForOther,
    Condition::kHearsLeader, Condition::kLostSilently,  Condition::kLostConnection,
    Condition::kLeads,       Condition::kLostEntries,
};

enum class Log : uint8_t { kBehind, kEqual, kAhead };

struct Question {
  Condition condition = Condition::kFree;
  bool pre_vote = false;
  bool transfer = false;
  int term = 0;  // the request's, less the member's
  Log log = Log::kEqual;
};

struct Reply {
  bool granted = false;
  Term term;
  bool after_disk = false;
  friend bool operator==(const Reply&, const Reply&) = default;
};

// ---- The rules. ----

// True if the member would let somebody be elected in this very term.
bool VoteIsFree(Condition condition) {
  return condition == Condition::kFree || condition == Condition::kVotedForAsker;
}

bool HearsLeader(Condition condition) {
  return condition == Condition::kHearsLeader || condition == Condition::kLeads;
}

std::optional<Reply> Expected(const Question& q) {
  // An earlier term is told of the present one.
  if (q.term < 0) return Reply{.granted = false, .term = kTerm};
  // Who hears a leader is not talked out of it, unless the leader wants it (4.2.3, 3.10).
  if (q.term > 0 && HearsLeader(q.condition) && !q.transfer) return std::nullopt;
  const bool good_log = q.log != Log::kBehind;
  const bool whole = q.condition != Condition::kLostEntries;
  const bool free = q.term > 0 || VoteIsFree(q.condition);
  const bool granted = good_log && whole && free;
  const Term asked(kTerm.value() + static_cast<uint64_t>(q.term));
  // A pre-vote changes nothing, so a refusal carries the term of now; and it needs no disk.
  if (q.pre_vote) return Reply{.granted = granted, .term = granted ? asked : kTerm};
  // A new term, or a vote that was not on disk yet, is written first.
  const bool news = q.term > 0 || (granted && q.condition != Condition::kVotedForAsker);
  return Reply{.granted = granted, .term = asked, .after_disk = news};
}

// ---- The member. ----

RecoveredState Recovered(Condition condition) {
  RecoveredState recovered;
  recovered.configuration.voters = {kSelf, kCandidate, kOther};
  recovered.hard_state.term = condition == Condition::kLeads ? kTerm.Prev() : kTerm;
  if (condition == Condition::kVotedForAsker) recovered.hard_state.vote = kCandidate;
  if (condition == Condition::kVotedForOther) recovered.hard_state.vote = kOther;
  recovered.entries = EntriesOf({1, 3}, 0, 2);
  if (condition == Condition::kLostEntries) recovered.lost_through = LogIndex(3);
  return recovered;
}

// Everything that it does comes to be on disk at once.
Output TakeAndWrite(Core& core, Instant now) {
  Output output = core.TakeOutput();
  if (output.append) core.Step(now, Appended{output.append->write});
  return output;
}

void Elect(Core& core, Instant now) {
  core.Step(now, Woke{});
  TakeAndWrite(core, now);
  for (const bool pre_vote : {true, false}) {
    const VoteResponse grant{.pre_vote = pre_vote, .granted = true};
    core.Step(now, Received{{kOther, kSelf, kTerm, grant}});
    TakeAndWrite(core, now);
    TakeAndWrite(core, now);
  }
  ASSERT_TRUE(core.leading());
}

// Brings it into the condition; the moment at which it is asked.
Instant Prepare(Core& core, Condition condition) {
  Instant now{Seconds(10)};
  if (condition == Condition::kLeads) Elect(core, now);
  const bool had_leader = condition == Condition::kHearsLeader ||
                          condition == Condition::kLostSilently ||
                          condition == Condition::kLostConnection;
  if (had_leader) core.Step(now, Received{{kOther, kSelf, kTerm, Heartbeat{}}});
  if (condition == Condition::kLostConnection) core.Step(now, PeerUnreachable{kOther});
  if (condition == Condition::kLostSilently) now += Seconds(1);
  TakeAndWrite(core, now);
  return now;
}

VoteRequest RequestOf(const Question& q) {
  VoteRequest request{.pre_vote = q.pre_vote,
                      .transfer = q.transfer,
                      .last_index = LogIndex(2),
                      .last_term = Term(3)};
  if (q.condition == Condition::kLeads) {  // its log ends with its no-op
    request.last_index = LogIndex(3);
    request.last_term = kTerm;
  }
  if (q.log == Log::kBehind) request.last_index = request.last_index.Prev();
  if (q.log == Log::kAhead) request.last_index = request.last_index.Next();
  return request;
}

std::optional<Reply> ReplyIn(const std::vector<Message>& messages, bool after_disk) {
  for (const Message& message : messages) {
    const auto* response = std::get_if<VoteResponse>(&message.body);
    if (response != nullptr && message.to == kCandidate) {
      return Reply{.granted = response->granted, .term = message.term, .after_disk = after_disk};
    }
  }
  return std::nullopt;
}

std::optional<Reply> Ask(Core& core, const Question& q, Instant now) {
  const Term asked(static_cast<uint64_t>(static_cast<int64_t>(kTerm.value()) + q.term));
  core.Step(now, Received{{kCandidate, kSelf, asked, RequestOf(q)}});
  const Output output = core.TakeOutput();
  if (const auto reply = ReplyIn(output.messages, false)) return reply;
  return output.append ? ReplyIn(output.append->after_durable, true) : std::nullopt;
}

void Check(const Question& q) {
  SCOPED_TRACE(fmt::format("condition {}, pre-vote {}, transfer {}, term {:+}, log {}",
                           static_cast<int>(q.condition), q.pre_vote, q.transfer, q.term,
                           static_cast<int>(q.log)));
  Core core({.id = kSelf}, Recovered(q.condition), 1, Instant{});
  const Instant now = Prepare(core, q.condition);
  ASSERT_EQ(core.term(), kTerm);
  const CoreStatus before = core.Status();
  const std::optional<Reply> reply = Ask(core, q, now);
  const std::optional<Reply> expected = Expected(q);
  ASSERT_EQ(reply.has_value(), expected.has_value());
  if (reply.has_value()) {
    EXPECT_EQ(reply->granted, expected->granted);
    EXPECT_EQ(reply->term, expected->term);
    EXPECT_EQ(reply->after_disk, expected->after_disk);
  }
  const CoreStatus after = core.Status();
  EXPECT_EQ(core.CheckInvariants(), std::nullopt);
  if (q.pre_vote || !reply.has_value()) {
    EXPECT_EQ(after.term, before.term) << "nothing changes";
    EXPECT_EQ(after.vote, before.vote);
    EXPECT_EQ(after.role, before.role);
    return;
  }
  EXPECT_EQ(after.term, reply->term);
  if (reply->granted) {
    EXPECT_EQ(after.vote, kCandidate);
    EXPECT_EQ(after.role, RoleName::kFollower);
  }
}

TEST(VotesPropertyTest, EveryRequestIsAnsweredByTheRules) {
  for (const Condition condition : kConditions) {
    for (const bool pre_vote : {false, true}) {
      for (const bool transfer : {false, true}) {
        if (pre_vote && transfer) continue;  // a transfer's candidate asks for real votes
        for (const int term : {-1, 0, 1, 7}) {
          for (const Log log : {Log::kBehind, Log::kEqual, Log::kAhead}) {
            Check({condition, pre_vote, transfer, term, log});
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace conclave::raft
