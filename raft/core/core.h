// The Raft core: a pure function of events (design section 3). It has no I/O, clock, thread, lock,
// random device, protobuf or exception: time, chance (a seed) and disk completions come in as
// events, decisions come out as one plain struct. Called by the raft stage on the raft lane, and by
// tests and the simulator directly.
//
// The whole contract:
//   R1  AppendTasks are performed in order. `after_durable` leaves only once its task is on stable
//       storage; then Appended(write) is stepped.
//   R2  `apply` entries are applied in order, and `install_snapshot` takes the place of the state
//       before them; then Applied(index) is stepped: for entries once they are applied, for a
//       snapshot once the state machine holds it durably.
//   R3  Everything else may be done at any time, in any order, dropped, delayed or repeated (but
//       for ProposeRequest, which must not be repeated: message.h).
//
// Use: Step any number of events, then TakeOutput once and carry it out. Steps may follow before it
// is carried out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/base/time.h"
#include "raft/base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/entry.h"
#include "raft/core/message.h"

namespace conclave::raft {

struct CoreConfig {
  NodeId id;
  Duration heartbeat_interval = Milliseconds(100);
  // A follower campaigns after a silence drawn from [election_timeout, 2 x election_timeout)
  // (thesis 3.4, 9.3).
  Duration election_timeout = Milliseconds(1000);
  size_t append_bytes_max = 1 << 20;        // entries of one AppendRequest; one entry always fits
  size_t append_entries_max = 4096;         // likewise, by count
  size_t inflight_appends_max = 64;         // AppendRequests to one peer not yet answered
  size_t inflight_bytes_max = 8 << 20;      // and their bytes
  size_t uncommitted_bytes_max = 64 << 20;  // proposals beyond it are rejected with kTooMany
  size_t apply_bytes_max = 4 << 20;  // entries handed to apply by one TakeOutput; one always fits
  // What Compacted leaves in the log for members that are behind: a member further behind than
  // either needs a snapshot. What every member holds is forgotten whatever these say.
  uint64_t tail_entries_max = 5000;
  size_t tail_bytes_max = 64 << 20;
  // A leader hands over to a voter of a higher one that is well and has caught up (transfer.h).
  uint32_t leader_priority = 0;
};

// The entry after which the log starts, and the configuration in force there.
struct LogStart {
  LogIndex index;
  Term term;
  Configuration configuration;
  friend bool operator==(const LogStart&, const LogStart&) = default;
};

// What a process finds on its disk when it starts.
struct RecoveredState {
  HardState hard_state;
  // The log starts after this entry; (0, 0) for a log from the beginning.
  LogIndex snapshot_index;
  Term snapshot_term;
  Configuration configuration;  // as of snapshot_index
  std::vector<Entry> entries;   // contiguous from snapshot_index + 1
  LogIndex applied;             // what the state machine holds; committed for certain
  // Entries after the last one here were lost to damage, up to this index; some of them may have
  // been acknowledged: "unknown", not "absent". Until a leader has filled them up, this member
  // neither votes nor campaigns. 0 if nothing was lost.
  LogIndex lost_through = {};
  // The log on disk does not fit the state machine's `snapshot_index` and is to be started anew
  // there (a crash came between the installation of a snapshot and the log's reset).
  bool reset_log = false;
};

// ---- Events: everything that can happen to the core. ----

struct Received {
  Message message;
};
// Commands of this member's clients. Appended if it leads, passed on to the leader if one is known,
// else rejected. Every entry that comes of it has exactly the term in which this was stepped: a
// leader refuses a ProposeRequest of another term (with ProposeResponse kNoLeader). So once an
// entry of a later term is applied, a proposal not applied by then never will be.
struct Proposed {
  std::vector<Proposal> proposals;
};
// One batch of linearizable reads that arrived before this event (thesis 6.4). Answered by
// reads_ready or reads_failed exactly once.
struct ReadRequested {
  ReadId read;
};
// Rule R1: the write and all before it are on stable storage.
struct Appended {
  WriteId write;
};
// Rule R2: everything up to `index` has been applied.
struct Applied {
  LogIndex index;
};
// The log up to `index` may be forgotten: the state machine holds it durably. The core forgets what
// every member of the configuration already has, and of the rest what is more than the kept tail.
struct Compacted {
  LogIndex index;
};
// The transport lost its connection to `peer`, or a message to it: replication to it goes back to
// probing.
struct PeerUnreachable {
  NodeId peer;
};
// Hand leadership to `target`, or to the voter that suits best if it is kNoNode (thesis 3.10).
// Ignored unless leading.
struct TransferRequested {
  NodeId target;
};
// The time asked for by next_deadline has come. Stepping it early or late is harmless.
struct Woke {};

// The state that was asked for by Output::fetch_snapshot is here, durable beside this member's own:
// the state machine after it has applied everything up to start.index.
struct SnapshotFetched {
  LogStart start;
};

using Event = std::variant<Received, Proposed, ReadRequested, Appended, Applied, Compacted,
                           PeerUnreachable, TransferRequested, SnapshotFetched, Woke>;

// ---- Output: everything the core wants done. ----

struct AppendTask {
  WriteId write;
  std::optional<HardState> hard_state;  // set if it changed
  // The log is started anew after this, all its entries are gone (thesis 5; then come `entries`).
  std::optional<LogStart> reset;
  bool complete = false;       // lost entries were filled up (RecoveredState::lost_through)
  std::vector<Entry> entries;  // replace everything from entries.front().index on
  // False if nothing here needs to reach the disk before Appended is stepped.
  bool must_sync = true;
  std::vector<Message> after_durable;
};

struct ReadReady {
  ReadId read;
  LogIndex index;  // answer from any state that has applied this
};

struct ReadFailed {
  ReadId read;
  RejectReason reason = RejectReason::kNoLeader;
};

struct ProposalFailed {
  ProposalId id;
  RejectReason reason = RejectReason::kNoLeader;
};

enum class RoleName : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* ToString(RoleName role);

struct RoleChange {
  RoleName role = RoleName::kFollower;
  Term term;
  NodeId leader;  // kNoNode while unknown
  friend bool operator==(const RoleChange&, const RoleChange&) = default;
};

// The state of `from` as of `at_least` or later is to be fetched, unless that is under way already.
struct SnapshotWanted {
  NodeId from;
  LogIndex at_least;
};

struct Output {
  std::optional<AppendTask> append;
  std::vector<Message>
      messages;              // may leave at once, also before `append` is durable (thesis 10.2.1)
  std::vector<Entry> apply;  // committed, durable here, each once and in order
  std::optional<SnapshotWanted> fetch_snapshot;  // repeated until it is no longer needed
  // Rule R2, before `apply`: the state that was fetched takes the place of the state machine's.
  std::optional<LogStart> install_snapshot;
  std::vector<ReadReady> reads_ready;
  std::vector<ReadFailed> reads_failed;
  std::vector<ProposalFailed> proposals_failed;
  std::optional<RoleChange>
      role_change;  // the state now, if role, term or leader differ from the last one handed out
  std::optional<LogStart> compacted;  // the log's start moved: the WAL may release up to here
  Instant next_deadline = kNever;     // step Woke then
};

// ---- Views, for status, metrics and tests. ----

struct PeerStatus {
  NodeId id;
  LogIndex match;
  LogIndex next;
  bool learner = false;
  bool recently_active = false;
  bool needs_snapshot = false;
  uint32_t priority = 0;  // CoreConfig::leader_priority of a peer that could lead now, else 0
};

struct CoreStatus {
  NodeId id;
  RoleName role = RoleName::kFollower;
  Term term;
  NodeId vote;
  NodeId leader;
  LogIndex first_index;
  LogIndex last_index;
  LogIndex durable;
  LogIndex commit;
  LogIndex applied;
  NodeId transferee;
  bool incomplete = false;        // entries were lost here and are not yet filled up
  std::vector<PeerStatus> peers;  // while leading
};

class CoreState;

class Core {
 public:
  // `seed` is the source of every random choice (election timeouts). `now` starts the first
  // timeout.
  Core(const CoreConfig& config, RecoveredState recovered, uint64_t seed, Instant now);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // `now` never goes back between calls.
  void Step(Instant now, Event event);

  // All that the steps since the last call want done. Empty vectors mean nothing.
  Output TakeOutput();

  CoreStatus Status() const;
  const Configuration& configuration() const;
  bool leading() const;
  Term term() const;
  LogIndex last_index() const;
  LogIndex durable() const;
  LogIndex commit() const;
  LogIndex applied() const;
  // The log was started anew after a snapshot, and no AppendTask has said so yet: what has been
  // written is still the old one.
  bool log_starts_anew() const;
  // What a snapshot as of `index` has to say of the log. Nothing outside [log's start, last_index].
  std::optional<LogStart> LogStartAt(LogIndex index) const;
  // Whether whoever holds the log up to `index` finds the rest here for some time, whatever is
  // compacted: it is in the newer half of the tail that is kept for members that are behind
  // (CoreConfig::tail_*).
  bool WellWithinTail(LogIndex index) const;

  // Every invariant that can be seen from one member (invariants.h), or the words for the first
  // that is broken. Run after every step in tests and simulation.
  std::optional<std::string> CheckInvariants() const;

 private:
  std::unique_ptr<CoreState> state_;
};

}  // namespace conclave::raft
