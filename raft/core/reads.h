// Linearizable reads by quorum rounds (thesis 6.4). A read index is the leader's commit index at
// the start of a round that began after the read came, in a term in which the leader has committed;
// it holds once a quorum has echoed the round. Any member's reads share the leader's rounds. Raft
// lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// This member's own reads: answered by its rounds if it leads, else by the leader.
void OnReadRequested(CoreState& state, ReadId read);
// Another member's. `term` is its request's; only a leader of that very term answers.
void OnReadIndexRequest(CoreState& state, NodeId from, Term term, const ReadIndexRequest& request);
void OnReadIndexResponse(CoreState& state, const ReadIndexResponse& response);

// Begins the next round if reads wait, none is under way and the term has its first commit. Called
// once per take, so that all reads of one drain share a round.
void StartRound(CoreState& state, Leader& leader);
// `peer` still followed this leader after `round` began.
void OnRoundEcho(CoreState& state, Leader& leader, Peer& peer, uint64_t round);

// The configuration changed: the round under way may hold by now.
void RecountRound(CoreState& state, Leader& leader);

// The role, the term or the leader changes, or the way to the leader is lost: no read that waits
// can be answered any more.
void FailReads(CoreState& state);

// Reads that were passed on and not answered within an election timeout fail: their messages may
// have been lost.
void ExpireReads(CoreState& state);
Instant ReadsDeadline(const CoreState& state);

}  // namespace conclave::raft
