// All that the core knows, as one plain struct, and the roles with what belongs to each alone:
// leader-only state dies with leadership. The rules are free functions on it, in the file named
// after their topic. Raft lane, owned by Core.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "raft/base/random.h"
#include "raft/core/configurations.h"
#include "raft/core/core.h"
#include "raft/core/memory_log.h"
#include "raft/core/progress.h"

namespace conclave::raft {

// A read of this member's clients that waits for the leader's answer.
struct ForwardedRead {
  ReadId read;
  Instant asked;
};

struct Follower {
  NodeId leader;
  Instant heard{};               // from that leader; only while one is known
  bool connection_lost = false;  // to that leader, since heard: silence is then evidence
  uint64_t round_echoed =
      0;  // the leader's latest quorum round that was echoed without waiting for the disk
  std::deque<ForwardedRead> reads;  // oldest first
};

struct Candidate {
  bool pre_vote = true;   // still asking whether an election could be won (thesis 9.6)
  bool transfer = false;  // told to campaign by the leader itself (thesis 3.10)
  WriteId own_vote;       // the write that makes its vote for itself durable; unless pre-vote
  std::map<NodeId, bool> votes;  // answers so far, its own among them once it counts
};

struct WaitingRead {
  ReadId read;
  NodeId from;  // the member that asked
};

// The leader's quorum rounds (thesis 6.4). One is under way at a time; reads that come meanwhile
// ride the next.
struct ReadRounds {
  uint64_t round = 0;  // number of the latest
  bool under_way = false;
  LogIndex index;                    // the commit index when it began
  std::vector<WaitingRead> reads;    // of the round under way
  std::vector<WaitingRead> waiting;  // for the next
};

struct Peer {
  Progress progress;
  Instant heard{};            // anything of this term
  uint64_t round_sent = 0;    // the latest quorum round that was sent to it,
  uint64_t round_echoed = 0;  // and that it answered
  bool lost_entries = false;  // it said so: less may be known to match now than was counted once
  uint32_t priority = 0;      // as it said last
};

struct Leader {
  std::map<NodeId, Peer> peers;  // every member but this one
  ReadRounds rounds;
  LogIndex term_start;           // the no-op that began this term
  size_t uncommitted_bytes = 0;  // of the entries after commit
  NodeId transferee;
  Instant transfer_deadline = kNever;
  Instant prefer_from{};  // not before this to a member only for its priority
  bool must_go = false;   // its disk stalls: leads no longer once the transfer is over
  Instant heartbeat_at{};
  bool heartbeat_due = false;  // everybody gets one in this take

  // Null if `id` is no member.
  Peer* Find(NodeId id);
  // Requires another member.
  const Peer& At(NodeId id) const;
};

using Role = std::variant<Follower, Candidate, Leader>;

// A write handed out and not yet durable.
struct WriteUnderWay {
  WriteId write;
  LogIndex first;  // of its entries; first > last if it has none
  LogIndex last;
};

class CoreState {
 public:
  CoreState(const CoreConfig& core_config, RecoveredState recovered, uint64_t seed, Instant start);

  const CoreConfig config;
  Random random;
  Instant now;

  // Hard state (thesis 3.8); dirty until handed out.
  Term term;
  NodeId vote;
  bool hard_state_dirty = false;

  MemoryLog log;
  Configurations configurations;
  LogIndex commit;
  LogIndex handed_to_apply;
  LogIndex applied;
  // Every member is known to hold the log durably up to here, as far as this one has been told.
  LogIndex everywhere;

  // durability.h
  LogIndex durable;
  LogIndex unwritten;  // first entry not yet handed out in an AppendTask
  WriteId last_write;
  std::deque<WriteUnderWay> writes;
  Instant disk_moved{};  // a write completed, or the first was handed out

  // snapshots.h
  std::optional<LogStart> installing;  // until Applied; nothing is written or applied meanwhile
  std::optional<LogStart> log_reset;   // to be handed out with the next AppendTask

  // lost_entries.h
  LogIndex lost_through;       // 0 if nothing is missing
  const Term lost_in_term;     // of this member when it found out
  bool log_completed = false;  // to be handed out with the next AppendTask

  Role role;
  Instant election_at = kNever;

  // What the next TakeOutput hands out.
  std::vector<Message> messages;
  std::vector<Message> after_durable;
  std::vector<ReadReady> reads_ready;
  std::vector<ReadFailed> reads_failed;
  std::vector<ProposalFailed> proposals_failed;
  std::optional<LogStart> compacted;
  std::optional<SnapshotWanted> snapshot_wanted;
  std::optional<LogStart> install_snapshot;

  std::optional<RoleChange> told;  // the last role change handed out
  Instant asked_to_wake = kNever;  // the last deadline handed out

  const Configuration& configuration() const { return configurations.current(); }
  bool IsVoter() const { return configuration().IsVoter(config.id); }
  // Also while its own removal is not yet committed: it may hold what the others need to elect
  // anybody (thesis 4.2.2).
  bool MayCampaign() const;
  Leader* leader() { return std::get_if<Leader>(&role); }
  const Leader* leader() const { return std::get_if<Leader>(&role); }
  Candidate* candidate() { return std::get_if<Candidate>(&role); }
  const Candidate* candidate() const { return std::get_if<Candidate>(&role); }
  Follower* follower() { return std::get_if<Follower>(&role); }
  const Follower* follower() const { return std::get_if<Follower>(&role); }
  // Who leads the current term, as far as this member knows.
  NodeId LeaderId() const;
  RoleName Name() const;

  // Sends at once: for what promises nothing that a crash could take back. The term on it may not
  // be durable yet; that is safe, for whoever counts on this member's term also needs a vote or an
  // acknowledged entry of it, and those wait.
  void Send(NodeId to, MessageBody body);
  // Sends once everything stepped so far is on stable storage (rule R1 of core.h).
  void SendAfterDurable(NodeId to, MessageBody body);
};

}  // namespace conclave::raft
