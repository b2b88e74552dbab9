// Bugs that the simulator must find. Each is a classical mistake of Raft or of a store like this,
// kept in the code as one or two lines behind SEEDED_BUG, which is the constant false in
// production: the compiler drops them. With probe.h these are the only test hooks in product code.
//
// In the simulator (CONCLAVE_SIMULATION) one bug at a time can be switched on for the process. The
// switch is a plain global: it is set before the simulation starts, which runs in one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

// (name, number) of every bug. Numbers are said on command lines and in reports: never reuse one.
#define CONCLAVE_SEEDED_BUGS(BUG)     \
  /* Elections. */                    \
  BUG(kVoteBeforeSync, 1)             \
  BUG(kCampaignBeforeSync, 2)         \
  BUG(kVoteWrittenApart, 3)           \
  BUG(kVoteClearedOnStepDown, 4)      \
  BUG(kVoteForStaleLog, 5)            \
  BUG(kNoPreVoteLease, 6)             \
  BUG(kNoCheckQuorum, 7)              \
  BUG(kTransferToLaggard, 8)          \
  /* Replication. */                  \
  BUG(kOldTermCommitted, 9)           \
  BUG(kMatchingSuffixTruncated, 10)   \
  BUG(kConflictKept, 11)              \
  BUG(kCommitNotClamped, 12)          \
  BUG(kHeartbeatCommitNotClamped, 13) \
  BUG(kAckBeforeSync, 14)             \
  BUG(kAckedBeyondRequest, 15)        \
  BUG(kDurableKeptOnTruncation, 16)   \
  BUG(kDurableBehindRewrite, 17)      \
  BUG(kLeaderCountsUnsynced, 18)      \
  BUG(kMatchOnSend, 19)               \
  BUG(kLearnerCounted, 20)            \
  BUG(kLostAppendNotResent, 21)       \
  BUG(kApplyBeforeDurable, 22)        \
  BUG(kCompactionTermLost, 23)        \
  BUG(kProposalTakenInLaterTerm, 24)  \
  /* Linearizable reads. */           \
  BUG(kReadWithoutRound, 25)          \
  BUG(kStaleEchoCounted, 26)          \
  BUG(kReadJoinsRoundUnderWay, 27)    \
  BUG(kReadBeforeOwnTermCommit, 28)   \
  BUG(kLeaseReadUnbounded, 29)        \
  BUG(kReadIdReused, 30)              \
  BUG(kReadBeforeApplied, 31)         \
  /* Disks. */                        \
  BUG(kHardStateNotSynced, 32)        \
  BUG(kAckedBySyncUnderWay, 33)       \
  BUG(kSegmentNameNotSynced, 34)      \
  BUG(kDamageTakenForTornTail, 35)    \
  BUG(kRecycledRecordsTaken, 36)      \
  BUG(kEngineNamesNotSynced, 37)      \
  BUG(kLogReleasedBeforeFlush, 38)    \
  BUG(kAppliedIndexApart, 39)         \
  /* Proposals and apply. */          \
  BUG(kProposalRetriedUnknown, 40)    \
  BUG(kRequestIdReused, 41)           \
  BUG(kLateRefusalTrusted, 42)        \
  BUG(kCompareAtPropose, 43)          \
  BUG(kLocalTimeInApply, 44)          \
  BUG(kRevisionReused, 45)            \
  BUG(kCompactionOneTooMany, 46)      \
  BUG(kDeleteAtCompactionDropped, 47) \
  /* Leases and locks. */             \
  BUG(kDeposedLeaderRevokes, 48)      \
  BUG(kLeaseClocksNotRestarted, 49)   \
  BUG(kExpiringLeaseRenewed, 50)      \
  BUG(kKeepAliveWithoutRound, 51)     \
  BUG(kRevokeMissesDrain, 52)         \
  BUG(kLockNotRechecked, 53)          \
  /* Watches. */                      \
  BUG(kEventDuplicatedOnSync, 54)     \
  BUG(kEventLostOnSync, 55)           \
  BUG(kProgressAheadOfEvents, 56)     \
  BUG(kFilterIgnoredOnCatchUp, 57)    \
  BUG(kPrevKvMissingOnCatchUp, 58)    \
  BUG(kCompactedWatcherSkips, 59)     \
  BUG(kRevisionCutOnCatchUp, 60)      \
  /* The log on disk. */              \
  BUG(kResetKeepsConflict, 61)        \
  BUG(kDroppedBeforeReset, 62)        \
  BUG(kDamageTakenForComplete, 63)    \
  BUG(kHardStateBeforeDamage, 64)     \
  BUG(kLossNotKept, 65)               \
  BUG(kDamagedRecordsSkipped, 66)     \
  /* Snapshots in the store. */       \
  BUG(kConfigurationNotKept, 67)      \
  BUG(kAdoptSkipsEvents, 68)          \
  BUG(kAdoptKeepsLeases, 69)          \
  BUG(kSnapshotSwapUnsynced, 70)      \
  BUG(kRemovedIdForgotten, 71)        \
  BUG(kSnapshotResumeSkipsRow, 72)    \
  /* The membership service. */       \
  BUG(kMemberChangeJudgedEarly, 73)   \
  BUG(kMemberChangeAskedAgain, 74)    \
  BUG(kUnstartedVoterCounted, 75)     \
  BUG(kWipedMemberRejoins, 76)        \
  /* Snapshots between members. */    \
  BUG(kSnapshotPositionLate, 77)      \
  BUG(kSnapshotNotFlushed, 78)        \
  BUG(kSkippedProposalRetried, 79)    \
  BUG(kInstallNotMarked, 80)          \
  BUG(kSnapshotLogNotHeld, 81)        \
  /* Disk trouble. */                 \
  BUG(kHungDiskEndured, 83)           \
  BUG(kFullDiskUntold, 84)            \
  BUG(kPutWithoutSpace, 85)           \
  BUG(kDeleteNeedsSpace, 86)          \
  /* Membership, snapshots, loss. */  \
  BUG(kSecondChangeEarly, 87)         \
  BUG(kChangeBeforeOwnTermCommit, 88) \
  BUG(kManyVotersAtOnce, 89)          \
  BUG(kJointLeftEarly, 90)            \
  BUG(kMatchingLogDropped, 91)        \
  BUG(kLostEntriesForgotten, 92)      \
  BUG(kDiskStallIgnored, 93)          \
  /* Machines. */                     \
  BUG(kWipedMemberVotes, 94)          \
  /* Leader priority. */              \
  BUG(kPriorityNotTold, 96)           \
  BUG(kPreferredLaggard, 97)          \
  /* Lease checkpoints. */            \
  BUG(kLeaseCheckpointKept, 98)       \
  BUG(kLeaseCheckpointNotApplied, 99) \
  BUG(kLeaseCheckpointInherited, 100) \
  /* The quota. */                    \
  BUG(kKeptBytesOnlyGrow, 101)        \
  BUG(kQuotaAlarmKept, 102)           \
  BUG(kQuotaIgnored, 103)             \
  /* Results of requests. */          \
  BUG(kResultNotConsulted, 104)       \
  BUG(kResultsNotWritten, 105)        \
  BUG(kResultsNotInSnapshot, 106)     \
  BUG(kResultsCountedFromStart, 107)  \
  BUG(kReusedIdAnswered, 108)         \
  /* Ranges in pieces. */             \
  BUG(kRangeStreamNotPinned, 109)     \
  /* Diverged members. */             \
  BUG(kPutSpoiled, 110)               \
  BUG(kChainsNotCompared, 111)        \
  BUG(kFencedServes, 112)             \
  BUG(kFencedCampaigns, 113)          \
  BUG(kChainForgotten, 114)           \
  /* Records in memory. */            \
  BUG(kCacheMissesDelete, 116)        \
  /* Lost states. */                  \
  BUG(kLostStateServed, 117)          \
  BUG(kLostStateAppliedTo, 118)       \
  /* Flushes. */                      \
  BUG(kHistoryFlushedLast, 119)       \
  BUG(kBufferedDeleteMerged, 120)     \
  BUG(kFullBufferForgotten, 121)      \
  /* Lookups that would wait. */      \
  BUG(kColdGetAnswered, 122)          \
  BUG(kColdPutApplied, 123)           \
  BUG(kColdReadForgotten, 124)        \
  BUG(kPassedOverEventsMissed, 125)   \
  BUG(kSnapshotLogLetGoEarly, 126)    \
  BUG(kRefusedWindowReopened, 127)    \
  /* Calls on I/O lanes. */           \
  BUG(kRelayedEndUntold, 128)         \
  BUG(kRelayedRoomUntold, 129)        \
  BUG(kHeldMessageOvertaken, 130)

