#include "raft/base/seeded_bug.h"

#include <algorithm>
#include <array>
#include <string>

namespace conclave {
namespace {

using enum SeededBug;

struct Story {
  SeededBug bug = kNone;
  std::string_view description;
  std::string_view checker;
};

constexpr Story kStories[] = {
    // ---- Elections. ----
    {kVoteBeforeSync, "a vote leaves before it is on stable storage", "raft: left before durable"},
    {kCampaignBeforeSync, "a candidate asks for votes before its vote for itself is durable",
     "raft: left before durable"},
    {kVoteWrittenApart, "a new term is written first, the vote only with the next write",
     "raft: one vote per term"},
    {kVoteClearedOnStepDown, "whoever steps down forgets its vote though the term goes on",
     "raft: one vote per term"},
    {kVoteForStaleLog, "a vote goes to a candidate whose log is behind",
     "raft: leader completeness"},
    {kNoPreVoteLease, "members that hear a leader vote for whoever asks",
     "liveness: steady leader"},
    {kNoCheckQuorum, "a leader that hears from nobody goes on to lead",
     "liveness: progress of a healed core"},
    {kTransferToLaggard, "leadership is handed to a member before it holds the whole log",
     "raft: core"},
    // ---- Replication. ----
    {kOldTermCommitted, "entries of earlier terms are committed by counting them",
     "raft: commit without quorum"},
    {kMatchingSuffixTruncated, "an old request truncates what a newer one has brought",
     "raft: leader completeness"},
    {kConflictKept, "an entry that conflicts with the leader's is kept", "raft: log matching"},
    {kCommitNotClamped, "the commit index runs past the last entry known to match",
     "raft: state machine safety"},
    {kHeartbeatCommitNotClamped, "a heartbeat commits what is not known to match",
     "raft: state machine safety"},
    {kAckBeforeSync, "entries are acknowledged before they are on stable storage",
     "raft: left before durable"},
    {kAckedBeyondRequest, "entries are acknowledged that the request did not vouch for",
     "raft: log matching"},
    {kDurableKeptOnTruncation, "the durable index stays when the entries under it go",
     "raft: core"},
    {kDurableBehindRewrite, "an older write makes entries durable that a later one replaces",
     "raft: core"},
    {kLeaderCountsUnsynced, "the leader counts itself before its own write is durable",
     "raft: commit without quorum"},
    {kMatchOnSend, "the leader takes what it has sent for what the peer holds",
     "raft: commit without quorum"},
    {kLearnerCounted, "learners count for commits and rounds", "raft: commit without quorum"},
    {kLostAppendNotResent, "a request that was lost is not sent again",
     "liveness: members converge"},
    {kApplyBeforeDurable, "entries are applied before they are durable here", "raft: core"},
    {kCompactionTermLost, "the term of the last forgotten entry is not kept",
     "liveness: members converge"},
    {kProposalTakenInLaterTerm, "a leader takes proposals passed on in an earlier term",
     "revision oracle: applied once"},
    // ---- Linearizable reads. ----
    {kReadWithoutRound, "a leader answers reads without a quorum round", "linearizability"},
    {kStaleEchoCounted, "an answer to an earlier message counts for the round under way",
     "linearizability"},
    {kReadJoinsRoundUnderWay, "a read gets the index of a round that began before it",
     "linearizability"},
    {kReadBeforeOwnTermCommit, "a new leader reads before it has committed in its own term",
     "raft: core"},
    {kLeaseReadUnbounded, "a leader that heard a quorum lately by its own clock asks nobody",
     "linearizability"},
    {kReadIdReused, "read ids begin anew with every run of a member", "linearizability"},
    {kReadBeforeApplied, "a read is answered before its index is applied", "linearizability"},
    // ---- Disks. ----
    {kHardStateNotSynced, "a hard state without entries does not wait for its sync",
     "raft: left before durable"},
    {kAckedBySyncUnderWay, "a write is called durable by the sync that was under way before it",
     "raft: left before durable"},
    {kSegmentNameNotSynced, "the directory is not synced after a segment gets its name",
     "durability"},
    {kDamageTakenForTornTail, "damage in the middle of the log is cut off like a torn tail",
     "durability"},
    {kRecycledRecordsTaken, "records of a recycled segment's earlier life count",
     "durability: the log opens and holds what was written"},
    {kEngineNamesNotSynced, "the engine's tables and manifests lose their names in a crash",
     "durability: the engine opens"},
    {kLogReleasedBeforeFlush, "the log is let go before the engine has flushed",
     "durability: the log covers what the engine lacks"},
    {kAppliedIndexApart, "the applied index is written a drain later than the data", "state hash"},
    // ---- Proposals and apply. ----
    {kProposalRetriedUnknown, "a proposal whose outcome is unknown is made again",
     "revision oracle: applied once"},
    {kRequestIdReused, "request ids begin anew with every run of a member", "linearizability"},
    {kLateRefusalTrusted, "a refusal of an earlier attempt counts for the present one",
     "revision oracle: applied once"},
    {kCompareAtPropose, "compares are evaluated when proposed, not when applied",
     "linearizability"},
    {kLocalTimeInApply, "whether a lease exists depends on the member's own clock", "state hash"},
    {kRevisionReused, "a restarted member gives its last revision out again", "state hash"},
    {kCompactionOneTooMany, "compaction takes what the revision after the compacted one replaced",
     "revision oracle: reads of the past"},
    {kDeleteAtCompactionDropped, "compaction takes a delete of the compacted revision itself",
     "watch rules: complete"},
    // ---- Leases and locks. ----
    {kDeposedLeaderRevokes, "a deposed leader goes on to revoke leases",
     "lease rules: no early expiry"},
    {kLeaseClocksNotRestarted, "a leader goes on with the lease clocks of its last term",
     "lease rules: no early expiry"},
    {kExpiringLeaseRenewed, "a lease is renewed while its revoke is on the way",
     "lease rules: no early expiry"},
    {kKeepAliveWithoutRound, "a leader renews leases without asking whether it still leads",
     "lease rules: no early expiry"},
    {kRevokeMissesDrain, "a revoke misses keys that were attached in the same drain", "state hash"},
    {kLockNotRechecked,
     "a lock's holder goes on without checking that its lease lives (a client's)",
     "lock rules: fencing"},
    // ---- Watches. ----
    {kEventDuplicatedOnSync, "the events with which a watcher catches up come twice",
     "watch rules: unique"},
    {kEventLostOnSync, "a watcher one revision behind counts as synced", "watch rules: complete"},
    {kProgressAheadOfEvents, "progress is reported to a watcher that has not caught up",
     "watch rules: bookmarkable progress"},
    {kFilterIgnoredOnCatchUp, "filters do not hold while a watcher catches up",
     "watch rules: filters"},
    {kPrevKvMissingOnCatchUp, "events carry no previous record while a watcher catches up",
     "watch rules: prev_kv"},
    {kCompactedWatcherSkips, "a watcher overtaken by compaction goes on behind the gap",
     "watch rules: complete"},
    {kRevisionCutOnCatchUp, "a batch of catch-up ends in the middle of a revision",
     "watch rules: atomic per revision"},
    // ---- The log on disk. ----
    {kResetKeepsConflict, "entries that an installed snapshot replaced stay in the log",
     "raft: durability"},
    {kDroppedBeforeReset, "the segments before a reset go before it is durable",
     "raft: durability"},
    {kDamageTakenForComplete, "a log whose entries were lost to damage is taken for all there was",
     "durability"},
    {kHardStateBeforeDamage, "term and vote are taken from before the damage", "durability"},
    {kLossNotKept, "that entries were lost is forgotten with the next restart", "durability"},
    {kDamagedRecordsSkipped, "the log goes on behind damaged records as if they had not been",
     "durability: refused to start"},
    // ---- Snapshots in the store. ----
    {kConfigurationNotKept, "the store's position is written without its configuration",
     "raft: durability"},
    {kAdoptSkipsEvents, "watchers stay synced when a snapshot replaces the state",
     "watch rules: complete"},
    {kAdoptKeepsLeases, "the leases of before stay when a snapshot replaces the state",
     "raft: state machine safety"},
    {kSnapshotSwapUnsynced, "nothing is synced when a snapshot's engine becomes the live one",
     "raft: durability"},
    {kRemovedIdForgotten, "the id of a removed member can come back",
     "unit test: kvstore/store_seeded_bugs_test.cc"},
    {kSnapshotResumeSkipsRow, "a snapshot that is gone on with lacks the row after the last one",
     "snapshots: damaged"},
    // ---- The membership service. ----
    {kMemberChangeJudgedEarly, "a change of membership is judged before earlier ones are applied",
     "unit test: server/api/membership_seeded_bugs_test.cc"},
    {kMemberChangeAskedAgain, "a change of membership whose outcome is unknown is asked for again",
     "membership: refused-addition"},
    {kUnstartedVoterCounted, "a voter that has never started counts for the quorum that is kept",
     "unit test: server/api/membership_seeded_bugs_test.cc"},
    {kWipedMemberRejoins, "a member that lost its data comes back under its old id",
     "unit test: server/bootstrap/joining_seeded_bugs_test.cc"},
    // ---- Snapshots between members. ----
    {kSnapshotPositionLate, "a snapshot is said to stand where its source is by now",
     "check: failed"},
    {kSnapshotNotFlushed, "a snapshot takes the place of the state before it is durable",
     "fatal: ended itself"},
    {kSkippedProposalRetried, "a proposal that a snapshot may have skipped is made again",
     "revision oracle: applied once"},
    {kInstallNotMarked, "a state does not say that it has just come as a snapshot",
     "raft: durability"},
    {kSnapshotLogNotHeld, "the log is let go that a fetched snapshot is to be gone on from",
     "snapshots: held log"},
    // ---- Disk trouble. ----
    {kHungDiskEndured, "a member whose disk hangs goes on for ever", "disk: a hung disk endured"},
    {kFullDiskUntold, "a member whose disk is full raises no alarm", "space: no alarm"},
    {kPutWithoutSpace, "puts are taken while a member is out of space", "space: put taken"},
    {kDeleteNeedsSpace, "deletes are refused while a member is out of space",
     "space: delete refused"},
    // ---- Membership, snapshots, loss. ----
    {kSecondChangeEarly, "a second change of membership begins before the first is committed",
     "raft: membership"},
    {kChangeBeforeOwnTermCommit,
     "a leader changes the membership before it has committed in its term", "raft: membership"},
    {kManyVotersAtOnce, "several voters come and go in one step", "raft: membership"},
    {kJointLeftEarly, "a joint configuration is left before it is committed", "raft: membership"},
    {kMatchingLogDropped, "a snapshot takes the place of a log that holds more",
     "raft: durability"},
    {kLostEntriesForgotten, "a member that lost entries votes as if it had never held them",
     "raft: leader completeness"},
    {kDiskStallIgnored, "a leader whose disk stalls goes on to lead",
     "liveness: a stalled leader leads on"},
    // ---- Machines. ----
    {kWipedMemberVotes, "a machine that lost its disk goes on as if it had never said anything",
     "raft: one vote per term"},
    // ---- Leader priority. ----
    {kPriorityNotTold, "a member does not tell its priority", "leadership: priority"},
    {kPreferredLaggard, "leadership goes to a preferred member that has not caught up",
     "unit test: raft/core/classical_bugs_elections_test.cc"},
    // ---- Lease checkpoints. ----
    {kLeaseCheckpointKept, "a renewal leaves the checkpoint of its lease for the next leader",
     "lease rules: no early expiry"},
    {kLeaseCheckpointNotApplied, "a new leader gives every lease its full TTL again",
     "lease rules: no late expiry"},
    {kLeaseCheckpointInherited, "a lease takes over the checkpoint of an earlier one of its id",
     "unit test: kvstore/store_seeded_bugs_test.cc"},
    // ---- The quota. ----
    {kKeptBytesOnlyGrow, "compaction does not bring down what counts for the quota",
     "space: never over"},
    {kQuotaAlarmKept, "an alarm for the quota stays on when there is room again",
     "space: never over"},
    {kQuotaIgnored, "a store goes on to grow beyond its quota", "space: quota passed"},
    // ---- Results of requests. ----
    {kResultNotConsulted, "a request is carried out each time that it comes under its id",
     "exactly-once: applied-twice"},
    {kResultsNotWritten, "the results of requests are kept in memory alone",
     "raft: state machine safety"},
    {kResultsNotInSnapshot, "a snapshot leaves the results of requests out",
     "raft: state machine safety"},
    {kResultsCountedFromStart, "every run of a member counts the results from zero",
     "state-hashes: state-diverged"},
    {kReusedIdAnswered, "a request gets the answer of another one that had its id",
     "exactly-once: reused-id-answered"},
    // ---- Ranges in pieces. ----
    {kRangeStreamNotPinned, "every chunk of a range stream is of the state at its own time",
     "unit test: server/api/range_seeded_bugs_test.cc"},
    // ---- Diverged members. ----
    {kPutSpoiled, "now and then a put is applied without its value where its client waits",
     "integrity: diverged"},
    {kChainsNotCompared, "the leader does not compare the states of the members",
     "integrity: not fenced"},
    {kFencedServes, "a member whose state is known to be wrong goes on to answer from it",
     "integrity: served"},
    {kFencedCampaigns, "a member whose state is known to be wrong asks for votes",
     "unit test: server/stages/integrity_seeded_bugs_test.cc"},
    {kChainForgotten, "the sum over what was applied begins anew when a member starts",
     "integrity: diverged"},
    // ---- Records in memory. ----
    {kCacheMissesDelete, "the record cache keeps what a delete removed",
     "raft: state machine safety; watch-rules: watch-wrong-event"},
    // ---- Lost states. ----
    {kLostStateServed, "a member whose state is lost answers from what little it has",
     "unit test: server/stages/integrity_seeded_bugs_test.cc"},
    {kLostStateAppliedTo, "a member whose state is lost applies to what little it has",
     "check: failed"},
    // ---- Flushes. ----
    {kHistoryFlushedLast, "a flush makes the state durable before the history it belongs to",
     "state-hashes: state-diverged; watch-rules: watch-gap; watch-rules: watch-wrong-prev-kv"},
    {kBufferedDeleteMerged, "a delete and the put before it leave nothing of each other in memory",
     "integrity: diverged"},
    {kFullBufferForgotten, "a member whose write buffer was full applies nothing any more",
     "liveness: members converge"},
    // ---- Lookups that would wait. ----
    {kColdGetAnswered, "a get of a key that is not in memory is answered as if it were absent",
     "bank: wrong-accounts; lock-rules: lock-two-holders; revision-oracle: wrong-count"},
    {kColdPutApplied, "a put takes a record that is not in memory for absent",
     "raft: state machine safety"},
    {kColdReadForgotten, "a member that has waited for the disk once applies nothing any more",
     "liveness: a healed core does not serve; lease-rules: lease-late-expiry"},
    {kPassedOverEventsMissed, "recent events have a gap where nobody was watching",
     "check: failed"},
    {kSnapshotLogLetGoEarly, "the log is let go once a member holds the state, though it is behind",
     "unit test: server/stages/snapshot_seeded_bugs_test.cc"},
    {kRefusedWindowReopened, "a window is as wide as before once what ran ahead has been refused",
     "unit test: raft/core/classical_bugs_replication_test.cc"},
    // ---- Calls on I/O lanes. ----
    {kRelayedEndUntold, "a service is not told that a call of an I/O lane is over",
     "unit test: server/lanes/lanes_seeded_bugs_test.cc"},
    {kRelayedRoomUntold, "a service is not told that a client of an I/O lane has room again",
     "unit test: server/lanes/lanes_seeded_bugs_test.cc"},
    {kHeldMessageOvertaken, "what a client sends overtakes what was held while reading was paused",
     "unit test: server/lanes/lanes_seeded_bugs_test.cc"},
};

#define CONCLAVE_NAME(name, number) std::string_view(#name),
constexpr std::string_view kEnumerators[] = {CONCLAVE_SEEDED_BUGS(CONCLAVE_NAME)};
#undef CONCLAVE_NAME
#define CONCLAVE_BUG(name, number) name,
constexpr SeededBug kBugs[] = {CONCLAVE_SEEDED_BUGS(CONCLAVE_BUG)};
#undef CONCLAVE_BUG

constexpr size_t kBugCount = std::size(kBugs);
static_assert(std::equal(std::begin(kStories), std::end(kStories), std::begin(kBugs),
                         std::end(kBugs),
                         [](const Story& story, SeededBug bug) { return story.bug == bug; }),
              "one story for each bug, in the order of the list");

// "kVoteBeforeSync" is vote-before-sync.
std::string KebabCase(std::string_view enumerator) {
  std::string name;
  for (const char c : enumerator.substr(1)) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && !name.empty()) name += '-';
    name += capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}

}  // namespace

std::span<const SeededBugEntry> SeededBugs() {
  static const auto names = [] {
    std::array<std::string, kBugCount> all;
    std::transform(std::begin(kEnumerators), std::end(kEnumerators), all.begin(), KebabCase);
    return all;
  }();
  static const auto entries = [] {
    std::array<SeededBugEntry, kBugCount> all;
    for (size_t i = 0; i < kBugCount; ++i) {
      all[i] = {kStories[i].bug, names[i], kStories[i].description, kStories[i].checker};
    }
    return all;
  }();
  return entries;
}

std::optional<SeededBug> FindSeededBug(std::string_view name_or_number) {
  for (const SeededBugEntry& entry : SeededBugs()) {
    const bool named = name_or_number == entry.name;
    if (named || name_or_number == std::to_string(static_cast<int>(entry.bug))) return entry.bug;
  }
  return std::nullopt;
}

}  // namespace conclave
