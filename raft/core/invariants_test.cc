// That each invariant can be seen to be broken: a state in which all is well, and one thing wrong
// with it.
#include "raft/core/invariants.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "raft/core/small_logs.h"

namespace conclave::raft {
namespace {

constexpr NodeId k1{1}, k2{2}, k3{3}, kStranger{9};

struct Breach {
  std::string words;
  std::function<void(CoreState&)> make;
};

RecoveredState Recovered() {
  RecoveredState recovered;
  recovered.configuration.voters = {k1, k2, k3};
  recovered.hard_state = {Term(3), k1};
  recovered.entries = EntriesOf({1, 2, 3}, 0, 3);
  return recovered;
}

// A follower with three entries: all of them durable, two committed and handed to apply, one
// applied.
std::unique_ptr<CoreState> FollowerState() {
  auto state = std::make_unique<CoreState>(CoreConfig{.id = k1}, Recovered(), 1, Instant{});
  state->commit = LogIndex(2);
  state->handed_to_apply = LogIndex(2);
  state->applied = LogIndex(1);
  return state;
}

// A leader whose no-op is 3/3 and on its disk. Its window is two requests and 50 bytes.
std::unique_ptr<CoreState> LeaderState() {
  const CoreConfig config{.id = k1, .inflight_appends_max = 2, .inflight_bytes_max = 50};
  auto state = std::make_unique<CoreState>(config, Recovered(), 1, Instant{});
  Leader leader;
  for (NodeId peer : {k2, k3}) leader.peers.emplace(peer, Peer{.progress = Progress(LogIndex(4))});
  leader.term_start = LogIndex(3);
  leader.uncommitted_bytes = state->log.BytesBetween(LogIndex(0), LogIndex(3));
  state->role = std::move(leader);
  return state;
}

Entry ConfigurationEntryAt(uint64_t index) {
  const Configuration configuration{.voters = {k1}, .outgoing = {}, .learners = {}};
  return {Term(3), LogIndex(index), EntryKind::kConfiguration,
          Bytes::Copy(EncodeConfigurationEntry(configuration, ""))};
}

Progress& ProgressOf2(CoreState& state) { return state.leader()->peers.at(k2).progress; }

// Replicates to 2 from the beginning, a request for each entry.
void SendEach(CoreState& state, uint64_t count, size_t bytes) {
  Progress progress(LogIndex(1));
  progress.Sent(LogIndex(0), 0, LogIndex(0));
  progress.Accepted(LogIndex(0));
  for (uint64_t last = 1; last <= count; ++last) progress.Sent(LogIndex(last), bytes, LogIndex(0));
  ProgressOf2(state) = progress;
}

const Breach kIndexes[] = {
    {"forgot what is not applied", [](CoreState& s) { s.log.CompactTo(LogIndex(2)); }},
    {"applied what was never handed to apply", [](CoreState& s) { s.applied = LogIndex(3); }},
    {"handed to apply what is not committed",
     [](CoreState& s) { s.handed_to_apply = LogIndex(3); }},
    {"handed to apply what is not durable", [](CoreState& s) { s.durable = LogIndex(1); }},
    {"committed beyond the end of the log", [](CoreState& s) { s.commit = LogIndex(4); }},
    {"durable beyond the end of the log", [](CoreState& s) { s.durable = LogIndex(4); }},
    {"durable although never written", [](CoreState& s) { s.unwritten = LogIndex(3); }},
    {"written beyond the end of the log", [](CoreState& s) { s.unwritten = LogIndex(5); }},
};

const Breach kLogAndVotes[] = {
    {"an entry of a later term", [](CoreState& s) { s.term = Term(2); }},
    {"a configuration not in force", [](CoreState& s) { s.log.Append(ConfigurationEntryAt(4)); }},
    {"a configuration without entry",
     [](CoreState& s) { s.configurations.OnAppend(ConfigurationEntryAt(4)); }},
    {"campaigns without its own vote",
     [](CoreState& s) {
       s.vote = k2;
       s.role.emplace<Candidate>().pre_vote = false;
     }},
    {"follows itself", [](CoreState& s) { s.follower()->leader = k1; }},
    {"campaigns without a vote",
     [](CoreState& s) {
       s.configurations =
           Configurations(LogIndex(0), {.voters = {k2}, .outgoing = {}, .learners = {}});
       s.role.emplace<Candidate>();
     }},
};

const Breach kWrites[] = {
    {"writes out of order",
     [](CoreState& s) {
       s.last_write = WriteId(2);
       s.writes = {{WriteId(2), LogIndex(4), LogIndex(3)}, {WriteId(1), LogIndex(4), LogIndex(3)}};
     }},
    {"a write that was never handed out",
     [](CoreState& s) {
       s.writes = {{WriteId(1), LogIndex(4), LogIndex(3)}};
     }},
    {"durable although the write is under way",
     [](CoreState& s) {
       s.last_write = WriteId(1);
       s.writes = {{WriteId(1), LogIndex(3), LogIndex(3)}};
     }},
};

const Breach kLeadership[] = {
    {"leads without its own vote", [](CoreState& s) { s.vote = k2; }},
    {"sends to itself",
     [](CoreState& s) { s.leader()->peers.emplace(k1, Peer{.progress = Progress(LogIndex(4))}); }},
    {"sends to a member that is none",
     [](CoreState& s) {
       s.leader()->peers.emplace(kStranger, Peer{.progress = Progress(LogIndex(4))});
     }},
    {"the term did not begin with an entry of its own",
     [](CoreState& s) { s.leader()->term_start = LogIndex(2); }},
    {"hands leadership to a member that does not vote",
     [](CoreState& s) { s.leader()->transferee = kStranger; }},
    {"hands leadership to a member that is behind",
     [](CoreState& s) {
       s.leader()->transferee = k2;
       s.Send(k2, TimeoutNow{});
     }},
};

const Breach kProgress[] = {
    {"a peer matches beyond the log", [](CoreState& s) { ProgressOf2(s).Accepted(LogIndex(4)); }},
    {"next is beyond the log", [](CoreState& s) { ProgressOf2(s) = Progress(LogIndex(5)); }},
    {"too many in flight", [](CoreState& s) { SendEach(s, 3, 10); }},
    {"too many bytes in flight", [](CoreState& s) { SendEach(s, 2, 60); }},
};

const Breach kRoundsAndCommits[] = {
    {"a round without reads", [](CoreState& s) { s.leader()->rounds.under_way = true; }},
    {"a read index before the first commit of the term",
     [](CoreState& s) {
       ReadRounds& rounds = s.leader()->rounds;
       rounds.under_way = true;
       rounds.reads = {{ReadId(1), k1}};
       rounds.index = LogIndex(2);
     }},
    {"an echo of a round that was not sent",
     [](CoreState& s) { s.leader()->peers.at(k2).round_echoed = 1; }},
    {"sent a round that never began",
     [](CoreState& s) { s.leader()->peers.at(k2).round_sent = 1; }},
    {"committed without a quorum", [](CoreState& s) { s.commit = LogIndex(3); }},
    {"a quorum holds what is not committed",
     [](CoreState& s) { ProgressOf2(s).Accepted(LogIndex(3)); }},
    {"uncommitted bytes miscounted", [](CoreState& s) { ++s.leader()->uncommitted_bytes; }},
};

template <size_t kCount>
void ExpectFound(const Breach (&breaches)[kCount],
                 const std::function<std::unique_ptr<CoreState>()>& make) {
  for (const Breach& breach : breaches) {
    const std::unique_ptr<CoreState> state = make();
    ASSERT_EQ(FindBrokenInvariant(*state), std::nullopt);
    breach.make(*state);
    EXPECT_EQ(FindBrokenInvariant(*state), breach.words);
  }
}

TEST(InvariantsTest, IndexesAreInOrder) { ExpectFound(kIndexes, FollowerState); }

TEST(InvariantsTest, TheLogAndTheVoteFitTheTerm) { ExpectFound(kLogAndVotes, FollowerState); }

TEST(InvariantsTest, WritesUnderWayAreInOrderAndNotDurable) { ExpectFound(kWrites, FollowerState); }

TEST(InvariantsTest, ALeaderHasWonItsTerm) { ExpectFound(kLeadership, LeaderState); }

TEST(InvariantsTest, PeersStayWithinTheLogAndTheWindow) { ExpectFound(kProgress, LeaderState); }

TEST(InvariantsTest, RoundsAndCommitsRestOnQuorums) { ExpectFound(kRoundsAndCommits, LeaderState); }

TEST(InvariantsTest, AVoteNeedsATerm) {
  RecoveredState recovered;
  recovered.configuration.voters = {k1, k2, k3};
  CoreState state(CoreConfig{.id = k1}, recovered, 1, Instant{});
  ASSERT_EQ(FindBrokenInvariant(state), std::nullopt);
  state.vote = k2;
  EXPECT_EQ(FindBrokenInvariant(state), "a vote before the first term");
}

}  // namespace
}  // namespace conclave::raft