namespace conclave {

enum class SeededBug : uint16_t {
  kNone = 0,
#define CONCLAVE_ENUMERATOR(name, number) name = number,
  CONCLAVE_SEEDED_BUGS(CONCLAVE_ENUMERATOR)
#undef CONCLAVE_ENUMERATOR
};

struct SeededBugEntry {
  SeededBug bug = SeededBug::kNone;
  std::string_view name;         // the enumerator's, in kebab case: "vote-before-sync"
  std::string_view description;  // what is wrong, in one line
  std::string_view checker;      // what should find it
};

// Every bug but kNone, by number.
std::span<const SeededBugEntry> SeededBugs();

// By name or by number in decimal; nothing if there is none of it.
std::optional<SeededBug> FindSeededBug(std::string_view name_or_number);

#if CONCLAVE_SIMULATION
namespace internal {
inline SeededBug active_seeded_bug = SeededBug::kNone;
}  // namespace internal

inline SeededBug ActiveSeededBug() { return internal::active_seeded_bug; }
// kNone for a program as it should be.
inline void SetSeededBug(SeededBug bug) { internal::active_seeded_bug = bug; }
inline bool IsSeeded(SeededBug bug) { return ActiveSeededBug() == bug; }
#else
consteval bool IsSeeded(SeededBug) { return false; }
#endif

}  // namespace conclave

// True while the bug of that name is switched on: SEEDED_BUG(kVoteBeforeSync).
#define SEEDED_BUG(name) (::conclave::IsSeeded(::conclave::SeededBug::name))
