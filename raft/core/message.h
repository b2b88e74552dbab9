// What members say to each other. Every message carries its sender's term (a pre-vote carries the
// term it would campaign in). Plain values; raft/transport/codec.h gives them bytes. Any message
// may be lost, repeated, delayed or reordered without harm to safety (rule R3 of core.h). Any lane.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/entry.h"

namespace conclave::raft {

// Thesis 3.4; pre-vote: 9.6. A transfer's campaign may interrupt a live leader (thesis 3.10).
struct VoteRequest {
  bool pre_vote = false;
  bool transfer = false;
  LogIndex last_index;
  Term last_term;
  friend bool operator==(const VoteRequest&, const VoteRequest&) = default;
};

struct VoteResponse {
  bool pre_vote = false;
  bool granted = false;
  friend bool operator==(const VoteResponse&, const VoteResponse&) = default;
};

// Thesis 3.5. `round` numbers the leader's latest quorum round (reads and check-quorum, thesis 6.2
// and 6.4); any answer that echoes it proves that the sender still followed this leader after the
// round began.
struct AppendRequest {
  LogIndex prev_index;
  Term prev_term;
  LogIndex commit;
  uint64_t round = 0;
  LogIndex everywhere;  // every member holds the log durably up to here, so it may be forgotten
  std::vector<Entry> entries;
  friend bool operator==(const AppendRequest&, const AppendRequest&) = default;
};

struct AppendResponse {
  bool accepted = false;
  // Accepted: the last index that is durable here and known to match. Rejected: the request's
  // prev_index.
  LogIndex index;
  // Rejected only: where the leader should try next, the last entry here not after prev_index whose
  // term is at most prev_term (skips a whole term per exchange, thesis 3.5 end).
  LogIndex hint_index;
  Term hint_term;
  // The sender has lost entries that it may have acknowledged (disk damage): what was known to
  // match counts for nothing any more, only this answer does.
  bool incomplete = false;
  uint64_t round = 0;
  friend bool operator==(const AppendResponse&, const AppendResponse&) = default;
};

// Keeps followers from campaigning and carries a round when there is nothing to append. `commit`
// never exceeds what the leader knows to match at the receiver, so it needs no log check.
struct Heartbeat {
  LogIndex commit;
  uint64_t round = 0;
  LogIndex everywhere;  // as in AppendRequest
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

struct HeartbeatResponse {
  uint64_t round = 0;
  uint32_t priority = 0;  // to lead (transfer.h); 0 too from who could not lead now
  friend bool operator==(const HeartbeatResponse&, const HeartbeatResponse&) = default;
};

// A follower asks the leader for a read index (thesis 6.4).
struct ReadIndexRequest {
  ReadId read;
  friend bool operator==(const ReadIndexRequest&, const ReadIndexRequest&) = default;
};

struct ReadIndexResponse {
  ReadId read;
  bool ok = false;  // false: the receiver is not a leader that can answer; ask again
  LogIndex index;
  friend bool operator==(const ReadIndexResponse&, const ReadIndexResponse&) = default;
};

// A command before it has a place in the log. `id` is its proposer's; the payload says on its own
// whose it is. With `changes` it is a change of membership, and the payload its context
// (configuration.h).
struct Proposal {
  ProposalId id;
  Bytes payload;
  std::vector<MemberChange> changes = {};
  friend bool operator==(const Proposal&, const Proposal&) = default;
};

// A follower passes proposals on. The receiver appends all of them or answers with the ids of those
// it did not. The one message that the transport must not repeat: no rule of Raft breaks, but a
// command would be in the log twice.
struct ProposeRequest {
  std::vector<Proposal> proposals;
  friend bool operator==(const ProposeRequest&, const ProposeRequest&) = default;
};

enum class RejectReason : uint8_t {
  kNoLeader = 0,  // no leader is known, or the receiver is not the leader; certainly not appended
  kTooMany = 1,   // the leader's uncommitted bytes are at their bound; certainly not appended
  kTransferring = 2,  // a leadership transfer is under way; certainly not appended
  // Changes of membership only; certainly not appended.
  kChangeUnderWay = 3,  // one at a time (thesis 4.1), and none before the term's first commit
  kBadChange = 4,       // it does not fit the configuration in force: already a member, or not one
};

struct ProposeResponse {
  RejectReason reason = RejectReason::kNoLeader;
  std::vector<ProposalId> rejected;
  friend bool operator==(const ProposeResponse&, const ProposeResponse&) = default;
};

// "Campaign at once, you are up to date" (thesis 3.10).
struct TimeoutNow {
  friend bool operator==(const TimeoutNow&, const TimeoutNow&) = default;
};

// "The entries that you need next are no longer in my log: fetch my state instead, as of `index` or
// later" (thesis 5). The state itself does not travel as a message; the receiver fetches it at its
// own pace. Repeated with every heartbeat until an AppendResponse shows that it is there.
struct SnapshotOffer {
  LogIndex index;
  friend bool operator==(const SnapshotOffer&, const SnapshotOffer&) = default;
};

using MessageBody = std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse,
                                 Heartbeat, HeartbeatResponse, ReadIndexRequest, ReadIndexResponse,
                                 ProposeRequest, ProposeResponse, TimeoutNow, SnapshotOffer>;

struct Message {
  NodeId from;
  NodeId to;
  Term term;
  MessageBody body;
  friend bool operator==(const Message&, const Message&) = default;
};

}  // namespace conclave::raft
